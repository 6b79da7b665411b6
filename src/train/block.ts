/** One layer of a decoder over new sequences: forward, with what the backward pass reads, and backward. */
import { type BoundWork, inSequence } from "../gpu/bound_work.ts";
import { Inside } from "../layer/feed_forward.ts";
import { LinearGradient } from "../layer/linear_gradient.ts";
import { NormGradient } from "../layer/norm_gradient.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Pass } from "./pass.ts";

/** What a layer computes between its input and its output, all f32; T = batch x seqLen tokens. */
export interface BlockActivations {
  /** The input of attention [T, dim]. */
  attentionInput: Tensor;
  /** Rotated queries [batch, seqLen, numHeads, headDim]. */
  q: Tensor;
  /** Rotated keys [batch, seqLen, numKvHeads, headDim]. */
  k: Tensor;
  /** Values [batch, seqLen, numKvHeads, headDim]. */
  v: Tensor;
  /** The output of attention [batch, seqLen, numHeads, headDim]. */
  o: Tensor;
  /** The log-sum-exp of scores [batch, seqLen, numHeads]. */
  lse: Tensor;
  /** The residual stream behind attention [T, dim]. */
  middle: Tensor;
  /** The input of the feed-forward layer [T, dim]. */
  mlpInput: Tensor;
  /** The gate [T, hiddenDim], where there is one. */
  gate?: Tensor;
  /** What is activated, or let through by the gate [T, hiddenDim]. */
  up: Tensor;
  /** The inside of the feed-forward layer [T, hiddenDim]. */
  inside: Tensor;
}

/** The gradients by what a layer computes, each shaped as it; they live only as long as the backward pass of the layer. */
export interface BlockGradients {
  /** By the input of attention, then by that of the feed-forward layer. */
  dInput: Tensor;
  dq: Tensor;
  dk: Tensor;
  dv: Tensor;
  dO: Tensor;
  dGate?: Tensor;
  dUp: Tensor;
  dInside: Tensor;
}

/** Allocates the activations of a layer. */
export async function blockActivations(pass: Pass): Promise<BlockActivations> {
  const { row, hidden, queries, keys } = shapesOf(pass);
  const shapes = {
    ...{ attentionInput: row, q: queries, k: keys, v: keys, o: queries },
    ...{ lse: queries.slice(0, -1), middle: row, mlpInput: row, up: hidden, inside: hidden },
  };
  const gate = pass.spec.isGated ? await pass.tensors({ gate: hidden }) : {};
  return { ...await pass.tensors(shapes), ...gate };
}

/** Allocates the gradients that all layers share. */
export async function blockGradients(pass: Pass): Promise<BlockGradients> {
  const { row, hidden, queries, keys } = shapesOf(pass);
  const shapes = {
    ...{ dInput: row, dq: queries, dk: keys, dv: keys, dO: queries, dUp: hidden, dInside: hidden },
  };
  const gate = pass.spec.isGated ? await pass.tensors({ dGate: hidden }) : {};
  return { ...await pass.tensors(shapes), ...gate };
}

function shapesOf({ spec, shape: { batch, seqLen }, numTokens }: Pass) {
  return {
    row: [numTokens, spec.dim],
    hidden: [numTokens, spec.hiddenDim],
    queries: [batch, seqLen, spec.numHeads, spec.headDim],
    keys: [batch, seqLen, spec.numKvHeads, spec.headDim],
  };
}

/** Binds layer `index` from the residual stream `x` [T, dim] to `y` [T, dim]. */
export async function bindBlock(
  pass: Pass,
  index: number,
  { x, y }: Record<"x" | "y", Tensor>,
  activations: BlockActivations,
): Promise<BoundWork> {
  const { spec, parameters, numTokens } = pass;
  const { attentionInput, q, k, v, o, lse, middle, mlpInput, gate, up, inside } = activations;
  const layer = spec.layers[index];
  const name = (component: string) => `layers.${index}.${component}`;
  const normed = async (component: string, x: Tensor, y: Tensor) =>
    (await parameters.norm(name(component), spec))
      .bind({ x: x.buffer, y: y.buffer }, numTokens);
  const projected = (component: string, x: Tensor, y: Tensor) =>
    parameters.linear(name(component)).bind({ x: x.buffer, y: y.buffer }, numTokens);
  const added = (component: string, from: { x: Tensor; residual: Tensor }, y: Tensor) => {
    const buffers = { x: from.x.buffer, residual: from.residual.buffer, y: y.buffer };
    return parameters.linear(name(component)).bind(buffers, numTokens, "added");
  };
  const activated = pass.owned.keep(new Inside(pass.gpu, insideOf(pass)));
  return inSequence([
    await normed("attentionNorm", x, attentionInput),
    await projected("q", attentionInput, q),
    await projected("k", attentionInput, k),
    await projected("v", attentionInput, v),
    ...await pass.rotation(layer, q, "forward"),
    ...await pass.rotation(layer, k, "forward"),
    (await pass.attention(layer)).bind({ q, k, v, o, lse }),
    await added("o", { x: o, residual: x }, middle),
    await normed("mlpNorm", middle, mlpInput),
    ...(gate ? [await projected("gate", mlpInput, gate)] : []),
    await projected("up", mlpInput, up),
    await activated.bind(
      { up: up.buffer, y: inside.buffer, ...(gate && { gate: gate.buffer }) },
      up.length,
    ),
    await added("down", { x: inside, residual: middle }, y),
  ]);
}

/**
 * Binds the backward pass of layer `index`: `dh` [T, dim], the gradient by its output, becomes that by its input `x`, and the
 * weights' gradients are added to.
 */
export async function bindBlockGradient(
  pass: Pass,
  index: number,
  { x, dh }: Record<"x" | "dh", Tensor>,
  activations: BlockActivations,
  { dInput, dq, dk, dv, dO, dGate, dUp, dInside }: BlockGradients,
): Promise<BoundWork> {
  const { spec } = pass;
  const { attentionInput, q, k, v, o, lse, middle, mlpInput, gate, up, inside } = activations;
  const layer = spec.layers[index];
  const name = (component: string) => `layers.${index}.${component}`;
  const projected = (component: string, tensors: ProjectionTensors, to?: "y" | "sum") =>
    bindProjectionGradient(pass, name(component), tensors, to);
  const normed = (component: string, x: Tensor) =>
    bindNormGradient(pass, name(component), { x, dy: dInput, dx: dh }, "sum");
  const activated = pass.owned.keep(new Inside(pass.gpu, insideOf(pass)));
  return inSequence([
    await projected("down", { x: inside, dy: dh, dx: dInside }),
    await activated.bindGradient(
      {
        ...{ up: up.buffer, dy: dInside.buffer, dUp: dUp.buffer },
        ...(gate && dGate && { gate: gate.buffer, dGate: dGate.buffer }),
      },
      up.length,
    ),
    await projected("up", { x: mlpInput, dy: dUp, dx: dInput }),
    ...(dGate ? [await projected("gate", { x: mlpInput, dy: dGate, dx: dInput }, "sum")] : []),
    await normed("mlpNorm", middle),
    await projected("o", { x: o, dy: dh, dx: dO }),
    (await pass.attentionGradient(layer)).bind({ q, k, v, o, lse, dO, dq, dk, dv }),
    ...await pass.rotation(layer, dq, "backward"),
    ...await pass.rotation(layer, dk, "backward"),
    await projected("q", { x: attentionInput, dy: dq, dx: dInput }),
    await projected("k", { x: attentionInput, dy: dk, dx: dInput }, "sum"),
    await projected("v", { x: attentionInput, dy: dv, dx: dInput }, "sum"),
    await normed("attentionNorm", x),
  ]);
}

function insideOf({ spec: { activation: kind, isGated } }: Pass) {
  return { kind, isGated };
}

/** What a projection or a norm read, the gradient by its output, and that by its input. */
type ProjectionTensors = Record<"x" | "dy" | "dx", Tensor>;

/** Binds the gradients of a projection: that by its input is written, or added to what is there. */
export async function bindProjectionGradient(
  { gpu, owned, parameters, numTokens }: Pass,
  component: string,
  { x, dy, dx }: ProjectionTensors,
  to?: "y" | "sum",
): Promise<BoundWork> {
  const w = parameters.matrix(component);
  const linear = owned.keep(new LinearGradient(gpu, component, w.shape));
  const gradients = {
    dw: parameters.gradient(`${component}.weight`)!,
    db: parameters.gradient(`${component}.bias`),
  };
  const weight = w.bands[0].w.buffer;
  return inSequence([
    await linear.bindInput({ dy: dy.buffer, w: weight, dx: dx.buffer }, numTokens, to),
    await linear.bindWeights({ x: x.buffer, dy: dy.buffer, ...gradients }, numTokens),
  ]);
}

/** Binds the gradients of a norm: that by its input is written, or added to what is there. */
export async function bindNormGradient(
  { gpu, owned, spec, parameters, numTokens }: Pass,
  component: string,
  { x, dy, dx }: ProjectionTensors,
  to?: "y" | "sum",
): Promise<BoundWork> {
  const norm = owned.keep(new NormGradient(gpu, spec.dim, spec.norm));
  return await norm.bind(
    {
      ...{ x: x.buffer, dy: dy.buffer, dx: dx.buffer },
      gain: parameters.tensors.get(`${component}.weight`)!.buffer,
      dGain: parameters.gradient(`${component}.weight`)!,
      dBias: parameters.gradient(`${component}.bias`),
    },
    numTokens,
    to,
  );
}
