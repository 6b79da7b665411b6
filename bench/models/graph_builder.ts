/** Graphs of ONNX, built operator by operator. */
import type { Initializer, Node } from "../peers/onnx_model.ts";

/** A tensor between operators. */
export interface Tensor {
  name: string;
}

/** A matrix of a projection [outputs, inputs]. */
export interface Matrix {
  data: ArrayLike<number>;
  shape: readonly number[];
}

/** Operators and constants so far. */
export class GraphBuilder {
  readonly nodes: Node[] = [];
  readonly #initializers = new Map<string, Initializer>();

  get initializers(): Initializer[] {
    return [...this.#initializers.values()];
  }

  /** Adds an operator with one output. */
  add(op: string, inputs: readonly Tensor[], others: Partial<Node> = {}): Tensor {
    const output = { name: `${op}.${this.nodes.length}` };
    this.nodes.push({ op, domain: "", inputs, outputs: [output], ...others });
    return output;
  }

  /** A constant of floats. One that is there already stays, as do those of integers. */
  floats(name: string, shape: readonly number[], values: ArrayLike<number>): Tensor {
    return this.#keep({ name, type: "float32", shape, data: Float32Array.from(values) });
  }

  /** A constant of integers that index tensors. */
  indices(name: string, values: readonly number[]): Tensor {
    const data = Int32Array.from(values);
    return this.#keep({ name, type: "int32", shape: [values.length], data });
  }

  /** x in another shape: 0 leaves an axis as it is, and -1 is what is left. */
  reshape(x: Tensor, name: string, sizes: readonly number[]): Tensor {
    const data = BigInt64Array.from(sizes, BigInt);
    const shape = this.#keep({ name, type: "int64", shape: [sizes.length], data });
    return this.add("Reshape", [x, shape]);
  }

  /** A projection of x; its matrix is stored transposed, as operators want it. */
  project(name: string, x: Tensor, { data, shape }: Matrix, bias?: ArrayLike<number>): Tensor {
    const [outputs, inputs] = shape;
    const transposed = new Float32Array(outputs * inputs);
    for (let row = 0; row < outputs; row++) {
      for (let column = 0; column < inputs; column++) {
        transposed[column * outputs + row] = data[row * inputs + column];
      }
    }
    const y = this.add("MatMul", [x, this.floats(`${name}.matrix`, [inputs, outputs], transposed)]);
    return bias ? this.add("Add", [y, this.floats(`${name}.bias`, [outputs], bias)]) : y;
  }

  #keep(initializer: Initializer): Tensor {
    const { name } = initializer;
    if (!this.#initializers.has(name)) this.#initializers.set(name, initializer);
    return { name };
  }
}
