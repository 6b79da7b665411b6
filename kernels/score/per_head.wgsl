// per_head: numbers of the query heads, learned or chosen with the model.
//
//   perHead  [NUM_HEADS]  vec4f  uniform  x: slope of ALiBi, y: logit of the attention sink
//
// Needs NUM_HEADS.
var<uniform> perHead: array<vec4f, NUM_HEADS>;
