/**
 * Regular expressions of files, looked over before they are run: engines that backtrack try every way in which what comes before
 * a mismatch can match, and a file may ask for exponentially many.
 */

/** Most characters of a pattern; the longest of known tokenizers, which list letters, have about 2,000. */
const LONGEST = 10_000;
/** Most ways to match, by the number of quantifiers without a bound: `(a|b)?c?d` has 6 and none. */
const MOST_WAYS = [1000, 8];
/** A quantifier with a higher bound counts as one without. */
const BOUNDED = 32;
/** Most groups within each other. */
const DEEPEST = 100;

/** In how many ways a term of a pattern can match at one place of a text of n characters: `ways` times n to the `degree`. */
interface Ways {
  ways: number;
  degree: number;
}

/** A term of a pattern. */
interface Term extends Ways {
  /** The most tries of it, with all that lies inside of it. */
  tries: Ways;
  /** Whether it may match the empty text, so that it never fails. */
  isOptional: boolean;
  /** Whether it is one character, or a class of characters. */
  isCharacter: boolean;
}

const ONE: Ways = { ways: 1, degree: 0 };
const times = (a: Ways, b: Ways): Ways => ({ ways: a.ways * b.ways, degree: a.degree + b.degree });
const worse = (a: Ways, b: Ways): Ways => ({
  ways: Math.max(a.ways, b.ways),
  degree: Math.max(a.degree, b.degree),
});

/**
 * Says why a pattern is not to be run: it might need more than quadratic time. At each place of a text, at most one quantifier
 * without a bound may be tried in all its lengths; the patterns of published tokenizers are such.
 *
 * @param pattern An expression in Oniguruma's syntax, as `tokenizer.json` has it.
 * @returns The fault; undefined if there is none.
 */
export function patternFault(pattern: string): string | undefined {
  if (pattern.length > LONGEST) return `it has more than ${LONGEST} characters`;
  try {
    const { tries } = new PatternReader(pattern).alternatives();
    if (tries.degree > 1) return "it has several quantifiers without a bound before what may fail";
    return tries.ways > MOST_WAYS[tries.degree] ? "it has too many ways to match" : undefined;
  } catch (error) {
    if (error instanceof PatternFault) return error.message;
    throw error;
  }
}

class PatternFault extends Error {}

/** Reads a pattern from left to right. What is no valid pattern is left to whoever compiles it. */
class PatternReader {
  readonly #pattern: string;
  #at = 0;
  /** Groups that are open. */
  #depth = 0;

  constructor(pattern: string) {
    this.#pattern = pattern;
  }

  /** Sequences beside each other, up to the end or the group's. */
  alternatives(): Term {
    let all = this.#sequence();
    while (this.#take("|")) {
      const next = this.#sequence();
      all = {
        ways: all.ways + next.ways,
        degree: Math.max(all.degree, next.degree),
        tries: worse(all.tries, next.tries),
        isOptional: all.isOptional || next.isOptional,
        isCharacter: false,
      };
    }
    return all;
  }

  #sequence(): Term {
    const terms: Term[] = [];
    while (this.#at < this.#pattern.length && !this.#sees("|") && !this.#sees(")")) {
      terms.push(this.#quantified());
    }
    // Behind the last term that may fail, nothing leads back to those before.
    const last = terms.findLastIndex(({ isOptional }) => !isOptional);
    let before = ONE;
    let tries = ONE;
    terms.forEach((term, i) => {
      tries = worse(tries, i <= last ? times(before, term.tries) : term.tries);
      before = times(before, term);
    });
    return { ...before, tries, isOptional: last < 0, isCharacter: false };
  }

  /** A term with all quantifiers behind it. */
  #quantified(): Term {
    let term = this.#term();
    for (let range = this.#quantifier(); range; range = this.#quantifier()) {
      term = this.#repeated(term, range);
    }
    return term;
  }

  #repeated(term: Term, [least, most]: [least: number, most: number]): Term {
    const isOptional = least === 0 || term.isOptional;
    const rest = { tries: term.tries, isOptional, isCharacter: false };
    if (most <= 1) return { ...rest, ways: term.ways + (least === 0 ? 1 : 0), degree: term.degree };
    const isPlain = term.isCharacter ||
      (term.ways === 1 && term.degree === 0 && term.tries.degree === 0);
    // Of a group that matches in several ways, each repetition multiplies them.
    if (!isPlain) return { ...rest, ways: 1, degree: Infinity };
    return most <= BOUNDED
      ? { ...rest, ways: most - least + 1, degree: 0 }
      : { ...rest, ways: 1, degree: 1 };
  }

  /** The range of a quantifier; undefined if there is none. */
  #quantifier(): [least: number, most: number] | undefined {
    // Lazy and possessive ones match in no more ways.
    const mark = this.#match(/([*+?])[+?]?/y);
    if (mark) return [mark[1] === "+" ? 1 : 0, mark[1] === "?" ? 1 : Infinity];
    const bounds = this.#match(/\{(?!,?\})(\d*)(,?)(\d*)\}\??/y);
    if (!bounds) return undefined;
    const [, least, comma, most] = bounds;
    return [Number(least), most !== "" ? Number(most) : comma ? Infinity : Number(least)];
  }

  #term(): Term {
    const character = { ...ONE, tries: ONE, isOptional: false, isCharacter: true };
    if (this.#take("(")) return this.#group();
    if (this.#sees("[")) {
      this.#skipClass();
      return character;
    }
    if (!this.#take("\\")) {
      this.#at++;
      return character;
    }
    if (/[1-9k]/.test(this.#pattern[this.#at] ?? "")) {
      {
        throw new PatternFault("it refers back to a group");
      }
    }
    // A property or a code point in braces is one.
    this.#match(/[pPxu]\{[^}]*\}|[^]/y);
    return character;
  }

  /** A group behind its opening bracket. */
  #group(): Term {
    if (++this.#depth > DEEPEST) throw new PatternFault("it has groups in groups without end");
    const [prefix] = this.#match(/(?:\?(?:<?[=!]|<[^>]*>|[:>]|[a-z-]*:?))?/y)!;
    const inside = this.alternatives();
    this.#take(")");
    this.#depth--;
    if (!/[=!]$/.test(prefix)) return { ...inside, isCharacter: false };
    // A lookaround matches in one way, after it has looked as far as it can.
    const tries = worse(inside.tries, inside);
    return { ...ONE, tries, isOptional: false, isCharacter: false };
  }

  /** Passes over a class of characters, and the classes in it. */
  #skipClass(): void {
    let depth = 0;
    do {
      if (this.#take("[")) {
        depth++;
        this.#take("^");
        // Here a closing bracket is a character.
        this.#take("]");
      } else if (this.#take("]")) depth--;
      else this.#at += this.#sees("\\") ? 2 : 1;
    } while (depth > 0 && this.#at < this.#pattern.length);
  }

  /** The match at this place, which is passed over; null if there is none. */
  #match(sticky: RegExp): RegExpExecArray | null {
    sticky.lastIndex = this.#at;
    const found = sticky.exec(this.#pattern);
    if (found) this.#at = sticky.lastIndex;
    return found;
  }

  #sees(character: string): boolean {
    return this.#pattern[this.#at] === character;
  }

  #take(character: string): boolean {
    const isThere = this.#sees(character);
    if (isThere) this.#at++;
    return isThere;
  }
}
