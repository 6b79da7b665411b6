import { checkpointError, tensorOf } from "./checkpoint_error.ts";
import type { Family } from "./family.ts";
import { areSameTensors } from "./same_tensors.ts";
import type { TensorFile } from "./tensor_file.ts";

/** The name of the classifier, which has not the prefix of the rest. */
export const CLASSIFIER = "lm_head";

/** The same, and its name in models that also see. */
const CLASSIFIERS = [CLASSIFIER, `language_model.${CLASSIFIER}`];

/** The words of a configuration about one matrix for both. */
const TIED = '"tie_word_embeddings": true';

/** Where a file has the matrices between tokens and the decoder. */
export interface VocabularyMatrices {
  /** The prefix of the names of the family's other tensors. */
  prefix: string;
  /** The matrix that embeds tokens. */
  embedding: string;
  /** The matrix that makes logits; absent where the embedding does. */
  classifier?: string;
  /** Names of tensors that are needless, as they are the same as one of these. */
  twins: readonly string[];
}

/**
 * Finds embedding and classifier. One matrix that is both may have been saved under either name, or under both; where both
 * are there and differ, both are used, as in transformers from its fifth version on.
 *
 * @param warn Told where file and configuration contradict each other.
 * @throws {CheckpointError} If one of them is missing.
 */
export async function findVocabularyMatrices(
  file: TensorFile,
  { prefixes, tensors, isTied }: Family,
  warn: (sentence: string) => void,
): Promise<VocabularyMatrices> {
  const isThere = (module: string) => file.describe(`${module}.weight`) !== undefined;
  const embeddingOf = (prefix: string) => `${prefix}${tensors.embedding}`;
  const prefix = prefixes.find((prefix) => isThere(embeddingOf(prefix))) ??
    prefixes.find((prefix) => isThere(`${prefix}${tensors.finalNorm}`)) ?? prefixes[0];
  const embedding = embeddingOf(prefix);
  const classifier = CLASSIFIERS.find(isThere);

  if (!isThere(embedding)) {
    if (isTied && classifier) return { prefix, embedding: classifier, twins: [] };
    const names = prefixes.map((prefix) => `${embeddingOf(prefix)}.weight`).join(" or ");
    const cure = classifier
      ? ` (if ${classifier}.weight is the embedding too, config.json must say so: ${TIED})`
      : "";
    throw checkpointError(file.name, `there must be a tensor ${names}${cure}`, {
      tensors: file.names,
    });
  }
  if (!isTied && !classifier) {
    throw checkpointError(
      tensorOf(file.name, `${CLASSIFIER}.weight`),
      `it is missing (if the embedding serves in its place, config.json must say so: ${TIED})`,
      { tensors: file.names },
    );
  }
  if (!isTied || !classifier) return { prefix, embedding, classifier, twins: [] };
  const names = [`${embedding}.weight`, `${classifier}.weight`] as const;
  if (await areSameTensors(file, ...names)) return { prefix, embedding, twins: [names[1]] };
  warn(
    `config.json of ${file.name} ties ${names.join(" and ")}, which differ there: both are used.`,
  );
  return { prefix, embedding, classifier, twins: [] };
}
