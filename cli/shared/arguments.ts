import { parseArgs } from "@std/cli/parse-args";
import { nearestNames } from "./names.ts";

/** The bounds of a number of a command line. */
export interface NumberRange {
  /** The least that is allowed. */
  min: number;
  /** The most that is allowed. The default is any. */
  max?: number;
  /** Whether fractions are allowed. */
  isFraction?: boolean;
}

/** The options of a command line, with a value or as flags; what is wrong with them is said in a sentence. */
export class Arguments<Name extends string, Flag extends string = never> {
  /** Whether help is asked for. */
  readonly isHelp: boolean;
  readonly #action: string;
  readonly #values: Readonly<Record<string, string | undefined>>;
  readonly #flags: ReadonlySet<string>;

  /**
   * @param action What cannot be done where they are wrong: "plan".
   * @param args The command line.
   * @param options The names of the options with a value, of those among them that may stand without, and of the flags; and
   * the commands that may stand before them, which the caller has taken away.
   * @throws {TypeError} If an option is unknown, with the nearest one, or lacks its value.
   */
  constructor(
    action: string,
    args: readonly string[],
    { names, bare = [], flags = [], commands = [] }: {
      names: readonly Name[];
      bare?: readonly Name[];
      flags?: readonly Flag[];
      commands?: readonly string[];
    },
  ) {
    const unknown = (arg: string): never => {
      const options = ["help", ...names, ...flags].map((name) => `--${name}`);
      const [word] = arg.split("=");
      const [nearest] = nearestNames(word, word.startsWith("-") ? options : commands);
      const cure = nearest === word ? "a command stands first" : `did you mean ${nearest}?`;
      const meant = nearest === undefined ? "" : ` (${cure})`;
      throw new TypeError(
        `Cannot ${action} as ${arg} is unknown${meant}: --help lists the options`,
      );
    };
    const parsed: Record<string, unknown> = parseArgs([...args], {
      string: names as readonly string[],
      boolean: ["help", ...flags],
      alias: { help: "h" },
      unknown,
    });
    this.isHelp = Boolean(parsed.help);
    this.#action = action;
    this.#values = parsed as Record<string, string | undefined>;
    this.#flags = new Set(flags.filter((flag) => parsed[flag]));
    for (const name of names) {
      if (parsed[name] === "" && !bare.includes(name) && !this.isHelp) this.#lacks(name);
    }
  }

  /** Whether an option or a flag is there. */
  has(name: Name | Flag): boolean {
    return this.#flags.has(name) || typeof this.#values[name] === "string";
  }

  /** The value as it is written. */
  text(name: Name): string | undefined {
    return this.#values[name];
  }

  /** The value of an option that must be there. */
  required(name: Name): string {
    const text = this.#values[name];
    if (text !== undefined) return text;
    throw new TypeError(`Cannot ${this.#action} without --${name}: --help lists the options`);
  }

  /** One of the choices. */
  choice<Choice extends string>(name: Name, choices: readonly Choice[]): Choice | undefined {
    return this.#map(name, (text) => this.#choose(name, text, choices));
  }

  /** Some of the choices, separated by commas. */
  choices<Choice extends string>(name: Name, choices: readonly Choice[]): Choice[] | undefined {
    return this.list(name, (text) => this.#choose(name, text, choices));
  }

  /** A number. */
  number(name: Name, range: NumberRange): number | undefined {
    return this.#map(name, (text) => this.#numberOf(name, text, range));
  }

  /** Numbers, separated by commas. */
  numbers(name: Name, range: NumberRange): number[] | undefined {
    return this.list(name, (text) => this.#numberOf(name, text, range));
  }

  /** The words between commas, each once. */
  list<Value>(name: Name, convert: (text: string) => Value): Value[] | undefined {
    return this.#map(name, (list) => {
      const items = list.split(",").map((item) => item.trim()).filter((item) => item !== "");
      if (items.length === 0) this.#lacks(name);
      return [...new Set(items.map(convert))];
    });
  }

  #map<Value>(name: Name, convert: (text: string) => Value): Value | undefined {
    const text = this.#values[name];
    return text === undefined ? undefined : convert(text.trim());
  }

  #choose<Choice extends string>(name: Name, text: string, choices: readonly Choice[]): Choice {
    const choice = choices.find((choice) => choice === text);
    if (choice !== undefined) return choice;
    throw new RangeError(
      `Cannot ${this.#action} as --${name} takes ${choices.join(", ")}: current value ${text}`,
    );
  }

  #numberOf(name: Name, text: string, { min, max = Infinity, isFraction }: NumberRange): number {
    const number = Number(text || NaN);
    const isKind = isFraction ? Number.isFinite(number) : Number.isSafeInteger(number);
    if (isKind && number >= min && number <= max) return number;
    const kind = isFraction ? "numbers" : "whole numbers";
    const range = max === Infinity ? `of at least ${min}` : `from ${min} to ${max}`;
    throw new RangeError(
      `Cannot ${this.#action} as --${name} takes ${kind} ${range}: current value ${text}`,
    );
  }

  #lacks(name: Name): never {
    throw new TypeError(
      `Cannot ${this.#action} as --${name} needs a value: --help says which`,
    );
  }
}
