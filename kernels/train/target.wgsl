// target: the distribution that a token is to have.

// variant label: all of it is one label.
//
//   labels  [tokens]  u32  read
var<storage, read> labels: array<u32>;

alias Target = u32;

fn holdTarget(token: u32, lane: u32) {
}

fn targetOf(token: u32, lane: u32) -> Target {
  return labels[token];
}

// The log of a probability of 0 is the lowest number, whose exponential is 0.
fn logTarget(label: Target, token: u32, i: u32) -> f32 {
  return select(-3.4028234663852886e38, 0.0, i == label);
}

// variant teacher: that of another model at the same temperature, whose rows holdTeacher and teacherPack read as row_packs does.
//
//   teacher  [tokens, WIDTH]  f32  read
//
// Needs lanes, stored_pack, LANES, PerRow, WIDTH, holdTeacher, params, teacherPack.
var<storage, read> teacher: array<StoredPack>;

// The largest logit, and the log of the sum of exponentials below it.
alias Target = vec2f;

fn holdTarget(token: u32, lane: u32) {
  holdTeacher(token * WIDTH, lane);
}

fn targetOf(token: u32, lane: u32) -> Target {
  var most = PerRow();
  most[0] = packOf(teacher[token * WIDTH]);
  for (var i = lane; i < WIDTH; i += LANES) {
    most[0] = max(most[0], teacherPack(token * WIDTH, i));
  }
  // Other lanes may still read the sum before.
  workgroupBarrier();
  let m = maxOverLanes(most, lane, lane)[0];
  var d = 0.0;
  for (var i = lane; i < WIDTH; i += LANES) {
    d += exp((teacherPack(token * WIDTH, i) - m) / params.temperature);
  }
  return vec2f(m, log(sumOverLanes(d, lane, lane)));
}

fn logTarget(state: Target, token: u32, i: u32) -> f32 {
  return (teacherPack(token * WIDTH, i) - state.x) / params.temperature - state.y;
}
