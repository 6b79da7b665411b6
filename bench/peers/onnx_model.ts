/** ONNX models of one operator, as the bytes that a runtime loads (onnx.proto3, the messages that such a model needs). */
import { PbfWriter } from "pbf";

/** Numbers of `TensorProto.DataType`. */
const TYPES = { float32: 1, int32: 6, float16: 10 } as const;
/** Numbers of `AttributeProto.AttributeType`. */
const [FLOAT, INT] = [1, 2];
/** The oldest that has operator sets of version 23. */
const IR_VERSION = 11;

/** A tensor that goes in or comes out. */
export interface Value {
  name: string;
  type: keyof typeof TYPES;
  shape: readonly number[];
}

/** An operator. */
export interface Node {
  op: string;
  /** "" for ONNX's own. */
  domain: string;
  version: number;
  integers?: Readonly<Record<string, number>>;
  floats?: Readonly<Record<string, number>>;
  /** Names in the operator's order; empty where an optional input is left out. */
  inputs: readonly (Value | undefined)[];
  outputs: readonly Value[];
}

/** The bytes of a `ModelProto` that consists of one operator. */
export function encodeModel(node: Node): Uint8Array {
  const model = new PbfWriter();
  model.writeVarintField(1, IR_VERSION);
  model.writeMessage(7, writeGraph, node);
  model.writeMessage(8, writeOperatorSet, node);
  return model.finish();
}

function writeOperatorSet({ domain, version }: Node, set: PbfWriter): void {
  set.writeStringField(1, domain);
  set.writeVarintField(2, version);
}

function writeGraph(node: Node, graph: PbfWriter): void {
  graph.writeMessage(1, writeNode, node);
  graph.writeStringField(2, node.op);
  for (const input of node.inputs) if (input) graph.writeMessage(11, writeValue, input);
  for (const output of node.outputs) graph.writeMessage(12, writeValue, output);
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
  message.writeStringField(7, node.domain);
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

function writeShape(shape: readonly number[], message: PbfWriter): void {
  for (const size of shape) {
    message.writeMessage(1, (size, dimension) => dimension.writeVarintField(1, size), size);
  }
}
