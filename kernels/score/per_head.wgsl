// per_head: numbers of the query heads, learned or chosen with the model.
//
//   perHead  [N]  uniform  x: slope of ALiBi, y: logit of the attention sink
var<uniform> perHead: array<vec4f, NUM_HEADS>;
