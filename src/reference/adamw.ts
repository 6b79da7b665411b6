/** AdamW in float64, as an oracle for its kernels. */

/** A parameter with the means of its gradients and of their squares, in float64. */
export interface ReferenceParameter {
  w: Float64Array;
  m: Float64Array;
  v: Float64Array;
}

/** One step of all parameters, in place (Loshchilov and Hutter 2017, arXiv 1711.05101, algorithm 2). */
export function adamwStep(
  parameters: readonly ReferenceParameter[],
  gradients: readonly Float64Array[],
  { step, rate, beta1, beta2, eps, clip, decay }: {
    step: number;
    rate: number;
    beta1: number;
    beta2: number;
    eps: number;
    /** Largest norm of all gradients together. */
    clip: number;
    /** Decay of each parameter. */
    decay: readonly number[];
  },
): void {
  const square = gradients.reduce((sum, g) => g.reduce((own, value) => own + value ** 2, sum), 0);
  const factor = Math.min(1, clip / Math.sqrt(square));
  parameters.forEach(({ w, m, v }, n) => {
    for (let i = 0; i < w.length; i++) {
      const g = factor * gradients[n][i];
      m[i] = beta1 * m[i] + (1 - beta1) * g;
      v[i] = beta2 * v[i] + (1 - beta2) * g ** 2;
      const towards = m[i] / (1 - beta1 ** step) /
        (Math.sqrt(v[i] / (1 - beta2 ** step)) + eps);
      w[i] -= rate * (towards + decay[n] * w[i]);
    }
  });
}
