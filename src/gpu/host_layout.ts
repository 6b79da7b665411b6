/** The layout of uniforms in memory (WGSL, "Memory Layout"), and their values as bytes. */
import { sentence } from "../base/check.ts";

/** Values of a struct by the names of its members; those of a vector, or of an array of vectors, as a flat list. */
export interface UniformValues {
  [name: string]: UniformValue;
}

type UniformValue = number | readonly number[] | UniformValues;

/** A type in memory; sizes in bytes. */
export type Layout = { size: number; align: number } & (NumberType | SequenceType | StructType);

interface NumberType {
  kind: "number";
  format: keyof typeof NUMBERS;
}

/** A vector or an array. */
interface SequenceType {
  kind: "sequence";
  element: Layout;
  count: number;
  /** Bytes from one element to the next. */
  stride: number;
}

interface StructType {
  kind: "struct";
  members: readonly { name: string; offset: number; layout: Layout }[];
}

const NUMBERS = {
  u32: { set: "setUint32", min: 0, max: 2 ** 32 - 1 },
  i32: { set: "setInt32", min: -(2 ** 31), max: 2 ** 31 - 1 },
  f32: { set: "setFloat32", min: -Infinity, max: Infinity },
} as const;

const LETTERS: Readonly<Record<string, string>> = { u: "u32", i: "i32", f: "f32" };

/**
 * Reads the layout of a uniform.
 *
 * @param code A module's text as {@linkcode compose} writes it.
 * @param variable The uniform's name.
 * @throws {SyntaxError} If there is no such uniform, or its type has members of other types than u32, i32, f32 and vectors,
 * arrays and structs of these.
 */
export function uniformLayout(code: string, variable: string): Layout {
  const [, type] = code.match(new RegExp(`var<uniform> ${variable}: ([^;]+);`)) ?? [];
  if (type === undefined) {
    throw new SyntaxError(`Cannot read a layout as no uniform is ${variable}`);
  }
  return layoutOf(code, type);
}

function layoutOf(code: string, type: string): Layout {
  if (type in NUMBERS) {
    return { kind: "number", format: type as keyof typeof NUMBERS, size: 4, align: 4 };
  }
  const [, length, letter] = type.match(/^vec([234])([uif])$/) ?? [];
  if (length) {
    const count = Number(length);
    const element = layoutOf(code, LETTERS[letter]);
    // A vector of three is aligned like one of four, and what comes next may take the place that it leaves.
    const align = count === 2 ? 8 : 16;
    return { kind: "sequence", element, count, stride: 4, size: 4 * count, align };
  }
  const [, of, elements] = type.match(/^array<(.+),\s*(\w+)>$/) ?? [];
  if (of) {
    const element = layoutOf(code, of);
    const count = countOf(code, elements);
    const stride = upTo(element.size, element.align);
    return { kind: "sequence", element, count, stride, size: count * stride, align: element.align };
  }
  const [, members] = code.match(new RegExp(`struct ${type} \\{([^}]*)\\}`)) ?? [];
  if (members === undefined) {
    throw new SyntaxError(`Cannot read a layout as nothing is known of ${type}`);
  }
  return structOf(
    [...members.matchAll(/(\w+):\s*(\w+(?:<[^>]*>)?)/g)].map(([, name, type]) => ({
      name,
      layout: layoutOf(code, type),
    })),
  );
}

function structOf(members: readonly { name: string; layout: Layout }[]): Layout {
  let end = 0;
  const placed = members.map(({ name, layout }) => {
    const offset = upTo(end, layout.align);
    end = offset + layout.size;
    return { name, layout, offset };
  });
  const align = Math.max(...members.map(({ layout }) => layout.align));
  return { kind: "struct", members: placed, align, size: upTo(end, align) };
}

function countOf(code: string, count: string): number {
  const [, value = count] = code.match(new RegExp(`const ${count} = (\\d+)u;`)) ?? [];
  const [, digits] = value.match(/^(\d+)u?$/) ?? [];
  if (!digits) throw new SyntaxError(`Cannot read a layout as ${count} is no whole number`);
  return Number(digits);
}

function upTo(size: number, align: number): number {
  return Math.ceil(size / align) * align;
}

/**
 * Writes values in a layout.
 *
 * @param action What the values are for, in messages.
 * @param name The uniform's name, in messages.
 * @throws {TypeError} If a value is missing or of the wrong kind.
 * @throws {RangeError} If a number is none of its type, or a list is too long or too short.
 */
export function bytesOf(
  action: string,
  name: string,
  layout: Layout,
  value: UniformValues,
): ArrayBuffer {
  const view = new DataView(new ArrayBuffer(layout.size));
  write({ view, action }, layout, 0, name, value);
  return view.buffer;
}

interface Target {
  view: DataView<ArrayBuffer>;
  action: string;
}

function write(target: Target, layout: Layout, offset: number, name: string, value: unknown): void {
  const wants = (kind: string) =>
    new TypeError(sentence(target.action, `${name} must be ${kind}`, { [name]: value }));
  if (layout.kind === "struct") {
    if (typeof value !== "object" || value === null) throw wants("an object");
    for (const { name: member, layout: inner, offset: at } of layout.members) {
      write(target, inner, offset + at, `${name}.${member}`, (value as UniformValues)[member]);
    }
  } else if (layout.kind === "sequence") {
    if (!Array.isArray(value)) throw wants("a list of numbers");
    const { element, count, stride } = layout;
    const perElement = numbersIn(element);
    if (value.length !== count * perElement) {
      throw new RangeError(
        sentence(target.action, `${name} must be ${count * perElement} numbers`, {
          [name]: value,
        }),
      );
    }
    for (let i = 0; i < count; i++) {
      const own = element.kind === "sequence"
        ? value.slice(i * perElement, (i + 1) * perElement)
        : value[i];
      write(target, element, offset + i * stride, `${name}[${i}]`, own);
    }
  } else {
    const { format } = layout;
    if (typeof value !== "number") throw wants("a number");
    const { set, min, max } = NUMBERS[format];
    if (format !== "f32" && !(Number.isInteger(value) && value >= min && value <= max)) {
      throw new RangeError(
        sentence(target.action, `${name} must be of ${format}`, { [name]: value }),
      );
    }
    target.view[set](offset, value, true);
  }
}

function numbersIn(layout: Layout): number {
  return layout.kind === "sequence" ? layout.count * numbersIn(layout.element) : 1;
}
