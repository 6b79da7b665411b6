/** The bench's own kernels as text. */
import copy from "./copy.wgsl" with { type: "text" };
import fill from "./fill.wgsl" with { type: "text" };
import fma from "./fma.wgsl" with { type: "text" };
import read from "./read.wgsl" with { type: "text" };

export const kernels = { copy, fill, fma, read };
