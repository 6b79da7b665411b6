// Saves states to a file, one after the other, until it is killed. Arguments: the file.
import { replaceFile } from "../../src/checkpoints/writer/replace_file.ts";
import { encodeState } from "../../src/train/state.ts";

const [path] = Deno.args;
for (let step = 1;; step++) {
  const data = new Float32Array(2 ** 18).fill(step);
  const tensors = [{ name: "w", shape: [data.length], data }];
  await replaceFile(path, await encodeState({ step, tensors }));
}
