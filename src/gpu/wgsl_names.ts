/** The names that WGSL declares and those that it needs from elsewhere. */

/** Names of a text. */
export interface WgslNames {
  /** Functions, types, constants and variables that it declares for all of its module. */
  declared: ReadonlySet<string>;
  /** Names that it uses, and neither it nor WGSL declares. */
  needed: ReadonlySet<string>;
}

const KEYWORDS = `
  alias array atomic bool break case const const_assert continue continuing default discard else
  enable f16 f32 false fn for function i32 i64 if let loop override private ptr read read_write
  return rgba32float storage struct switch texture_2d texture_storage_2d true u32 u64 uniform var
  while workgroup write
`;

/** The functions of compute kernels; of those of textures, the two that kernels call. */
const FUNCTIONS = `
  abs acos acosh all any arrayLength asin asinh atan atan2 atanh atomicAdd atomicAnd
  atomicCompareExchangeWeak atomicExchange atomicLoad atomicMax atomicMin atomicOr atomicStore
  atomicSub atomicXor bitcast ceil clamp cos cosh countLeadingZeros countOneBits
  countTrailingZeros cross degrees determinant distance dot dot4I8Packed dot4U8Packed exp exp2
  extractBits faceForward firstLeadingBit firstTrailingBit floor fma fract frexp insertBits
  inverseSqrt ldexp length log log2 max min mix modf normalize pack2x16float pack2x16snorm
  pack2x16unorm pack4x8snorm pack4x8unorm pack4xI8 pack4xI8Clamp pack4xU8 pack4xU8Clamp pow
  quantizeToF16 radians reflect refract reverseBits round saturate select sign sin sinh
  smoothstep sqrt step storageBarrier tan tanh textureLoad textureStore transpose trunc unpack2x16float unpack2x16snorm
  unpack2x16unorm unpack4x8snorm unpack4x8unorm unpack4xI8 unpack4xU8 workgroupBarrier
  workgroupUniformLoad
`;

/** Vectors and matrices, operations of subgroups, and the matrices of matrix units. */
const FAMILIES =
  /^(vec[234][iufh]?|mat[234]x[234][fh]?|(subgroup|quad)[A-Z]\w*|subgroup_matrix_(left|right|result)|(row|col)_major)$/;

const BUILT_IN = new Set(`${KEYWORDS}${FUNCTIONS}`.trim().split(/\s+/));

/** Whether a name has a meaning in every module. */
export function isBuiltIn(name: string): boolean {
  return BUILT_IN.has(name) || FAMILIES.test(name);
}

/** The names of `@builtin`, and the markers of loops. */
const NO_NAMES = /@builtin\s*\([^)]*\)|\/\*\w+\*\//g;
/** An identifier that is no member and no attribute, and the colon behind it. */
const NAME = /(?<![\w.@])([A-Za-z_]\w*)(?!\w)(\s*:)?/g;
const DECLARED_IN_ALL =
  /\b(?:fn|struct|alias|const|override)\s+(\w+)|\bvar\s*<[^>]*>\s*(\w+)|\bvar\s+(\w+)\s*:\s*texture_/;
const DECLARED_WITHIN = /\b(?:let|var|const)\s+(\w+)/g;

/** Names by text: those of the kernels are few, and asked for with every module. */
const known = new Map<string, WgslNames>();

/**
 * Reads the names of a text.
 *
 * @param text WGSL without comments.
 */
export function namesOf(text: string): WgslNames {
  let names = known.get(text);
  if (!names) known.set(text, names = readNames(text));
  return names;
}

function readNames(text: string): WgslNames {
  const declared = new Set<string>();
  const used = new Set<string>();
  for (const item of declarationsOf(text)) {
    const [, name, variable, texture] = item.match(DECLARED_IN_ALL) ?? [];
    const declares = name ?? variable ?? texture;
    if (declares) declared.add(declares);
    // A name before a colon is that of a parameter, of a member, or of a local with its type.
    const own = new Set([...item.matchAll(DECLARED_WITHIN)].map(([, local]) => local));
    const names = [...item.replace(NO_NAMES, "").matchAll(NAME)];
    for (const [, name, colon] of names) if (colon) own.add(name);
    for (const [, name] of names) if (!own.has(name)) used.add(name);
  }
  const isElsewhere = (name: string) => !declared.has(name) && !isBuiltIn(name);
  return { declared, needed: new Set([...used].filter(isElsewhere)) };
}

/** The declarations of a text in the scope of its module, one by one. */
export function declarationsOf(text: string): string[] {
  const declarations: string[] = [];
  let start = 0;
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === "{") depth++;
    if (text[i] === "}") depth--;
    if (depth > 0 || (text[i] !== "}" && text[i] !== ";")) continue;
    declarations.push(text.slice(start, i + 1));
    start = i + 1;
  }
  return [...declarations, text.slice(start)];
}
