/** The WGSL of this folder, written by `deno task kernels`. */

/** copy.wgsl */
export const copy: string = `var<storage, read> source: array<vec4f>;
var<storage, read_write> target_: array<vec4f>;
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) invocation: vec3u) {
let first = invocation.x * INVOCATION_STEP;
for (var i = 0u; i < PER_INVOCATION; i += 4u) {
let a = source[first + i * STEP];
let b = source[first + (i + 1u) * STEP];
let c = source[first + (i + 2u) * STEP];
let d = source[first + (i + 3u) * STEP];
target_[first + i * STEP] = a;
target_[first + (i + 1u) * STEP] = b;
target_[first + (i + 2u) * STEP] = c;
target_[first + (i + 3u) * STEP] = d;
}
}`;

/** fill.wgsl */
export const fill: string = `struct Params {
count: u32,
first: u32,
}
var<uniform> params: Params;
var<storage, read_write> x: array<T>;
fn hash(seed: u32) -> u32 {
let state = seed * 747796405u + 2891336453u;
let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
return (word >> 22u) ^ word;
}
@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(global_invocation_id) invocation: vec3u,
@builtin(num_workgroups) numWorkgroups: vec3u,
) {
for (var i = invocation.x; i < params.count; i += numWorkgroups.x * WORKGROUP) {
x[i] = T(f32(hash(i + params.first) >> 8u) / 8388608.0 - 1.0);
}
}`;

/** fma.wgsl */
export const fma: string = `var<storage, read> seeds: array<vec4f>;
var<storage, read_write> sums: array<vec4f>;
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) invocation: vec3u) {
let x = seeds[invocation.x];
let y = x.yzwx;
var a = x;
var b = x + 1.0;
for (var i = 0u; i < STEPS; i++) {
/*unroll*/ for (var j = 0u; j < ROUNDS; j++) {
a = fma(a, x, y);
b = fma(b, x, y);
}
}
sums[invocation.x] = a + b;
}`;

/** read.wgsl */
export const read: string = `var<storage, read> source: array<vec4f>;
var<storage, read_write> sums: array<vec4f>;
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) invocation: vec3u) {
let first = invocation.x * INVOCATION_STEP;
var a = vec4f();
var b = vec4f();
var c = vec4f();
var d = vec4f();
for (var i = 0u; i < PER_INVOCATION; i += 4u) {
a += source[first + i * STEP];
b += source[first + (i + 1u) * STEP];
c += source[first + (i + 2u) * STEP];
d += source[first + (i + 3u) * STEP];
}
sums[invocation.x] = (a + b) + (c + d);
}`;
