/** The kernels as text: the one place where WGSL files are imported. */
import append from "./append.wgsl" with { type: "text" };
import attend from "./attend.wgsl" with { type: "text" };
import fork from "./fork.wgsl" with { type: "text" };
import linear from "./linear.wgsl" with { type: "text" };
import mergeSlices from "./merge_slices.wgsl" with { type: "text" };
import mergeStates from "./merge_states.wgsl" with { type: "text" };
import norm from "./norm.wgsl" with { type: "text" };
import rotate from "./rotate.wgsl" with { type: "text" };
import scores from "./scores.wgsl" with { type: "text" };
import softmax from "./softmax.wgsl" with { type: "text" };
import weightedSum from "./weighted_sum.wgsl" with { type: "text" };
import activationGelu from "./shared/activation_gelu.wgsl" with { type: "text" };
import activationGeluTanh from "./shared/activation_gelu_tanh.wgsl" with { type: "text" };
import activationSilu from "./shared/activation_silu.wgsl" with { type: "text" };
import bias from "./shared/bias.wgsl" with { type: "text" };
import biasNone from "./shared/bias_none.wgsl" with { type: "text" };
import broadcast from "./shared/broadcast.wgsl" with { type: "text" };
import context from "./shared/context.wgsl" with { type: "text" };
import forkAcross from "./shared/fork_across.wgsl" with { type: "text" };
import forkWithin from "./shared/fork_within.wgsl" with { type: "text" };
import halfScalar from "./shared/half_scalar.wgsl" with { type: "text" };
import halfVec4 from "./shared/half_vec4.wgsl" with { type: "text" };
import keysApart from "./shared/keys_apart.wgsl" with { type: "text" };
import keysDirect from "./shared/keys_direct.wgsl" with { type: "text" };
import keysMatrix from "./shared/keys_matrix.wgsl" with { type: "text" };
import keysShared from "./shared/keys_shared.wgsl" with { type: "text" };
import keysStaged from "./shared/keys_staged.wgsl" with { type: "text" };
import kvNumbers from "./shared/kv_numbers.wgsl" with { type: "text" };
import kvQuantized from "./shared/kv_quantized.wgsl" with { type: "text" };
import kvRows from "./shared/kv_rows.wgsl" with { type: "text" };
import lanesMemory from "./shared/lanes_memory.wgsl" with { type: "text" };
import lanesOne from "./shared/lanes_one.wgsl" with { type: "text" };
import lanesShuffle from "./shared/lanes_shuffle.wgsl" with { type: "text" };
import lseNone from "./shared/lse_none.wgsl" with { type: "text" };
import masked from "./shared/masked.wgsl" with { type: "text" };
import matrixChromium from "./shared/matrix_chromium.wgsl" with { type: "text" };
import matrixScalar from "./shared/matrix_scalar.wgsl" with { type: "text" };
import matrixTile from "./shared/matrix_tile.wgsl" with { type: "text" };
import matrixVec4 from "./shared/matrix_vec4.wgsl" with { type: "text" };
import momentsLayer from "./shared/moments_layer.wgsl" with { type: "text" };
import momentsRms from "./shared/moments_rms.wgsl" with { type: "text" };
import outputActivated from "./shared/output_activated.wgsl" with { type: "text" };
import outputGated from "./shared/output_gated.wgsl" with { type: "text" };
import outputLinear from "./shared/output_linear.wgsl" with { type: "text" };
import packScalar from "./shared/pack_scalar.wgsl" with { type: "text" };
import packVec4 from "./shared/pack_vec4.wgsl" with { type: "text" };
import pairF16U32 from "./shared/pair_f16_u32.wgsl" with { type: "text" };
import pairF16U64 from "./shared/pair_f16_u64.wgsl" with { type: "text" };
import pairF32U64 from "./shared/pair_f32_u64.wgsl" with { type: "text" };
import params from "./shared/params.wgsl" with { type: "text" };
import perHead from "./shared/per_head.wgsl" with { type: "text" };
import productsF16 from "./shared/products_f16.wgsl" with { type: "text" };
import productsF32 from "./shared/products_f32.wgsl" with { type: "text" };
import put from "./shared/put.wgsl" with { type: "text" };
import putQkv from "./shared/put_qkv.wgsl" with { type: "text" };
import putSum from "./shared/put_sum.wgsl" with { type: "text" };
import quantizedPack from "./shared/quantized_pack.wgsl" with { type: "text" };
import quantizedRow from "./shared/quantized_row.wgsl" with { type: "text" };
import queriesBroadcast from "./shared/queries_broadcast.wgsl" with { type: "text" };
import queriesLoaded from "./shared/queries_loaded.wgsl" with { type: "text" };
import queryNumbers from "./shared/query_numbers.wgsl" with { type: "text" };
import queryPacks from "./shared/query_packs.wgsl" with { type: "text" };
import rope from "./shared/rope.wgsl" with { type: "text" };
import ropeNone from "./shared/rope_none.wgsl" with { type: "text" };
import rowTile from "./shared/row_tile.wgsl" with { type: "text" };
import scoreAlibi from "./shared/score_alibi.wgsl" with { type: "text" };
import scoreBias from "./shared/score_bias.wgsl" with { type: "text" };
import scoreMask from "./shared/score_mask.wgsl" with { type: "text" };
import scoreSoftcap from "./shared/score_softcap.wgsl" with { type: "text" };
import scoresApart from "./shared/scores_apart.wgsl" with { type: "text" };
import scoresInPlace from "./shared/scores_in_place.wgsl" with { type: "text" };
import singlePack from "./shared/single_pack.wgsl" with { type: "text" };
import sinkLogits from "./shared/sink_logits.wgsl" with { type: "text" };
import sinkNone from "./shared/sink_none.wgsl" with { type: "text" };
import softmaxState from "./shared/softmax_state.wgsl" with { type: "text" };
import storeLse from "./shared/store_lse.wgsl" with { type: "text" };
import storeOutput from "./shared/store_output.wgsl" with { type: "text" };
import storePartial from "./shared/store_partial.wgsl" with { type: "text" };
import storePlain from "./shared/store_plain.wgsl" with { type: "text" };
import storeQuantized from "./shared/store_quantized.wgsl" with { type: "text" };
import valuesApart from "./shared/values_apart.wgsl" with { type: "text" };
import valuesMatrix from "./shared/values_matrix.wgsl" with { type: "text" };
import weightNumbers from "./shared/weight_numbers.wgsl" with { type: "text" };
import weightQuantized from "./shared/weight_quantized.wgsl" with { type: "text" };
import weightsBroadcast from "./shared/weights_broadcast.wgsl" with { type: "text" };
import weightsLoaded from "./shared/weights_loaded.wgsl" with { type: "text" };

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
