/** ONNX models as the bytes that a runtime loads (onnx.proto3, the messages that inference needs). */
import { PbfWriter } from "pbf";

/** Numbers of `TensorProto.DataType`. */
const TYPES = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, float16: 10 } as const;
/** Numbers of `AttributeProto.AttributeType`. */
const [FLOAT, INT, STRING] = [1, 2, 3];
/** The oldest that has operator sets of version 23. */
const IR_VERSION = 11;

/** The name of an axis whose size is known when a model runs. */
export type Axis = number | string;

/** A tensor that goes into a model or comes out. */
export interface Value<Size extends Axis = Axis> {
  name: string;
  type: keyof typeof TYPES;
  shape: readonly Size[];
}

/** A tensor that is part of a model. */
export interface Initializer extends Value<number> {
  data: Float32Array | Int32Array | BigInt64Array;
}

/** An operator; tensors between operators are known by their names. */
export interface Node<Tensor extends { name: string } = { name: string }> {
  op: string;
  /** "" for ONNX's own. */
  domain: string;
  integers?: Readonly<Record<string, number>>;
  floats?: Readonly<Record<string, number>>;
  strings?: Readonly<Record<string, string>>;
  /** Names in the operator's order; empty where an optional input is left out. */
  inputs: readonly (Tensor | undefined)[];
  outputs: readonly Tensor[];
}

/** A model: operators in the order of their work. */
export interface Graph {
  name: string;
  /** Versions of the operator sets by their domains. */
  versions: Readonly<Record<string, number>>;
  nodes: readonly Node[];
  inputs: readonly Value[];
  outputs: readonly Value[];
  initializers?: readonly Initializer[];
}

/** The graph of one operator, whose tensors all go in or come out. */
export function graphOf(node: Node<Value>, version: number): Graph {
  return {
    name: node.op,
    versions: { [node.domain]: version },
    nodes: [node],
    inputs: node.inputs.filter((input) => input !== undefined),
    outputs: node.outputs,
  };
}

/** The bytes of a `ModelProto`. */
export function encodeModel(graph: Graph): Uint8Array<ArrayBuffer> {
  const model = new PbfWriter();
  model.writeVarintField(1, IR_VERSION);
  model.writeMessage(7, writeGraph, graph);
  for (const set of Object.entries(graph.versions)) model.writeMessage(8, writeOperatorSet, set);
  return model.finish() as Uint8Array<ArrayBuffer>;
}

function writeOperatorSet([domain, version]: [string, number], set: PbfWriter): void {
  set.writeStringField(1, domain);
  set.writeVarintField(2, version);
}

function writeGraph({ name, nodes, inputs, outputs, initializers = [] }: Graph, to: PbfWriter) {
  for (const node of nodes) to.writeMessage(1, writeNode, node);
  to.writeStringField(2, name);
  for (const initializer of initializers) to.writeMessage(5, writeInitializer, initializer);
  for (const input of inputs) to.writeMessage(11, writeValue, input);
  for (const output of outputs) to.writeMessage(12, writeValue, output);
}

function writeNode(node: Node, message: PbfWriter): void {
  for (const input of node.inputs) message.writeStringField(1, input?.name ?? "");
  for (const { name } of node.outputs) message.writeStringField(2, name);
  message.writeStringField(4, node.op);
  for (const [name, value] of Object.entries(node.integers ?? {})) {
    message.writeMessage(5, (value, attribute) => {
      attribute.writeStringField(1, name);
      attribute.writeVarintField(3, value);
      attribute.writeVarintField(20, INT);
    }, value);
  }
  for (const [name, value] of Object.entries(node.floats ?? {})) {
    message.writeMessage(5, (value, attribute) => {
      attribute.writeStringField(1, name);
      attribute.writeFloatField(2, value);
      attribute.writeVarintField(20, FLOAT);
    }, value);
  }
  for (const [name, value] of Object.entries(node.strings ?? {})) {
    message.writeMessage(5, (value, attribute) => {
      attribute.writeStringField(1, name);
      attribute.writeStringField(4, value);
      attribute.writeVarintField(20, STRING);
    }, value);
  }
  message.writeStringField(7, node.domain);
}

function writeInitializer({ name, type, shape, data }: Initializer, tensor: PbfWriter): void {
  for (const size of shape) tensor.writeVarintField(1, size);
  tensor.writeVarintField(2, TYPES[type]);
  tensor.writeStringField(8, name);
  tensor.writeBytesField(9, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
}

function writeValue({ name, type, shape }: Value, message: PbfWriter): void {
  message.writeStringField(1, name);
  message.writeMessage(2, (_, typeMessage) => {
    typeMessage.writeMessage(1, (_, tensor) => {
      tensor.writeVarintField(1, TYPES[type]);
      tensor.writeMessage(2, writeShape, shape);
    }, undefined);
  }, undefined);
}

function writeShape(shape: readonly Axis[], message: PbfWriter): void {
  for (const size of shape) {
    message.writeMessage(1, (size, dimension) => {
      if (typeof size === "number") dimension.writeVarintField(1, size);
      else dimension.writeStringField(2, size);
    }, size);
  }
}
