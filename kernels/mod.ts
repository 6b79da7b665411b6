/** The kernels as text: the one place where WGSL files are imported. */
import append from "./cache/append.wgsl" with { type: "text" };
import attend from "./attend/attend.wgsl" with { type: "text" };
import fork from "./cache/fork.wgsl" with { type: "text" };
import linear from "./layer/linear.wgsl" with { type: "text" };
import mergeSlices from "./softmax/merge_slices.wgsl" with { type: "text" };
import mergeStates from "./softmax/merge_states.wgsl" with { type: "text" };
import norm from "./layer/norm.wgsl" with { type: "text" };
import rotate from "./cache/rope_queries.wgsl" with { type: "text" };
import scores from "./staged/scores.wgsl" with { type: "text" };
import softmax from "./staged/softmax.wgsl" with { type: "text" };
import weightedSum from "./staged/weighted_sum.wgsl" with { type: "text" };
import activationGelu from "./layer/activation_gelu.wgsl" with { type: "text" };
import activationGeluTanh from "./layer/activation_gelu_tanh.wgsl" with { type: "text" };
import activationSilu from "./layer/activation_silu.wgsl" with { type: "text" };
import bias from "./layer/linear_bias.wgsl" with { type: "text" };
import biasNone from "./layer/linear_bias_none.wgsl" with { type: "text" };
import broadcast from "./score/broadcast.wgsl" with { type: "text" };
import context from "./attend/context.wgsl" with { type: "text" };
import forkAcross from "./cache/fork_across.wgsl" with { type: "text" };
import forkWithin from "./cache/fork_within.wgsl" with { type: "text" };
import halfScalar from "./attend/half_scalar.wgsl" with { type: "text" };
import halfVec4 from "./attend/half_vec4.wgsl" with { type: "text" };
import keysApart from "./attend/keys_apart.wgsl" with { type: "text" };
import keysDirect from "./attend/keys_direct.wgsl" with { type: "text" };
import keysMatrix from "./attend/matrix_units/keys_matrix.wgsl" with { type: "text" };
import keysShared from "./attend/keys_shared.wgsl" with { type: "text" };
import keysStaged from "./attend/keys_staged.wgsl" with { type: "text" };
import kvNumbers from "./cache/kv_numbers.wgsl" with { type: "text" };
import kvQuantized from "./cache/kv_quantized.wgsl" with { type: "text" };
import kvRows from "./cache/slots.wgsl" with { type: "text" };
import lanesMemory from "./softmax/lanes_memory.wgsl" with { type: "text" };
import lanesOne from "./softmax/lanes_one.wgsl" with { type: "text" };
import lanesShuffle from "./softmax/lanes_shuffle.wgsl" with { type: "text" };
import lseNone from "./score/lse_none.wgsl" with { type: "text" };
import masked from "./score/masked.wgsl" with { type: "text" };
import matrixChromium from "./attend/matrix_units/matrix_chromium.wgsl" with { type: "text" };
import matrixScalar from "./attend/matrix_units/matrix_scalar.wgsl" with { type: "text" };
import matrixTile from "./attend/matrix_units/matrix_tile.wgsl" with { type: "text" };
import matrixVec4 from "./attend/matrix_units/matrix_vec4.wgsl" with { type: "text" };
import momentsLayer from "./layer/moments_layer.wgsl" with { type: "text" };
import momentsRms from "./layer/moments_rms.wgsl" with { type: "text" };
import outputActivated from "./layer/output_activated.wgsl" with { type: "text" };
import outputGated from "./layer/output_gated.wgsl" with { type: "text" };
import outputLinear from "./layer/output_linear.wgsl" with { type: "text" };
import packScalar from "./tensor/pack_scalar.wgsl" with { type: "text" };
import packVec4 from "./tensor/pack_vec4.wgsl" with { type: "text" };
import pairF16U32 from "./tensor/pair_f16_u32.wgsl" with { type: "text" };
import pairF16U64 from "./tensor/pair_f16_u64.wgsl" with { type: "text" };
import pairF32U64 from "./tensor/pair_f32_u64.wgsl" with { type: "text" };
import params from "./attend/params.wgsl" with { type: "text" };
import perHead from "./score/per_head.wgsl" with { type: "text" };
import productsF16 from "./attend/products_f16.wgsl" with { type: "text" };
import productsF32 from "./attend/products_f32.wgsl" with { type: "text" };
import put from "./layer/put.wgsl" with { type: "text" };
import putQkv from "./layer/put_qkv.wgsl" with { type: "text" };
import putSum from "./layer/put_sum.wgsl" with { type: "text" };
import quantizedPack from "./tensor/quantized_pack.wgsl" with { type: "text" };
import quantizedRow from "./tensor/quantized_row.wgsl" with { type: "text" };
import queriesBroadcast from "./attend/queries_broadcast.wgsl" with { type: "text" };
import queriesLoaded from "./attend/queries_loaded.wgsl" with { type: "text" };
import queryNumbers from "./attend/query_numbers.wgsl" with { type: "text" };
import queryPacks from "./attend/query_packs.wgsl" with { type: "text" };
import rope from "./cache/rope.wgsl" with { type: "text" };
import ropeNone from "./cache/rope_none.wgsl" with { type: "text" };
import rowTile from "./attend/row_tile.wgsl" with { type: "text" };
import scoreAlibi from "./score/alibi.wgsl" with { type: "text" };
import scoreBias from "./score/bias.wgsl" with { type: "text" };
import scoreMask from "./score/mask.wgsl" with { type: "text" };
import scoreSoftcap from "./score/softcap.wgsl" with { type: "text" };
import scoresApart from "./staged/scores_apart.wgsl" with { type: "text" };
import scoresInPlace from "./staged/scores_in_place.wgsl" with { type: "text" };
import singlePack from "./tensor/single_pack.wgsl" with { type: "text" };
import sinkLogits from "./score/sink_logits.wgsl" with { type: "text" };
import sinkNone from "./score/sink_none.wgsl" with { type: "text" };
import softmaxState from "./softmax/state.wgsl" with { type: "text" };
import storeLse from "./score/store_lse.wgsl" with { type: "text" };
import storeOutput from "./attend/store_output.wgsl" with { type: "text" };
import storePartial from "./attend/store_partial.wgsl" with { type: "text" };
import storePlain from "./cache/store_plain.wgsl" with { type: "text" };
import storeQuantized from "./cache/store_quantized.wgsl" with { type: "text" };
import valuesApart from "./attend/values_apart.wgsl" with { type: "text" };
import valuesMatrix from "./attend/matrix_units/values_matrix.wgsl" with { type: "text" };
import weightNumbers from "./tensor/weight_numbers.wgsl" with { type: "text" };
import weightQuantized from "./tensor/weight_quantized.wgsl" with { type: "text" };
import weightsBroadcast from "./attend/weights_broadcast.wgsl" with { type: "text" };
import weightsLoaded from "./attend/weights_loaded.wgsl" with { type: "text" };

/** One entry point each, named `main`. */
export const kernels: Readonly<
  Record<
    | "append"
    | "attend"
    | "fork"
    | "linear"
    | "mergeSlices"
    | "mergeStates"
    | "norm"
    | "rotate"
    | "scores"
    | "softmax"
    | "weightedSum",
    string
  >
> = {
  append,
  attend,
  fork,
  linear,
  mergeSlices,
  mergeStates,
  norm,
  rotate,
  scores,
  softmax,
  weightedSum,
};

/** Pieces that kernels are composed with. */
export const fragments: Readonly<
  Record<
    | "activationGelu"
    | "activationGeluTanh"
    | "activationSilu"
    | "bias"
    | "biasNone"
    | "broadcast"
    | "context"
    | "forkAcross"
    | "forkWithin"
    | "halfScalar"
    | "halfVec4"
    | "keysApart"
    | "keysDirect"
    | "keysMatrix"
    | "keysShared"
    | "keysStaged"
    | "kvNumbers"
    | "kvQuantized"
    | "kvRows"
    | "lanesMemory"
    | "lanesOne"
    | "lanesShuffle"
    | "lseNone"
    | "masked"
    | "matrixChromium"
    | "matrixScalar"
    | "matrixTile"
    | "matrixVec4"
    | "momentsLayer"
    | "momentsRms"
    | "outputActivated"
    | "outputGated"
    | "outputLinear"
    | "packScalar"
    | "packVec4"
    | "pairF16U32"
    | "pairF16U64"
    | "pairF32U64"
    | "params"
    | "perHead"
    | "productsF16"
    | "productsF32"
    | "put"
    | "putQkv"
    | "putSum"
    | "quantizedPack"
    | "quantizedRow"
    | "queriesBroadcast"
    | "queriesLoaded"
    | "queryNumbers"
    | "queryPacks"
    | "rope"
    | "ropeNone"
    | "rowTile"
    | "scoreAlibi"
    | "scoreBias"
    | "scoreMask"
    | "scoreSoftcap"
    | "scoresApart"
    | "scoresInPlace"
    | "singlePack"
    | "sinkLogits"
    | "sinkNone"
    | "softmaxState"
    | "storeLse"
    | "storeOutput"
    | "storePartial"
    | "storePlain"
    | "storeQuantized"
    | "valuesApart"
    | "valuesMatrix"
    | "weightNumbers"
    | "weightQuantized"
    | "weightsBroadcast"
    | "weightsLoaded",
    string
  >
> = {
  activationGelu,
  activationGeluTanh,
  activationSilu,
  bias,
  biasNone,
  broadcast,
  context,
  forkAcross,
  forkWithin,
  halfScalar,
  halfVec4,
  keysApart,
  keysDirect,
  keysMatrix,
  keysShared,
  keysStaged,
  kvNumbers,
  kvQuantized,
  kvRows,
  lanesMemory,
  lanesOne,
  lanesShuffle,
  lseNone,
  masked,
  matrixChromium,
  matrixScalar,
  matrixTile,
  matrixVec4,
  momentsLayer,
  momentsRms,
  outputActivated,
  outputGated,
  outputLinear,
  packScalar,
  packVec4,
  pairF16U32,
  pairF16U64,
  pairF32U64,
  params,
  perHead,
  productsF16,
  productsF32,
  put,
  putQkv,
  putSum,
  quantizedPack,
  quantizedRow,
  queriesBroadcast,
  queriesLoaded,
  queryNumbers,
  queryPacks,
  rope,
  ropeNone,
  rowTile,
  scoreAlibi,
  scoreBias,
  scoreMask,
  scoreSoftcap,
  scoresApart,
  scoresInPlace,
  singlePack,
  sinkLogits,
  sinkNone,
  softmaxState,
  storeLse,
  storeOutput,
  storePartial,
  storePlain,
  storeQuantized,
  valuesApart,
  valuesMatrix,
  weightNumbers,
  weightQuantized,
  weightsBroadcast,
  weightsLoaded,
};
