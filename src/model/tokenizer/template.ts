import type { Fields } from "./fields.ts";
import type { Step } from "./steps.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** A special token and its number. */
interface SpecialToken {
  token: string;
  id: number;
}

/**
 * The tokens that a tokenizer's post-processor puts before a text. Those behind it are not wanted: decoders go on with texts.
 *
 * @throws {CheckpointError} If a step is of another kind, or a token has no number.
 */
export function tokensBefore(steps: readonly Step[], { ids }: Vocabulary): SpecialToken[] {
  // Each step puts its tokens around what came out of the one before it.
  return steps.toReversed().flatMap(({ type, fields }) => {
    switch (type) {
      case "ByteLevel":
        return [];
      case "TemplateProcessing":
        return templateTokens(fields, ids);
      case "BertProcessing":
      case "RobertaProcessing": {
        const [token] = fields.required("cls", fields.list("cls"));
        return [numbered(fields, token, ids)];
      }
      default:
        throw fields.error("it must be a post-processor of a language model", { type });
    }
  });
}

function templateTokens(fields: Fields, ids: Vocabulary["ids"]): SpecialToken[] {
  const items = fields.required("single", fields.list("single"))
    .map((item, i) => fields.within(`single.${i}`, item));
  const text = items.findIndex((item) => item.section("Sequence"));
  const special = fields.section("special_tokens");
  return items.slice(0, Math.max(text, 0)).flatMap((item) => {
    const name = item.section("SpecialToken")?.text("id");
    if (name === undefined) {
      throw item.error("it must be a SpecialToken or a Sequence", item.values);
    }
    // A name may stand for several tokens.
    const named = special?.section(name);
    const tokens = named?.list("tokens") ?? [name];
    const all = tokens.map((token) => numbered(item, token, ids));
    const own = named?.list("ids") ?? all.map(({ id }) => id);
    if (`${own}` === `${all.map(({ id }) => id)}`) return all;
    throw item.error("its special tokens must have their numbers of the vocabulary", {
      ...{ name, tokens, ids: own, expected: all.map(({ id }) => id) },
    });
  });
}

function numbered(fields: Fields, token: unknown, ids: Vocabulary["ids"]): SpecialToken {
  const id = typeof token === "string" ? ids.get(token) : undefined;
  if (id !== undefined) return { token: token as string, id };
  throw fields.error("its special token must be of the vocabulary", { token });
}
