import { CheckpointError } from "../../base/errors.ts";
import { checkObject, checkString, sentence } from "../../base/check.ts";
import type { DecoderSource } from "../../model/decoder_source.ts";
import { weightShapes } from "../../model/weight_shapes.ts";
import { checkCheckpoint, type Checkpoint } from "../checkpoint.ts";
import { pathIn } from "../file_system.ts";
import { openCheckpoint } from "../open.ts";
import { familyTensors } from "./family_tensors.ts";
import { writeNewFile, writeNewFolder } from "./new_folder.ts";
import { withRotaryHalves } from "./rotary_halves.ts";
import { writeTokenizer } from "./tokenizer_files.ts";
import { writeSafetensors } from "./write_safetensors.ts";
import { writtenConfig } from "./written_config.ts";

const ACTION = "write a checkpoint";

/** Options of {@linkcode writeCheckpoint}. */
export interface WriteOptions {
  /**
   * The tokenizer that goes along: a folder or its `tokenizer.json`, which are copied, or the tokenizer file of llama2.c, which
   * becomes a `tokenizer.json`. The default is none.
   */
  tokenizer?: string;
}

/**
 * Writes a decoder as a folder of a Hugging Face model: `config.json` and `model.safetensors` in F32, under the names of its
 * family, so that transformers, vLLM and {@linkcode openCheckpoint} read it. What was read with a `config.json` keeps it, but
 * for the number of KV heads; a decoder without one becomes a Llama, with rotary positions of halves.
 *
 * All is written into a folder beside, read back and compared, and only then has its name: a failure leaves nothing.
 *
 * @param folder Where to; absent or empty.
 * @param checkpoint A decoder, such as {@linkcode withMergedKvHeads} makes.
 * @param options Its tokenizer.
 * @throws {TypeError} If a value is of the wrong kind.
 * @throws {RangeError} If a size is out of range, no `config.json` of its family can say its shape, or a weight is not finite.
 * @throws {CheckpointError} If the folder holds something, a file cannot be read or written, or what was written reads back
 * otherwise.
 *
 * @example A llama2.c model with one KV head, as a Llama
 * ```ts ignore
 * import { openCheckpoint, withPooledKvHeads, writeCheckpoint } from "@onehead/attention/checkpoints";
 *
 * const checkpoint = await openCheckpoint("stories260K.bin");
 * await writeCheckpoint("stories-mqa", withPooledKvHeads(checkpoint, { kvHeads: 1 }));
 * await checkpoint.close();
 * const written = await openCheckpoint("stories-mqa");
 * console.log(written.spec.numKvHeads, written.spec.layers[0].rope?.style); // 1 halves
 * await written.close();
 * ```
 */
export async function writeCheckpoint(
  folder: string,
  checkpoint: Omit<Checkpoint, "close">,
  options: WriteOptions = {},
): Promise<void> {
  checkCheckpoint(ACTION, checkpoint);
  checkObject(ACTION, "options", options);
  const { tokenizer } = options;
  checkString(ACTION, "folder", folder);
  if (tokenizer !== undefined) checkString(ACTION, "tokenizer", tokenizer);
  const source = withRotaryHalves(checkpoint);
  const { fields, family } = writtenConfig({ ...checkpoint, ...source });
  await writeNewFolder(folder, async (folder) => {
    const json = JSON.stringify(fields, null, 2) + "\n";
    const config = new TextEncoder().encode(json);
    await writeNewFile(pathIn(folder, "config.json"), (file) => file.write(config));
    const tensors = familyTensors(family, source.weights);
    await writeSafetensors(pathIn(folder, "model.safetensors"), tensors);
    if (tokenizer !== undefined) await writeTokenizer(tokenizer, folder, source.spec.vocabSize);
    await compare(folder, source, family.addsOneToNorms);
  });
}

/** Throws unless a folder reads back as the decoder that was written into it. */
async function compare(
  folder: string,
  { spec, weights }: DecoderSource,
  addsOneToNorms: boolean,
): Promise<void> {
  const written = await openCheckpoint(folder, { warn: () => {} });
  try {
    for (const { name } of weightShapes(spec)) {
      const isThere = weights.has(name);
      if (isThere !== written.weights.has(name)) {
        throw different(name, "its family must have a place for every weight", { isThere });
      }
      if (!isThere) continue;
      const [{ data: before }, { data: after }] = [
        await weights.read(name),
        await written.weights.read(name),
      ];
      const roundsAsNorm = addsOneToNorms && /Norm\.weight$/.test(name);
      const index = before.findIndex((value, i) => {
        const kept = roundsAsNorm ? Math.fround(1 + Math.fround(value - 1)) : value;
        return !Object.is(kept, after[i]) && kept !== after[i];
      });
      if (index === -1 && before.length === after.length) continue;
      throw different(name, "it must read back as it was (is the disk sound?)", {
        ...{ index, before: before[index], after: after[index] },
      });
    }
  } finally {
    await written.close();
  }
}

function different(name: string, rule: string, values: Record<string, unknown>): CheckpointError {
  return new CheckpointError(sentence(`write weight ${name}`, rule, values));
}
