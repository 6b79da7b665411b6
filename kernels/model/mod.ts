/** The kernels around attention as text. */
import argmax from "./argmax.wgsl" with { type: "text" };
import choose from "./choose.wgsl" with { type: "text" };
import embed from "./embed.wgsl" with { type: "text" };
import positionLearned from "./position_learned.wgsl" with { type: "text" };
import positionNone from "./position_none.wgsl" with { type: "text" };
import sample from "./sample.wgsl" with { type: "text" };

export const kernels = { argmax, embed, sample };
export const fragments = { choose, positionLearned, positionNone };
