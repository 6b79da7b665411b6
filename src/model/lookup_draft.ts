/** Drafts of what comes next in a text, from the text itself. */

/** Tokens at the end of a text that are looked for, at most. */
const LONGEST_MATCH = 3;

/**
 * Copies what followed the last tokens of a text where they stand in it before: the latest place of the last three, else of the
 * last two, else of the last one (prompt lookup decoding: Saxena 2023). Where the copy reaches the end of the text it goes on
 * with itself, so that a text that goes round has drafts of any length.
 *
 * @param text The tokens so far.
 * @param count Tokens of the draft.
 * @returns The draft; empty where the last token stands nowhere before.
 */
export function lookUpDraft(text: readonly number[], count: number): number[] {
  for (let length = Math.min(LONGEST_MATCH, text.length - 1); length > 0; length--) {
    const end = latestMatch(text, length);
    if (end === undefined) continue;
    const all = [...text];
    for (let i = 0; i < count; i++) all.push(all[end + i]);
    return all.slice(text.length);
  }
  return [];
}

/** The end of the latest place, before the end of a text, of its last `length` tokens. */
function latestMatch(text: readonly number[], length: number): number | undefined {
  for (let end = text.length - 1; end >= length; end--) {
    let same = 0;
    while (same < length && text[end - 1 - same] === text[text.length - 1 - same]) same++;
    if (same === length) return end;
  }
  return undefined;
}
