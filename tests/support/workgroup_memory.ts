/** Workgroup memory as the text of a module declares it: what planning must have counted, found without planning. */

/** Sizes and alignments in bytes (WGSL 14.4.1, "Alignment and Size"). */
const SCALARS: Readonly<Record<string, number>> = { f32: 4, u32: 4, i32: 4, f16: 2 };
const SHORT: Readonly<Record<string, string>> = { f: "f32", u: "u32", i: "i32", h: "f16" };

/** A type's size, and its alignment. */
type Extent = [size: number, align: number];

/** Bytes of the variables in workgroup memory: each counts in whole units of 16, as WebGPU counts them. */
export function workgroupBytes(code: string): number {
  const sizes = code.matchAll(/var<workgroup> \w+: ([^;]+);/g)
    .map(([, type]) => upTo(extentOf(code, type)[0], 16));
  return sizes.reduce((sum, size) => sum + size, 0);
}

function extentOf(code: string, type: string): Extent {
  const [, element, count] = /^array<(.*), ([^<>,]+)>$/.exec(type) ?? [];
  if (element !== undefined) {
    const [size, align] = extentOf(code, element);
    return [upTo(size, align) * valueOf(code, count), align];
  }
  const atomic = /^atomic<(\w+)>$/.exec(type)?.[1];
  if (atomic) return extentOf(code, atomic);
  if (type in SCALARS) return [SCALARS[type], SCALARS[type]];
  const [, width, scalar, letter] = /^vec([234])(?:<(\w+)>|(\w))$/.exec(type) ?? [];
  if (width !== undefined) {
    const size = SCALARS[scalar ?? SHORT[letter]];
    return [size * Number(width), size * (width === "2" ? 2 : 4)];
  }
  const [, alias] = new RegExp(`alias ${type} = ([^;]+);`).exec(code) ?? [];
  if (alias !== undefined) return extentOf(code, alias);
  const [, members] = new RegExp(`struct ${type} \\{([^}]*)\\}`).exec(code) ?? [];
  if (members === undefined) throw new SyntaxError(`no type ${type}`);
  const extents = members.matchAll(/\w+: ([^,]+),/g).map(([, type]) => extentOf(code, type));
  const [end, align] = [...extents].reduce<Extent>(
    ([end, most], [size, align]) => [upTo(end, align) + size, Math.max(most, align)],
    [0, 1],
  );
  return [upTo(end, align), align];
}

/** The value of an expression of whole numbers and constants. */
function valueOf(code: string, expression: string): number {
  const tokens = expression.match(/\w+|[()*/+-]/g)!;
  const sum = (): number => {
    let value = product();
    while (tokens[0] === "+" || tokens[0] === "-") {
      value += tokens.shift() === "+" ? product() : -product();
    }
    return value;
  };
  const product = (): number => {
    let value = factor();
    while (tokens[0] === "*" || tokens[0] === "/") {
      value = tokens.shift() === "*" ? value * factor() : Math.floor(value / factor());
    }
    return value;
  };
  const factor = (): number => {
    const token = tokens.shift()!;
    if (token === "(") {
      const value = sum();
      tokens.shift();
      return value;
    }
    if (/^\d+u?$/.test(token)) return parseInt(token);
    const [, constant] = new RegExp(`const ${token} = ([^;]+);`).exec(code) ?? [];
    if (constant === undefined) throw new SyntaxError(`no constant ${token}`);
    return valueOf(code, constant);
  };
  return sum();
}

function upTo(size: number, multiple: number): number {
  return Math.ceil(size / multiple) * multiple;
}
