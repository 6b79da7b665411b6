// Graphs of ONNX in float64, by the definitions of the operators that the bench writes.
import type { Graph, Node } from "../../bench/peers/onnx_model.ts";
import { activations } from "../../src/reference/activations.ts";
import { referenceRow } from "../../src/reference/attention.ts";

/** A tensor, row-major. */
export interface Tensor64 {
  data: Float64Array;
  shape: readonly number[];
}

/** A tensor of these numbers. */
export function tensorOf(shape: readonly number[], values: ArrayLike<number>): Tensor64 {
  const size = shape.reduce((a, b) => a * b, 1);
  if (values.length !== size) throw new Error(`${values.length} numbers are not [${shape}]`);
  return { data: Float64Array.from(values), shape };
}

/** Runs a graph; returns every tensor by its name. */
export function runGraph(
  { nodes, initializers = [] }: Graph,
  inputs: Readonly<Record<string, Tensor64>>,
): Map<string, Tensor64> {
  const tensors = new Map(Object.entries(inputs));
  for (const { name, shape, data } of initializers) {
    tensors.set(name, tensorOf(shape, Array.from(data as ArrayLike<number | bigint>, Number)));
  }
  for (const node of nodes) {
    const given = node.inputs.map((input) => {
      if (input === undefined) return undefined;
      const tensor = tensors.get(input.name);
      if (tensor === undefined) throw new Error(`${node.op} reads ${input.name}: there is none`);
      return tensor;
    });
    OPERATORS[node.op](given as Tensor64[], node).forEach((output, i) =>
      tensors.set(node.outputs[i].name, output)
    );
  }
  return tensors;
}

type Operator = (inputs: Tensor64[], node: Node) => Tensor64[];

const OPERATORS: Readonly<Record<string, Operator>> = {
  Gather: ([x, indices], { integers }) => {
    const axis = integers?.axis ?? 0;
    const [before, after] = [x.shape.slice(0, axis), x.shape.slice(axis + 1)];
    const [outer, size, inner] = [before, [x.shape[axis]], after].map((of) =>
      of.reduce((a, b) => a * b, 1)
    );
    const values = Array.from({ length: outer }, (_, o) =>
      Array.from(indices.data, (index) => {
        const row = o * size + (index + size) % size;
        return Array.from(x.data.subarray(row * inner, (row + 1) * inner));
      })).flat(2);
    return [tensorOf([...before, ...indices.shape, ...after], values)];
  },
  Add: ([a, b]) => [pairwise(a, b, (x, y) => x + y)],
  Mul: ([a, b]) => [pairwise(a, b, (x, y) => x * y)],
  Sigmoid: ([x]) => [each(x, (value) => 1 / (1 + Math.exp(-value)))],
  FastGelu: ([x]) => [each(x, activations.geluTanh)],
  Gelu: ([x]) => [each(x, activations.gelu)],
  MatMul: ([x, w]) => {
    const [inputs, outputs] = w.shape;
    return [byRows(x, outputs, (row) =>
      Array.from(
        { length: outputs },
        (_, column) => row.reduce((sum, value, i) => sum + value * w.data[i * outputs + column], 0),
      ), inputs)];
  },
  SimplifiedLayerNormalization: ([x, gain], { floats }) => {
    const size = gain.data.length;
    return [byRows(x, size, (row) => {
      const square = row.reduce((sum, value) => sum + value ** 2, 0) / size;
      return row.map((value, i) => value / Math.sqrt(square + floats!.epsilon) * gain.data[i]);
    }, size)];
  },
  LayerNormalization: ([x, gain, bias], { floats }) => {
    const size = gain.data.length;
    return [byRows(x, size, (row) => {
      const mean = row.reduce((sum, value) => sum + value, 0) / size;
      const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / size;
      const deviation = Math.sqrt(variance + floats!.epsilon);
      return row.map((value, i) =>
        (value - mean) / deviation * gain.data[i] + (bias?.data[i] ?? 0)
      );
    }, size)];
  },
  Reshape: ([x, { data }]) => {
    const known = Array.from(data, (size, axis) => size === 0 ? x.shape[axis] : size);
    const rest = x.data.length / known.reduce((a, b) => b < 0 ? a : a * b, 1);
    return [tensorOf(known.map((size) => size < 0 ? rest : size), x.data)];
  },
  ArgMax: ([x], { integers }) => {
    const { data, shape } = byRows(x, 1, (row) => [row.indexOf(Math.max(...row))]);
    return [tensorOf(integers!.keepdims === 0 ? shape.slice(0, -1) : shape, data)];
  },
  Cast: ([x]) => [x],
  RotaryEmbedding: ([x, { data: [offset] }, cosines, sines]) => {
    const [batch, tokens, width] = x.shape;
    const headDim = 2 * cosines.shape[1];
    const heads = tensorOf([batch * tokens * width / headDim, headDim], x.data);
    let head = 0;
    const rotated = byRows(heads, headDim, (row) => {
      const token = Math.floor(head++ * headDim / width) % tokens;
      return rotatedRow(row, offset + token, cosines, sines);
    });
    return [tensorOf(x.shape, rotated.data)];
  },
  GroupQueryAttention: attend,
};

/** A head at a position, rotated by halves. */
function rotatedRow(row: number[], position: number, cosines: Tensor64, sines: Tensor64): number[] {
  const pairs = row.length / 2;
  return row.map((x, i) => {
    const at = position * pairs + i % pairs;
    const partner = i < pairs ? -row[i + pairs] : row[i - pairs];
    return x * cosines.data[at] + partner * sines.data[at];
  });
}

function each({ data, shape }: Tensor64, of: (value: number) => number): Tensor64 {
  return tensorOf(shape, data.map(of));
}

/** The smaller operand goes round. */
function pairwise(a: Tensor64, b: Tensor64, of: (x: number, y: number) => number): Tensor64 {
  return tensorOf(a.shape, a.data.map((x, i) => of(x, b.data[i % b.data.length])));
}

/** Maps rows of the last axis. */
function byRows(
  { data, shape }: Tensor64,
  size: number,
  of: (row: number[]) => number[],
  expected = shape.at(-1)!,
): Tensor64 {
  const width = shape.at(-1)!;
  if (width !== expected) throw new Error(`rows of ${width} are not ${expected} long`);
  const rows = Array.from(
    { length: data.length / width },
    (_, row) => of(Array.from(data.subarray(row * width, (row + 1) * width))),
  );
  return tensorOf(shape.with(-1, size), rows.flat());
}

/** com.microsoft.GroupQueryAttention. Its cache comes out with the new tokens, and goes in as it was. */
function attend(inputs: Tensor64[], { integers, floats }: Node): Tensor64[] {
  const [query, key, value, pastKey, pastValue, lastPositions, , cosines, sines] = inputs;
  const { num_heads: numHeads, kv_num_heads: numKvHeads, local_window_size: window } = integers!;
  const [batch, numKv, capacity, headDim] = pastKey.shape;
  const seqLen = query.shape[1];
  const rotate = (row: number[], position: number) =>
    integers!.do_rotary ? rotatedRow(row, position, cosines, sines) : row;
  /** Head `head` of the rows of a token, in one tensor with all heads or in one of its own. */
  const headOf =
    (own: Tensor64 | undefined, before: number) => (b: number, t: number, h: number) => {
      const { data, shape } = own ?? query;
      const first = (b * seqLen + t) * shape[2] + ((own ? 0 : before) + h) * headDim;
      return Array.from(data.subarray(first, first + headDim));
    };
  const [q, k, v] = [
    headOf(key && query, 0),
    headOf(key, numHeads),
    headOf(value, numHeads + numKvHeads),
  ];
  const caches = [pastKey.data.slice(), pastValue.data.slice()];
  const o: number[] = [];
  for (let b = 0; b < batch; b++) {
    const before = lastPositions.data[b] + 1 - seqLen;
    for (let t = 0; t < seqLen; t++) {
      for (let h = 0; h < numKvHeads; h++) {
        const at = ((b * numKv + h) * capacity + before + t) * headDim;
        caches[0].set(rotate(k(b, t, h), before + t), at);
        caches[1].set(v(b, t, h), at);
      }
      for (let h = 0; h < numHeads; h++) {
        const kvHead = Math.floor(h / (numHeads / numKvHeads));
        const first = (b * numKv + kvHead) * capacity * headDim;
        const count = before + t + 1;
        const rows = caches.map((cache) => ({
          data: cache.subarray(first, first + count * headDim),
          shape: [1, count, 1, headDim],
        }));
        const row = { data: rotate(q(b, t, h), before + t), shape: [1, 1, 1, headDim] };
        const tensors = { q: row, k: rows[0], v: rows[1] };
        const at = { batch: 0, head: 0, token: 0 };
        o.push(...referenceRow(tensors, at, { window, scale: floats!.scale }).o);
      }
    }
  }
  return [
    tensorOf([batch, seqLen, numHeads * headDim], o),
    ...caches.map((cache) => tensorOf(pastKey.shape, cache)),
  ];
}
