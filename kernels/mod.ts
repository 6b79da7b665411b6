/** The WGSL of this folder, written by `deno task kernels`. */

/** attend/attend.wgsl */
export const attend: string = `alias Sums = array<array<Wide, ROWS>, VALUE_PACKS>;
@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) workgroupId: vec3u,
@builtin(num_workgroups) numWorkgroups: vec3u,
@builtin(local_invocation_index) invocation: u32,
) {
let tile = rowTileOf(params.firstTile + workgroupId.y);
if (tile.numRows == 0u) {
return;
}
let context = contextOf(tile.batch);
let tokens = tokensOf(tile);
let seen = vec2u(visibleColumns(context, tokens.x).x, visibleColumns(context, tokens.y).y);
let seenByAll = vec2u(visibleColumns(context, tokens.y).x, visibleColumns(context, tokens.x).y);
let total = countOf(seen);
let columns = Columns(slotsOf(tile.batch, tile.kvHead, context, seen), total);
let tiles = (total + TILE_COLUMNS - 1u) / TILE_COLUMNS;
let perSlice = (tiles + numWorkgroups.x - 1u) / numWorkgroups.x * TILE_COLUMNS;
let first = workgroupId.x * perSlice;
let end = min(total, first + perSlice);
let rowGroup = invocation / LANES;
let lane = invocation % LANES;
let strip = stripOf(lane);
var visible: array<vec2u, ROWS>;
var shift: PerRow;
var ofQuery: PerRow;
/*unroll*/ for (var i = 0u; i < ROWS; i++) {
visible[i] = visibleColumns(context, tokenOf(rowOf(tile, rowGroup * ROWS + i)));
shift[i] = shiftOf(tile, rowGroup * ROWS + i);
ofQuery[i] = totalOf(tile, rowGroup * ROWS + i);
}
let rows = blocksOf(tile, tokens, context);
let queries = queriesOf(tile, rowGroup, lane);
let shrink = shrinkOf(queries);
var m: PerRow;
var d: PerRow;
var middles: PerRow;
var acc: Sums;
/*unroll*/ for (var i = 0u; i < ROWS; i++) {
m[i] = MASKED;
}
var start = seenTile(rows, seen, first, end, TILE_COLUMNS, TILE_COLUMNS);
for (; start < end; start = seenTile(rows, seen, start + TILE_COLUMNS, end, TILE_COLUMNS, TILE_COLUMNS)) {
var s = scoresOf(columns, start, invocation, lane, queries, shrink);
var middle = array<f32, KEYS>();
/*unroll*/ for (var j = 0u; j < KEYS; j++) {
middle[j] = keyMiddle(keyOfColumn(columns, start + lane + LANES * j));
}
var most = PerRow();
/*unroll*/ for (var i = 0u; i < ROWS; i++) {
most[i] = MASKED;
let row = rowOf(tile, rowGroup * ROWS + i);
/*unroll*/ for (var j = 0u; j < KEYS; j++) {
let index = start + lane + LANES * j;
let column = columnAt(seen, index);
let isOwn = index < end && isVisible(visible[i], column);
let product = s[i][j] + fma(ofQuery[i], middle[j], shift[i]);
s[i][j] = select(MASKED, scoreOf(product, row, context, column), isOwn);
most[i] = max(most[i], s[i][j]);
}
}
most = maxOverLanes(most, invocation, lane);
var w = array<PerRow, KEYS>();
var step = array<f32, KEYS>();
/*unroll*/ for (var j = 0u; j < KEYS; j++) {
let value = valueOfColumn(columns, start + lane + LANES * j);
step[j] = stepOfWeight(value);
middle[j] = valueMiddle(value);
}
/*unroll*/ for (var i = 0u; i < ROWS; i++) {
let mNew = max(m[i], most[i]);
let rescale = exp(m[i] - mNew);
m[i] = mNew;
d[i] *= rescale;
middles[i] *= rescale;
/*unroll*/ for (var j = 0u; j < KEYS; j++) {
let isHidden = isMasked(s[i][j]);
let weight = exp(s[i][j] - mNew);
d[i] += select(weight, 0.0, isHidden);
middles[i] += select(middle[j] * weight, 0.0, isHidden);
w[j][i] = select(step[j] * weight, 0.0, isHidden);
}
/*unroll*/ for (var j = 0u; j < VALUE_PACKS; j++) {
acc[j][i] *= rescale;
}
}
meet();
/*unroll*/ for (var j = 0u; j < KEYS; j++) {
putWeights(rowGroup, lane + LANES * j, w[j]);
}
meet();
let isWhole = columnAt(seen, start) >= seenByAll.x && columnAt(seen, start + TILE_COLUMNS - 1u) < seenByAll.y;
if (MAY_SKIP == 0u || (TELLS_WHOLE == 1u && isWhole)) {
addValues(&acc, columns, start, min(TILE_COLUMNS, end - start), rowGroup, lane, false);
} else {
addValues(&acc, columns, start, min(TILE_COLUMNS, end - start), rowGroup, lane, true);
}
}
for (var i = 0u; i < ROWS; i++) {
var own = SoftmaxState();
var ownMiddles = 0.0;
var sums = array<Wide, VALUE_PACKS>();
/*unroll*/ for (var k = 0u; k < ROWS; k++) {
if (i == k) {
own = SoftmaxState(m[k], d[k]);
ownMiddles = middles[k];
/*unroll*/ for (var j = 0u; j < VALUE_PACKS; j++) {
sums[j] = acc[j][k];
}
}
}
let state = SoftmaxState(own.m, sumOverLanes(own.d, invocation, lane));
let added = Wide(middlesOverLanes(ownMiddles, invocation, lane));
let isRow = rowGroup * ROWS + i < tile.numRows;
let row = rowOf(tile, rowGroup * ROWS + i);
/*unroll*/ for (var j = 0u; j < VALUE_PACKS; j++) {
let pack = packOfLane(lane, j);
let sum = sumOverStrips(sums[j], invocation, strip);
if (isRow && strip == 0u && pack < PACKS) {
storeRow(row, workgroupId.x, pack, sum + added, state);
}
}
}
}`;

/** attend/backward/bias_gradients.wgsl */
export const biasGradients: string = `var<storage, read_write> dBias: array<Gradient>;
@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) workgroupId: vec3u,
@builtin(num_workgroups) numWorkgroups: vec3u,
@builtin(local_invocation_index) lane: u32,
) {
let index = workgroupId.z * numWorkgroups.y + workgroupId.y;
if (index >= biasTiles().x * biasTiles().y) {
return;
}
let tile = biasTileOf(index);
let perSlice = (numReaders() + numWorkgroups.x - 1u) / numWorkgroups.x;
let first = workgroupId.x * perSlice;
let end = min(numReaders(), first + perSlice);
var acc: array<PerRow, KEYS>;
for (var reader = first; reader < end; reader++) {
let rows = readerOf(tile, reader);
let context = contextOf(rows.batch);
let keys = BiasKeys(context, slotsOf(rows.batch, rows.kvHead, context, vec2u(0u, context.len)));
let queries = queriesOf(rows, 0u, lane);
let dOs = dOsOf(rows, 0u, lane);
let shrink = shrinkOf(queries);
let products = scoresOf(keys, tile.key, lane, lane, queries, shrink);
let dWeights = dWeightsOf(keys, tile.key, lane, lane, dOs, shrink);
/*unroll*/ for (var i = 0u; i < ROWS; i++) {
let row = rowOf(rows, i);
let visible = visibleColumns(context, tokenOf(row));
let state = rowStates[queryRow(rows.batch, headOf(row), tokenOf(row))];
/*unroll*/ for (var j = 0u; j < KEYS; j++) {
let column = columnOfKey(context, tile.key + lane + LANES * j);
let isOwn = i < rows.numRows && column < context.len && isVisible(visible, column);
acc[j][i] += pairGradient(products[i][j], dWeights[i][j], row, context, column, state, isOwn).score;
}
}
}
let place = dot(vec3u(tile.batch, tile.head, tile.token), params.bias.stride);
let ofSlice = workgroupId.x * biasAxes().x * biasAxes().y * biasAxes().z * params.bias.keys;
/*unroll*/ for (var j = 0u; j < KEYS; j++) {
let key = tile.key + lane + LANES * j;
var ofAllTokens = 0.0;
/*unroll*/ for (var i = 0u; i < ROWS; i++) {
ofAllTokens += acc[j][i];
if (key < params.bias.keys && tile.token + i < biasAxes().z && params.bias.stride.z != 0u) {
dBias[ofSlice + place + i * params.bias.stride.z + key] = Gradient(acc[j][i]);
}
}
if (key < params.bias.keys && params.bias.stride.z == 0u) {
dBias[ofSlice + place + key] = Gradient(ofAllTokens);
}
}
}`;

/** attend/backward/bias_tile.wgsl */
export const biasTile: string = `struct BiasTile {
batch: u32,
head: u32,
token: u32,
key: u32,
}
struct BiasKeys {
context: Context,
slots: Slots,
}
fn biasAxes() -> vec3u {
let all = vec3u(params.numRows / (params.numHeads * params.seqLen), params.numHeads, params.seqLen);
return select(all, vec3u(1u), params.bias.stride == vec3u(0u));
}
fn tilesAlong(tokens: u32) -> u32 {
return (tokens + ROWS - 1u) / ROWS;
}
fn biasTiles() -> vec2u {
let axes = biasAxes();
return vec2u((params.bias.keys + TILE_COLUMNS - 1u) / TILE_COLUMNS, axes.x * axes.y * tilesAlong(axes.z));
}
fn biasTileOf(index: u32) -> BiasTile {
let axes = biasAxes();
let across = biasTiles().x;
let row = index / across;
let tile = row % tilesAlong(axes.z);
let head = row / tilesAlong(axes.z);
return BiasTile(head / axes.y, head % axes.y, tile * ROWS, index % across * TILE_COLUMNS);
}
fn numReaders() -> u32 {
let all = vec3u(params.numRows / (params.numHeads * params.seqLen), params.numHeads, tilesAlong(params.seqLen));
let readers = select(vec3u(1u), all, params.bias.stride == vec3u(0u));
return readers.x * readers.y * readers.z;
}
fn readerOf(tile: BiasTile, index: u32) -> RowTile {
let tokenTiles = select(1u, tilesAlong(params.seqLen), params.bias.stride.z == 0u);
let heads = select(1u, params.numHeads, params.bias.stride.y == 0u);
let token = tile.token + index % tokenTiles * ROWS;
let head = tile.head + index / tokenTiles % heads;
let batch = tile.batch + index / (tokenTiles * heads);
let groupSize = params.numHeads / params.numKvHeads;
return RowTile(
batch,
head / groupSize,
head % groupSize * params.seqLen + token,
min(ROWS, params.seqLen - token),
);
}
fn columnOfKey(context: Context, key: u32) -> u32 {
let isGone = key >= SINKS && key < SINKS + context.skipped;
return select(key - select(context.skipped, 0u, key < SINKS), context.len, isGone);
}
fn kvRowOfKey(keys: BiasKeys, index: u32) -> u32 {
let last = max(keys.context.len, 1u) - 1u;
return rowOfColumn(keys.slots, min(columnOfKey(keys.context, index), last));
}
fn startOfBiasKey(keys: BiasKeys, index: u32) -> u32 {
return startOfKey(kvRowOfKey(keys, index));
}
fn startOfBiasValue(keys: BiasKeys, index: u32) -> u32 {
return startOfValue(kvRowOfKey(keys, index));
}`;

/** attend/backward/column_tile.wgsl */
export const columnTile: string = `const HELD_COLUMNS = ROWS * ROW_GROUPS;
struct ColumnTile {
batch: u32,
kvHead: u32,
firstColumn: u32,
numColumns: u32,
slots: Slots,
}
fn columnTilesPerKvHead() -> u32 {
return (params.capacity + HELD_COLUMNS - 1u) / HELD_COLUMNS;
}
fn columnTileOf(index: u32, context: Context) -> ColumnTile {
let kvHead = index / columnTilesPerKvHead();
let batch = kvHead / params.numKvHeads;
let firstColumn = index % columnTilesPerKvHead() * HELD_COLUMNS;
return ColumnTile(
batch,
kvHead % params.numKvHeads,
firstColumn,
min(HELD_COLUMNS, params.capacity - firstColumn),
slotsOf(batch, kvHead % params.numKvHeads, context, vec2u(0u, context.len)),
);
}
fn columnOf(tile: ColumnTile, i: u32) -> u32 {
return tile.firstColumn + min(i, tile.numColumns - 1u);
}
fn startOfHeldKey(tile: ColumnTile, i: u32) -> u32 {
return startOfKey(rowOfColumn(tile.slots, columnOf(tile, i)));
}
fn startOfHeldValue(tile: ColumnTile, i: u32) -> u32 {
return startOfValue(rowOfColumn(tile.slots, columnOf(tile, i)));
}
fn heldKeyAt(load: u32) -> array<Factor, LOAD_PACKS> {
return keysAt(load, 0u);
}
fn heldValueAt(load: u32) -> array<Wide, LOAD_PACKS> {
return valuesAt(load, 0u);
}`;

/** attend/backward/distances.wgsl */
export const distances: Readonly<Record<"none" | "summed", string>> = {
  none: `fn atDistance(dScore: f32, row: u32, context: Context, column: u32) -> f32 {
return 0.0;
}
fn storeDistances(place: u32, own: f32, invocation: u32, lane: u32, isRow: bool) {
}`,
  summed: `var<storage, read_write> distances: array<f32>;
fn atDistance(dScore: f32, row: u32, context: Context, column: u32) -> f32 {
return distanceOf(row, context, column) * dScore;
}
fn storeDistances(place: u32, own: f32, invocation: u32, lane: u32, isRow: bool) {
let sum = sumOverLanes(own, invocation, lane);
if (isRow && lane == 0u) {
distances[place] = sum;
}
}`,
};

/** attend/backward/head_gradients.wgsl */
export const headGradients: string = `var<storage, read_write> headGradient: array<f32>;
alias PerRow = array<f32, ROWS>;
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroupId: vec3u, @builtin(local_invocation_index) lane: u32) {
let head = workgroupId.x;
let numRows = params.numRows / params.numHeads;
var sum = 0.0;
for (var i = lane; i < numRows; i += WORKGROUP) {
sum += termOf(queryRow(i / params.seqLen, head, i % params.seqLen), head);
}
let whole = sumOverLanes(sum, lane, lane);
if (lane == 0u) {
headGradient[head] = -whole;
}
}`;

/** attend/backward/key_value_gradients.wgsl */
export const keyValueGradients: string = `alias Sums = array<array<Wide, ROWS>, VALUE_PACKS>;
alias KeySums = array<array<Wide, ROWS>, KEY_PACKS>;
var<storage, read_write> partials: array<Wide>;
@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) workgroupId: vec3u,
@builtin(num_workgroups) numWorkgroups: vec3u,
@builtin(local_invocation_index) invocation: u32,
) {
let index = params.firstTile + workgroupId.y * numWorkgroups.x + workgroupId.x;
let heads = params.numRows / (params.numHeads / params.numKvHeads * params.seqLen);
let numKvRows = heads * params.capacity;
if (index >= heads * columnTilesPerKvHead()) {
return;
}
let context = contextOf(index / columnTilesPerKvHead() / params.numKvHeads);
let tile = columnTileOf(index, context);
let rows = passingRowsOf(tile, context);
let tiles = (rows.count + TILE_COLUMNS - 1u) / TILE_COLUMNS;
let perSlice = (tiles + SLICES - 1u) / SLICES * TILE_COLUMNS;
let first = params.slice * perSlice;
let end = min(rows.count, first + perSlice);
let rowGroup = invocation / LANES;
let lane = invocation % LANES;
let strip = stripOf(lane);
let keys = heldKeysOf(tile, rowGroup, lane);
let values = heldValuesOf(tile, rowGroup, lane);
let shrink = shrinkOf(keys);
var dk: KeySums;
var dv: Sums;
for (var start = first; start < end; start += TILE_COLUMNS) {
meet();
var row = array<u32, KEYS>();
/*unroll*/ for (var j = 0u; j < KEYS; j++) {
row[j] = passingRow(rows, start + lane + LANES * j);
putPassingPlace(rowGroup, lane + LANES * j, queryRow(rows.batch, headOf(row[j]), tokenOf(row[j])) - params.firstQueryRow);
}
meet();
let products = heldProductsOf(rows, start, invocation, lane, keys, shrink);
let dWeights = dWeightsOf(rows, start, invocation, lane, values, shrink);
/*unroll*/ for (var j = 0u; j < KEYS; j++) {
let c = lane + LANES * j;
let state = rowStates[passingPlace(c)];
let visible = visibleColumns(context, tokenOf(row[j]));
var w = PerRow();
var dp = PerRow();
/*unroll*/ for (var i = 0u; i < ROWS; i++) {
let column = columnOf(tile, rowGroup * ROWS + i);
let isOwn = start + c < end && isVisible(visible, column);
let pair = pairGradient(products[i][j], dWeights[i][j], row[j], context, column, state, isOwn);
w[i] = pair.weight;
dp[i] = pair.product;
}
putWeights(rowGroup, c, w);
putProducts(rowGroup, c, dp);
}
meet();
addValues(&dv, rows, start, min(TILE_COLUMNS, end - start), rowGroup, lane, true);
addKeys(&dk, rows, start, min(TILE_COLUMNS, end - start), rowGroup, lane, true);
}
let isFirst = params.slice == 0u;
for (var i = 0u; i < ROWS; i++) {
var keySums = array<Wide, KEY_PACKS>();
var valueSums = array<Wide, VALUE_PACKS>();
/*unroll*/ for (var k = 0u; k < ROWS; k++) {
if (i == k) {
/*unroll*/ for (var j = 0u; j < KEY_PACKS; j++) {
keySums[j] = dk[j][k];
}
/*unroll*/ for (var j = 0u; j < VALUE_PACKS; j++) {
valueSums[j] = dv[j][k];
}
}
}
let isColumn = rowGroup * ROWS + i < tile.numColumns;
let kvRow = rowOfColumn(tile.slots, columnOf(tile, rowGroup * ROWS + i));
/*unroll*/ for (var j = 0u; j < KEY_PACKS; j++) {
let pack = packOfLane(lane, j);
let sum = sumOverStrips(keySums[j], invocation, strip);
if (isColumn && strip == 0u && pack < HEAD_PACKS) {
let place = kvRow * HEAD_PACKS + pack;
partials[place] = sum + select(partials[place], Wide(), isFirst);
}
}
/*unroll*/ for (var j = 0u; j < VALUE_PACKS; j++) {
let pack = packOfLane(lane, j);
let sum = sumOverStrips(valueSums[j], invocation, strip);
if (isColumn && strip == 0u && pack < PACKS) {
let place = numKvRows * HEAD_PACKS + kvRow * PACKS + pack;
partials[place] = sum + select(partials[place], Wide(), isFirst);
}
}
}
}`;

/** attend/backward/pair.wgsl */
export const pair: string = `struct PairGradient {
weight: f32,
score: f32,
product: f32,
}`;

/** attend/backward/pair_gradient.wgsl */
export const pairGradient: string = `fn pairGradient(
product: f32,
dWeight: f32,
row: u32,
context: Context,
column: u32,
state: RowState,
isVisible: bool,
) -> PairGradient {
let score = select(MASKED, scoreOf(product, row, context, column), isVisible);
let weight = select(exp(score - state.lse), 0.0, isMasked(score));
let modSlope = modSlopeOf(product, row, context, column);
let dScore = weight * select((dWeight - state.dot) * modSlope, 0.0, weight == 0.0);
let slope = slopeOf(product);
return PairGradient(weight, dScore, dScore * select(slope, 0.0, weight == 0.0));
}`;

/** attend/backward/passing_rows.wgsl */
export const passingRows: string = `struct PassingRows {
batch: u32,
firstHead: u32,
firstToken: u32,
numTokens: u32,
count: u32,
}
fn passingRowsOf(tile: ColumnTile, context: Context) -> PassingRows {
let groupSize = params.numHeads / params.numKvHeads;
let own = queryPosition(context, 0u) - i32(context.skipped);
let lastColumn = columnOf(tile, HELD_COLUMNS - 1u);
let least = i32(tile.firstColumn) - params.windowRight - own;
let most = select(i32(lastColumn) + params.windowLeft - own, i32(params.seqLen), tile.firstColumn < SINKS);
let first = clamp(least, 0, i32(params.seqLen));
let end = clamp(most + 1, first, i32(params.seqLen));
let numTokens = u32(end - first);
return PassingRows(tile.batch, tile.kvHead * groupSize, u32(first), numTokens, groupSize * numTokens);
}
fn passingRow(rows: PassingRows, index: u32) -> u32 {
let i = min(index, rows.count - 1u);
let head = rows.firstHead + i / rows.numTokens;
return (rows.batch * params.numHeads + head) * params.seqLen + rows.firstToken + i % rows.numTokens;
}
fn startOfPassingQuery(rows: PassingRows, index: u32) -> u32 {
return passingPlace(index % TILE_COLUMNS) * HEAD_LOADS;
}
fn startOfPassingDO(rows: PassingRows, index: u32) -> u32 {
return passingPlace(index % TILE_COLUMNS) * VALUE_ROW_LOADS;
}
fn passingQueryAt(start: u32, load: u32) -> array<Wide, LOAD_PACKS> {
return queryAt(start + load);
}
fn passingDOAt(start: u32, load: u32) -> array<Wide, LOAD_PACKS> {
return dOAt(start + load);
}`;

/** attend/backward/places.wgsl */
export const places: Readonly<Record<"shared" | "own" | "broadcast", string>> = {
  shared: `var<workgroup> places: array<u32, TILE_COLUMNS>;
fn putPassingPlace(rowGroup: u32, column: u32, place: u32) {
if (rowGroup == 0u) {
places[column] = place;
}
}
fn passingPlace(column: u32) -> u32 {
return places[column];
}`,
  own: `var<private> places: array<u32, TILE_COLUMNS>;
fn putPassingPlace(rowGroup: u32, column: u32, place: u32) {
places[column] = place;
}
fn passingPlace(column: u32) -> u32 {
return places[column];
}`,
  broadcast: `var<private> places: array<u32, KEYS>;
fn putPassingPlace(rowGroup: u32, column: u32, place: u32) {
places[column / LANES] = place;
}
fn passingPlace(column: u32) -> u32 {
return subgroupShuffle(places[column / LANES], column % LANES);
}`,
};

/** attend/backward/query_gradients.wgsl */
export const queryGradients: string = `alias KeySums = array<array<Wide, ROWS>, KEY_PACKS>;
var<storage, read_write> dq: array<Gradient>;
@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) workgroupId: vec3u,
@builtin(num_workgroups) numWorkgroups: vec3u,
@builtin(local_invocation_index) invocation: u32,
) {
let index = params.firstTile + workgroupId.z * numWorkgroups.y + workgroupId.y;
if (index >= params.numRows / rowsPerKvHead() * tilesPerKvHead()) {
return;
}
let tile = rowTileOf(index);
let context = contextOf(tile.batch);
let tokens = tokensOf(tile);
let seen = vec2u(visibleColumns(context, tokens.x).x, visibleColumns(context, tokens.y).y);
let total = countOf(seen);
let columns = Columns(slotsOf(tile.batch, tile.kvHead, context, seen), total);
let tiles = (total + TILE_COLUMNS - 1u) / TILE_COLUMNS;
let perSlice = (tiles + numWorkgroups.x - 1u) / numWorkgroups.x * TILE_COLUMNS;
let first = workgroupId.x * perSlice;
let end = min(total, first + perSlice);
let rowGroup = invocation / LANES;
let lane = invocation % LANES;
let strip = stripOf(lane);
var visible: array<vec2u, ROWS>;
var states: array<RowState, ROWS>;
/*unroll*/ for (var i = 0u; i < ROWS; i++) {
let row = rowOf(tile, rowGroup * ROWS + i);
visible[i] = visibleColumns(context, tokenOf(row));
states[i] = rowStates[queryRow(tile.batch, headOf(row), tokenOf(row))];
}
let queries = queriesOf(tile, rowGroup, lane);
let dOs = dOsOf(tile, rowGroup, lane);
let shrink = shrinkOf(queries);
var acc: KeySums;
var distanceSums: PerRow;
for (var start = first; start < end; start += TILE_COLUMNS) {
let products = scoresOf(columns, start, invocation, lane, queries, shrink);
let dWeights = dWeightsOf(columns, start, invocation, lane, dOs, shrink);
var dProducts = array<PerRow, KEYS>();
/*unroll*/ for (var i = 0u; i < ROWS; i++) {
let row = rowOf(tile, rowGroup * ROWS + i);
/*unroll*/ for (var j = 0u; j < KEYS; j++) {
let index = start + lane + LANES * j;
let column = columnAt(seen, index);
let isOwn = index < end && isVisible(visible[i], column);
let pair = pairGradient(products[i][j], dWeights[i][j], row, context, column, states[i], isOwn);
dProducts[j][i] = pair.product;
distanceSums[i] += atDistance(pair.score, row, context, column);
}
}
meet();
/*unroll*/ for (var j = 0u; j < KEYS; j++) {
putWeights(rowGroup, lane + LANES * j, dProducts[j]);
}
meet();
addKeys(&acc, columns, start, min(TILE_COLUMNS, end - start), rowGroup, lane, true);
}
for (var i = 0u; i < ROWS; i++) {
var sums = array<Wide, KEY_PACKS>();
var distance = 0.0;
/*unroll*/ for (var k = 0u; k < ROWS; k++) {
if (i == k) {
distance = distanceSums[k];
/*unroll*/ for (var j = 0u; j < KEY_PACKS; j++) {
sums[j] = acc[j][k];
}
}
}
let isRow = rowGroup * ROWS + i < tile.numRows;
let row = rowOf(tile, rowGroup * ROWS + i);
let place = workgroupId.x * params.numRows + queryRow(tile.batch, headOf(row), tokenOf(row));
storeDistances(place, distance, invocation, lane, isRow);
/*unroll*/ for (var j = 0u; j < KEY_PACKS; j++) {
let pack = packOfLane(lane, j);
let sum = sumOverStrips(sums[j], invocation, strip);
if (isRow && strip == 0u && pack < HEAD_PACKS) {
dq[place * HEAD_PACKS + pack] = Gradient(sum);
}
}
}
}`;

/** attend/backward/row_dots.wgsl */
export const rowDots: string = `var<storage, read> o: array<Pack>;
var<storage, read> dO: array<Pack>;
var<storage, read> lse: array<f32>;
var<storage, read_write> rowStates: array<RowState>;
const PACKS = VALUE_DIM / PACK;
@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) workgroupId: vec3u,
@builtin(num_workgroups) numWorkgroups: vec3u,
@builtin(local_invocation_index) lane: u32,
) {
let row = (workgroupId.y * numWorkgroups.x + workgroupId.x) * WORKGROUP + lane;
if (row >= params.numRows) {
return;
}
var dot = 0.0;
for (var i = row * PACKS; i < (row + 1u) * PACKS; i++) {
dot = addInner(Wide(o[i]), Wide(dO[i]), dot);
}
rowStates[row] = RowState(lse[row], dot, lengthOf(batchOf(row)));
}`;

/** attend/backward/row_state.wgsl */
export const rowState: string = `struct RowState {
lse: f32,
dot: f32,
@size(8) length: u32,
}`;

/** attend/backward/row_states.wgsl */
export const rowStates: Readonly<Record<"storage" | "uniform", string>> = {
  storage: `var<storage, read> rowStates: array<RowState>;`,
  uniform: `var<uniform> rowStates: array<RowState, Q_ROWS>;`,
};

/** attend/backward/row_term.wgsl */
export const rowTerm: Readonly<Record<"sink" | "slope", string>> = {
  sink: `fn termOf(place: u32, head: u32) -> f32 {
let state = rowStates[place];
let weight = exp(perHead[head].y - state.lse);
return select(weight * select(state.dot, 0.0, weight == 0.0), 0.0, isMasked(state.lse));
}`,
  slope: `var<storage, read> distances: array<f32>;
fn termOf(place: u32, head: u32) -> f32 {
var sum = 0.0;
let count = arrayLength(&distances);
for (var i = place; i < count; i += params.numRows) {
sum += distances[i];
}
return sum;
}`,
};

/** attend/backward/sum_slices.wgsl */
export const sumSlices: string = `struct Params {
stride: u32,
first: u32,
count: u32,
}
var<uniform> params: Params;
var<storage, read> partials: array<Wide>;
var<storage, read_write> gradient: array<Gradient>;
@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) workgroupId: vec3u,
@builtin(num_workgroups) numWorkgroups: vec3u,
@builtin(local_invocation_index) lane: u32,
) {
let index = (workgroupId.y * numWorkgroups.x + workgroupId.x) * WORKGROUP + lane;
if (index >= params.count) {
return;
}
var sum = Wide();
let numSlices = arrayLength(&partials) / params.stride;
for (var slice = 0u; slice < numSlices; slice++) {
sum += partials[slice * params.stride + params.first + index];
}
gradient[index] = Gradient(sum);
}`;

/** attend/block_mask.wgsl */
export const blockMask: string = `var<storage, read_write> blocks: array<u32>;
const SEEN = 1u;
const HIDDEN = 2u;
var<workgroup> found: atomic<u32>;
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroupId: vec3u, @builtin(local_invocation_index) lane: u32) {
let heads = select(1u, params.numHeads, MASK_IS_PER_HEAD == 1u);
let batch = workgroupId.z / heads;
let head = workgroupId.z % heads;
let context = contextOf(batch);
let firstToken = workgroupId.y * MASK_TOKENS;
let lastToken = min(firstToken + MASK_TOKENS, params.seqLen) - 1u;
let visible = vec2u(visibleColumns(context, firstToken).x, visibleColumns(context, lastToken).y);
let first = workgroupId.x * MASK_COLUMNS;
let isMet = (first < visible.y && first + MASK_COLUMNS > visible.x) || first < SINKS;
var own = 0u;
for (var i = 0u; i < MASK_TOKENS; i += TOKEN_LANES * LANE_TOKENS) {
if (!isMet || firstToken + i > lastToken) {
break;
}
/*unroll*/ for (var t = 0u; t < LANE_TOKENS; t++) {
let token = min(firstToken + i + t * TOKEN_LANES + lane / COLUMN_LANES, lastToken);
/*unroll*/ for (var c = 0u; c < LANE_COLUMNS; c++) {
let column = first + c * COLUMN_LANES + lane % COLUMN_LANES;
let isSeen = isSeenAt(placeOfPair(head, token, context, column));
let isPair = isVisible(visibleColumns(context, token), column);
own |= select(0u, select(HIDDEN, SEEN, isSeen), isPair);
}
}
}
atomicOr(&found, own);
workgroupBarrier();
if (lane > 0u) {
return;
}
let all = atomicLoad(&found);
let state = select(select(SOME, ALL, all == SEEN), NONE, (all & SEEN) == 0u);
blocks[placeOfBlocks(batch, head, workgroupId.y) + workgroupId.x] = state;
blocks[batch] = lengthOf(batch);
}`;

/** attend/blocks.wgsl */
export const blocks: string = `const SOME = 0u;
const NONE = 1u;
const ALL = 2u;
fn numBlocks(count: u32, size: u32) -> u32 {
return (count + size - 1u) / size;
}
fn placeOfBlocks(batch: u32, head: u32, tokenBlock: u32) -> u32 {
let batches = params.numRows / (params.numHeads * params.seqLen);
let row = select(batch, batch * params.numHeads + head, MASK_IS_PER_HEAD == 1u);
let tokenBlocks = numBlocks(params.seqLen, MASK_TOKENS);
return batches + (row * tokenBlocks + tokenBlock) * numBlocks(params.contextLen, MASK_COLUMNS);
}`;

/** attend/column_weights.wgsl */
export const columnWeights: Readonly<Record<"own" | "sharers" | "broadcast", string>> = {
  own: `fn weightsFrom(rowGroup: u32, lane: u32, column: u32) -> array<PerRow, COLUMNS> {
return weightsAt(rowGroup, column);
}
fn stripOf(lane: u32) -> u32 {
return lane / VALUE_LANES;
}`,
  sharers: `fn weightsFrom(rowGroup: u32, lane: u32, column: u32) -> array<PerRow, COLUMNS> {
var held: array<f32, WEIGHT_LOADS>;
/*unroll*/ for (var i = 0u; i < WEIGHT_LOADS; i++) {
let index = min(i * SHARERS + lane % SHARERS, COLUMNS * ROWS - 1u);
held[i] = weights[rowGroup][column / COLUMNS][index / ROWS][index % ROWS];
}
var w: array<PerRow, COLUMNS>;
/*unroll*/ for (var n = 0u; n < COLUMNS; n++) {
/*unroll*/ for (var i = 0u; i < ROWS; i++) {
w[n][i] = subgroupBroadcast(held[(n * ROWS + i) / SHARERS], (n * ROWS + i) % SHARERS);
}
}
return w;
}
fn stripOf(lane: u32) -> u32 {
return 0u;
}`,
  broadcast: `fn weightsFrom(rowGroup: u32, lane: u32, column: u32) -> array<PerRow, COLUMNS> {
let held = weights[column / LANES];
var w: array<PerRow, COLUMNS>;
/*unroll*/ for (var n = 0u; n < COLUMNS; n++) {
/*unroll*/ for (var i = 0u; i < ROWS; i++) {
w[n][i] = subgroupBroadcast(held[i], n);
}
}
return w;
}
fn stripOf(lane: u32) -> u32 {
return 0u;
}`,
};

/** attend/columns.wgsl */
export const columns: string = `struct Columns {
slots: Slots,
count: u32,
}
fn keyOfColumn(columns: Columns, index: u32) -> u32 {
return startOfKey(rowOfColumn(columns.slots, min(index, columns.count - 1u)));
}
fn valueOfColumn(columns: Columns, index: u32) -> u32 {
return startOfValue(rowOfColumn(columns.slots, min(index, columns.count - 1u)));
}`;

/** attend/context.wgsl */
export const context: string = `struct Context {
sequence: u32,
len: u32,
skipped: u32,
firstQuery: i32,
}
fn contextUpTo(sequence: u32, end: u32, firstQuery: i32) -> Context {
let len = min(end, params.contextLen);
return Context(sequence, len, end - len, firstQuery);
}
fn tokenAt(context: Context, column: u32) -> u32 {
return select(context.skipped + column, column, column < SINKS);
}
fn queryPosition(context: Context, token: u32) -> i32 {
return context.firstQuery + i32(token);
}
fn visibleColumns(context: Context, token: u32) -> vec2u {
let len = i32(context.len);
let own = queryPosition(context, token) - i32(context.skipped);
let first = clamp(own - params.windowLeft, 0, len);
let end = clamp(own + params.windowRight + 1, first, len);
return vec2u(u32(first), u32(end));
}
fn isVisible(visible: vec2u, column: u32) -> bool {
return (column >= visible.x && column < visible.y) || column < min(SINKS, visible.x);
}
fn countOf(visible: vec2u) -> u32 {
return min(SINKS, visible.x) + visible.y - visible.x;
}
fn columnAt(visible: vec2u, index: u32) -> u32 {
let sinks = min(SINKS, visible.x);
return select(visible.x - sinks + index, index, index < sinks);
}`;

/** attend/inner_half.wgsl */
export const innerHalf: Readonly<Record<"vec4" | "scalar", string>> = {
  vec4: `fn innerHalf(a: Factor, b: Factor) -> f16 {
return dot(a, b);
}`,
  scalar: `fn innerHalf(a: Factor, b: Factor) -> f16 {
return a * b;
}`,
};

/** attend/lengths.wgsl */
export const lengths: Readonly<Record<"given" | "ofRows" | "full", string>> = {
  given: `var<storage, read> lengths: array<u32>;
fn lengthOf(batch: u32) -> u32 {
return lengths[batch];
}`,
  ofRows: `fn lengthOf(batch: u32) -> u32 {
return rowStates[queryRow(batch, 0u, 0u) - params.firstQueryRow].length;
}`,
  full: `fn lengthOf(batch: u32) -> u32 {
return params.capacity;
}`,
};

/** attend/matrix_units/matrix_block.wgsl */
export const matrixBlock: string = `alias Left = subgroup_matrix_left<f16, BLOCK_INNER, BLOCK_ROWS>;
alias Right = subgroup_matrix_right<f16, BLOCK_COLUMNS, BLOCK_INNER>;
alias Sum = subgroup_matrix_result<f32, BLOCK_COLUMNS, BLOCK_ROWS>;
fn leftAt(at: u32, stride: u32) -> Left {
return subgroupMatrixLoad<Left, row_major>(&factors, at, stride);
}
fn rightAt(at: u32, stride: u32) -> Right {
return subgroupMatrixLoad<Right, row_major>(&factors, at, stride);
}
fn transposedAt(at: u32, stride: u32) -> Right {
return subgroupMatrixLoad<Right, col_major>(&factors, at, stride);
}
fn addProduct(left: Left, right: Right, sum: Sum) -> Sum {
return subgroupMatrixMultiplyAccumulate(left, right, sum);
}
fn storeSum(at: u32, stride: u32, sum: Sum) {
subgroupMatrixStore<row_major>(&products, at, sum, stride);
}`;

/** attend/matrix_units/matrix_pack.wgsl */
export const matrixPack: Readonly<Record<"vec4" | "scalar", string>> = {
  vec4: `fn putFactors(at: u32, x: Factor) {
factors[at] = x.x;
factors[at + 1u] = x.y;
factors[at + 2u] = x.z;
factors[at + 3u] = x.w;
}
fn productsAt(at: u32) -> Wide {
return Wide(products[at], products[at + 1u], products[at + 2u], products[at + 3u]);
}`,
  scalar: `fn putFactors(at: u32, x: Factor) {
factors[at] = x;
}
fn productsAt(at: u32) -> Wide {
return products[at];
}`,
};

/** attend/matrix_units/matrix_tile.wgsl */
export const matrixTile: string = `const STAGED = ROWS * HEAD_WIDTH;
const WEIGHTS = STAGED + TILE_COLUMNS * MOST_WIDTH;
var<workgroup> factors: array<f16, WEIGHTS + ROWS * TILE_COLUMNS>;
var<workgroup> products: array<f32, ROWS * MOST_COLUMNS>;`;

/** attend/matrix_units/score_keys.matrix_units.wgsl, attend/score_keys.lanes.wgsl, attend/score_keys.partners.wgsl */
export const scoreKeys: Readonly<Record<"matrixUnits" | "lanes" | "partners", string>> = {
  matrixUnits: `alias Queries = PerRow;
const HEAD_LOADS_WIDE = HEAD_WIDTH / (PACK * LOAD_PACKS);
fn queriesOf(tile: RowTile, rowGroup: u32, lane: u32) -> Queries {
var most: PerRow;
/*unroll*/ for (var i = 0u; i < ROWS; i++) {
for (var h = lane; h < HEAD_LOADS; h += LANES) {
let x = ownQueryAt(tile, i, h);
/*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
most[i] = max(most[i], largestOf(x[p]));
}
}
}
most = maxOverLanes(most, lane, lane);
var shrink: PerRow;
/*unroll*/ for (var i = 0u; i < ROWS; i++) {
let exponent = clamp(bitcast<u32>(most[i]) >> 23u, 15u, 254u);
shrink[i] = bitcast<f32>((268u - exponent) << 23u);
for (var h = lane; h < HEAD_LOADS_WIDE; h += LANES) {
var x = array<Wide, LOAD_PACKS>();
if (h < HEAD_LOADS) {
x = ownQueryAt(tile, i, h);
}
/*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
putFactors(i * HEAD_WIDTH + (h * LOAD_PACKS + p) * PACK, Factor(shrink[i] * x[p]));
}
}
}
return shrink;
}
fn ownQueryAt(tile: RowTile, i: u32, load: u32) -> array<Wide, LOAD_PACKS> {
return queryAt(startOfQuery(tile, i) + load);
}
fn shrinkOf(queries: Queries) -> PerRow {
return queries;
}
fn scoresOf(
columns: Columns,
start: u32,
invocation: u32,
lane: u32,
queries: Queries,
shrink: PerRow,
) -> array<array<f32, KEYS>, ROWS> {
for (var n = lane; n < TILE_COLUMNS * HEAD_LOADS_WIDE; n += LANES) {
let c = n / HEAD_LOADS_WIDE;
let h = n % HEAD_LOADS_WIDE;
var keys = array<Factor, LOAD_PACKS>();
if (h < HEAD_LOADS) {
keys = keysAt(keyOfColumn(columns, start + c), h);
}
/*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
putFactors(STAGED + c * HEAD_WIDTH + (h * LOAD_PACKS + p) * PACK, keys[p]);
}
}
workgroupBarrier();
for (var i = 0u; i < ROWS; i += BLOCK_ROWS) {
for (var c = 0u; c < TILE_COLUMNS; c += BLOCK_COLUMNS) {
var sum = Sum();
for (var h = 0u; h < HEAD_WIDTH; h += BLOCK_INNER) {
let left = leftAt(i * HEAD_WIDTH + h, HEAD_WIDTH);
sum = addProduct(left, transposedAt(STAGED + c * HEAD_WIDTH + h, HEAD_WIDTH), sum);
}
storeSum(i * TILE_COLUMNS + c, TILE_COLUMNS, sum);
}
}
workgroupBarrier();
var s: array<array<f32, KEYS>, ROWS>;
/*unroll*/ for (var j = 0u; j < KEYS; j++) {
let c = lane + LANES * j;
let step = keyStep(keyOfColumn(columns, start + c));
/*unroll*/ for (var i = 0u; i < ROWS; i++) {
s[i][j] = products[i * TILE_COLUMNS + c] * (step / shrink[i]);
}
}
return s;
}`,
  lanes: `fn scoresOf(
columns: Columns,
start: u32,
invocation: u32,
lane: u32,
queries: Queries,
shrink: PerRow,
) -> array<array<f32, KEYS>, ROWS> {
var key: array<u32, KEYS>;
/*unroll*/ for (var j = 0u; j < KEYS; j++) {
key[j] = keyOfColumn(columns, start + lane + LANES * j);
}
var s: array<array<f32, KEYS>, ROWS>;
for (var h = 0u; h < HEAD_LOADS; h++) {
stageKeys(columns, start, invocation, h);
var keys = array<array<Factor, LOAD_PACKS>, KEYS>();
/*unroll*/ for (var j = 0u; j < KEYS; j++) {
keys[j] = ownKeysAt(key[j], lane + LANES * j, h);
}
let x = queriesAt(queries, h);
/*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
/*unroll*/ for (var i = 0u; i < ROWS; i++) {
let factor = Factor(shrink[i] * x[p][i]);
/*unroll*/ for (var j = 0u; j < KEYS; j++) {
s[i][j] = addProducts(factor, keys[j][p], s[i][j]);
}
}
}
}
/*unroll*/ for (var j = 0u; j < KEYS; j++) {
let step = keyStep(key[j]);
/*unroll*/ for (var i = 0u; i < ROWS; i++) {
s[i][j] *= step / shrink[i];
}
}
return s;
}
fn largestQueries(queries: Queries) -> PerRow {
var most: PerRow;
for (var h = 0u; h < HEAD_LOADS; h++) {
let x = queriesAt(queries, h);
/*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
/*unroll*/ for (var i = 0u; i < ROWS; i++) {
most[i] = max(most[i], largestOf(x[p][i]));
}
}
}
return most;
}`,
  partners: `alias Queries = array<array<Wide, ROWS>, PARTNER_PACKS>;
fn queriesOf(tile: RowTile, rowGroup: u32, lane: u32) -> Queries {
var queries: Queries;
/*unroll*/ for (var i = 0u; i < ROWS; i++) {
let first = startOfQuery(tile, rowGroup * ROWS + i);
/*unroll*/ for (var n = 0u; n < PARTNER_LOADS; n++) {
let x = queryAt(first + loadOfPartner(lane, n));
/*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
queries[n * LOAD_PACKS + p][i] = x[p];
}
}
}
return queries;
}
fn loadOfPartner(lane: u32, n: u32) -> u32 {
return n * PARTNERS + lane % PARTNERS;
}
fn largestQueries(queries: Queries) -> PerRow {
var most: PerRow;
/*unroll*/ for (var i = 0u; i < ROWS; i++) {
/*unroll*/ for (var n = 0u; n < PARTNER_PACKS; n++) {
most[i] = max(most[i], largestOf(queries[n][i]));
}
for (var stride = PARTNERS / 2u; stride > 0u; stride /= 2u) {
most[i] = max(most[i], subgroupShuffleXor(most[i], stride));
}
}
return most;
}
fn scoresOf(
columns: Columns,
start: u32,
invocation: u32,
lane: u32,
queries: Queries,
shrink: PerRow,
) -> array<array<f32, KEYS>, ROWS> {
var s: array<array<f32, KEYS>, ROWS>;
/*unroll*/ for (var j = 0u; j < KEYS; j++) {
var sums: array<PerRow, PARTNERS>;
let first = start + lane - lane % PARTNERS + LANES * j;
/*unroll*/ for (var n = 0u; n < PARTNERS; n++) {
sums[n] = scoresOfPartner(keyOfColumn(columns, first + n), lane, queries, shrink);
}
let step = keyStep(keyOfColumn(columns, first + lane % PARTNERS));
let own = ownOf(sums, lane);
/*unroll*/ for (var i = 0u; i < ROWS; i++) {
s[i][j] = own[i] * step / shrink[i];
}
}
return s;
}
fn scoresOfPartner(key: u32, lane: u32, queries: Queries, shrink: PerRow) -> PerRow {
var sums: PerRow;
/*unroll*/ for (var n = 0u; n < PARTNER_LOADS; n++) {
let keys = keysAt(key, loadOfPartner(lane, n));
/*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
/*unroll*/ for (var i = 0u; i < ROWS; i++) {
sums[i] = addProducts(Factor(shrink[i] * queries[n * LOAD_PACKS + p][i]), keys[p], sums[i]);
}
}
}
return sums;
}
fn ownOf(partial: array<PerRow, PARTNERS>, lane: u32) -> PerRow {
var sums = partial;
/*unroll*/ for (var r = 0u; r < EXCHANGES; r++) {
let stride = PARTNERS >> (r + 1u);
let isUpper = (lane & stride) != 0u;
/*unroll*/ for (var n = 0u; n < HALF_PARTNERS; n++) {
if (n < stride) {
/*unroll*/ for (var i = 0u; i < ROWS; i++) {
let given = select(sums[n + stride][i], sums[n][i], isUpper);
let kept = select(sums[n][i], sums[n + stride][i], isUpper);
sums[n][i] = kept + subgroupShuffleXor(given, stride);
}
}
}
}
return sums[0];
}`,
};

/** attend/matrix_units/sum_values.matrix_units.wgsl, attend/sum_values.lanes.wgsl, attend/sum_values.own.wgsl */
export const sumValues: Readonly<Record<"matrixUnits" | "lanes" | "own", string>> = {
  matrixUnits: `const WEIGHT_SCALE = 32768.0;
const LARGEST_HALF = WideUint(0x477fe000u);
const VALUE_LOADS_WIDE = VALUE_WIDTH / (PACK * LOAD_PACKS);
fn addValues(
acc: ptr<function, Sums>,
columns: Columns,
start: u32,
count: u32,
rowGroup: u32,
lane: u32,
maySkip: bool,
) {
/*unroll*/ for (var j = 0u; j < KEYS; j++) {
let c = lane + LANES * j;
/*unroll*/ for (var i = 0u; i < ROWS; i++) {
factors[WEIGHTS + i * TILE_COLUMNS + c] = f16(WEIGHT_SCALE * weights[rowGroup][c][0u][i]);
}
}
var hasOthers = false;
for (var n = lane; n < TILE_COLUMNS * VALUE_LOADS_WIDE; n += LANES) {
let c = n / VALUE_LOADS_WIDE;
let h = n % VALUE_LOADS_WIDE;
var values = array<Wide, LOAD_PACKS>();
var step = 0.0;
if (h < PACKS / LOAD_PACKS) {
let value = valueOfColumn(columns, start + c);
values = valuesAt(value, h);
step = valueStep(value);
}
/*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
let x = step * values[p];
let isOther = magnitudeOf(x) > LARGEST_HALF;
hasOthers = hasOthers || any(isOther);
putFactors(STAGED + c * VALUE_WIDTH + (h * LOAD_PACKS + p) * PACK, Factor(select(x, Wide(), isOther)));
}
}
workgroupBarrier();
for (var i = 0u; i < ROWS; i += BLOCK_ROWS) {
for (var h = 0u; h < VALUE_WIDTH; h += BLOCK_COLUMNS) {
var sum = Sum();
for (var c = 0u; c < TILE_COLUMNS; c += BLOCK_INNER) {
let left = leftAt(WEIGHTS + i * TILE_COLUMNS + c, TILE_COLUMNS);
sum = addProduct(left, rightAt(STAGED + c * VALUE_WIDTH + h, VALUE_WIDTH), sum);
}
storeSum(i * VALUE_WIDTH + h, VALUE_WIDTH, sum);
}
}
workgroupBarrier();
/*unroll*/ for (var j = 0u; j < VALUE_PACKS; j++) {
let pack = (lane + j / LOAD_PACKS * LANES) * LOAD_PACKS + j % LOAD_PACKS;
/*unroll*/ for (var i = 0u; i < ROWS; i++) {
let sum = productsAt(i * VALUE_WIDTH + min(pack, PACKS - 1u) * PACK);
(*acc)[j][i] = fma(sum, Wide(1.0 / WEIGHT_SCALE), (*acc)[j][i]);
}
}
if (subgroupAny(hasOthers)) {
addOthers(acc, columns, start, count, rowGroup, lane);
}
}
fn addOthers(
acc: ptr<function, Sums>,
columns: Columns,
start: u32,
count: u32,
rowGroup: u32,
lane: u32,
) {
for (var c = 0u; c < count; c++) {
let value = valueOfColumn(columns, start + c);
let step = valueStep(value);
/*unroll*/ for (var j = 0u; j < VALUE_LOADS; j++) {
let values = valuesAt(value, min(lane + j * LANES, PACKS / LOAD_PACKS - 1u));
/*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
let x = step * values[p];
let other = select(Wide(), x, magnitudeOf(x) > LARGEST_HALF);
/*unroll*/ for (var i = 0u; i < ROWS; i++) {
let w = weights[rowGroup][c][0u][i];
(*acc)[j * LOAD_PACKS + p][i] = fma(Wide(w), select(other, Wide(), w == 0.0), (*acc)[j * LOAD_PACKS + p][i]);
}
}
}
}
}
fn magnitudeOf(x: Wide) -> WideUint {
return bitcast<WideUint>(x) & WideUint(0x7fffffffu);
}
fn stripOf(lane: u32) -> u32 {
return 0u;
}
fn stepOfWeight(value: u32) -> f32 {
return 1.0;
}`,
  lanes: `fn addValues(
acc: ptr<function, Sums>,
columns: Columns,
start: u32,
count: u32,
rowGroup: u32,
lane: u32,
maySkip: bool,
) {
let firstLoad = lane % VALUE_LANES;
for (var c = stripOf(lane) * COLUMNS; c < count; c += STRIPS * COLUMNS) {
let w = weightsFrom(rowGroup, lane, c);
/*unroll*/ for (var n = 0u; n < COLUMNS; n++) {
let value = valueOfColumn(columns, start + c + n);
/*unroll*/ for (var j = 0u; j < VALUE_LOADS; j++) {
let values = valuesAt(value, min(firstLoad + j * VALUE_LANES, PACKS / LOAD_PACKS - 1u));
/*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
/*unroll*/ for (var i = 0u; i < ROWS; i++) {
let seenX = select(values[p], Wide(), maySkip && w[n][i] == 0.0);
(*acc)[j * LOAD_PACKS + p][i] = fma(Wide(w[n][i]), seenX, (*acc)[j * LOAD_PACKS + p][i]);
}
}
}
}
}
}
fn stepOfWeight(value: u32) -> f32 {
return valueStep(value);
}`,
  own: `fn addValues(
acc: ptr<function, Sums>,
columns: Columns,
start: u32,
count: u32,
rowGroup: u32,
lane: u32,
maySkip: bool,
) {
/*unroll*/ for (var n = 0u; n < KEYS; n++) {
let value = valueOfColumn(columns, start + lane + LANES * n);
/*unroll*/ for (var j = 0u; j < VALUE_LOADS; j++) {
let values = valuesAt(value, j);
/*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
/*unroll*/ for (var i = 0u; i < ROWS; i++) {
let seenX = select(values[p], Wide(), maySkip && weights[n][i] == 0.0);
(*acc)[j * LOAD_PACKS + p][i] = fma(Wide(weights[n][i]), seenX, (*acc)[j * LOAD_PACKS + p][i]);
}
}
}
}
}
fn stepOfWeight(value: u32) -> f32 {
return valueStep(value);
}
fn stripOf(lane: u32) -> u32 {
return lane;
}`,
};

/** attend/meeting.wgsl */
export const meeting: Readonly<Record<"shared" | "none", string>> = {
  shared: `fn meet() {
workgroupBarrier();
}`,
  none: `fn meet() {
}`,
};

/** attend/middle_sums.wgsl */
export const middleSums: Readonly<Record<"summed" | "none", string>> = {
  summed: `fn middlesOverLanes(own: f32, invocation: u32, lane: u32) -> f32 {
return sumOverLanes(own, invocation, lane);
}`,
  none: `fn middlesOverLanes(own: f32, invocation: u32, lane: u32) -> f32 {
return 0.0;
}`,
};

/** attend/own_keys.wgsl */
export const ownKeys: Readonly<Record<"direct" | "staged", string>> = {
  direct: `fn stageKeys(columns: Columns, start: u32, invocation: u32, load: u32) {
}
fn ownKeysAt(key: u32, column: u32, load: u32) -> array<Factor, LOAD_PACKS> {
return keysAt(key, load);
}`,
  staged: `var<workgroup> staged: array<array<array<Factor, LOAD_PACKS>, CHUNK + 1u>, TILE_COLUMNS>;
fn stageKeys(columns: Columns, start: u32, invocation: u32, load: u32) {
if (load % CHUNK != 0u) {
return;
}
workgroupBarrier();
for (var first = invocation; first < TILE_COLUMNS * CHUNK; first += WORKGROUP * STAGED_LOADS) {
var held = array<array<Factor, LOAD_PACKS>, STAGED_LOADS>();
/*unroll*/ for (var n = 0u; n < STAGED_LOADS; n++) {
let i = first + n * WORKGROUP;
let key = keyOfColumn(columns, start + i / CHUNK);
held[n] = keysAt(key, min(load + i % CHUNK, HEAD_LOADS - 1u));
}
/*unroll*/ for (var n = 0u; n < STAGED_LOADS; n++) {
let i = first + n * WORKGROUP;
staged[i / CHUNK][i % CHUNK] = held[n];
}
}
workgroupBarrier();
}
fn ownKeysAt(key: u32, column: u32, load: u32) -> array<Factor, LOAD_PACKS> {
return staged[column][load % CHUNK];
}`,
};

/** attend/params.wgsl */
export const params: string = `struct Broadcast {
stride: vec3u,
keys: u32,
}
struct Params {
qStride: vec3u,
numHeads: u32,
kvStride: vec3u,
numKvHeads: u32,
seqLen: u32,
capacity: u32,
contextLen: u32,
filledLen: u32,
firstQuery: i32,
isFromEnd: u32,
windowLeft: i32,
windowRight: i32,
scale: f32,
softcap: f32,
isMaskFromEnd: u32,
bias: Broadcast,
mask: Broadcast,
firstTile: u32,
firstRow: u32,
scratchRow: u32,
firstKvRow: u32,
firstQueryRow: u32,
slice: u32,
numRows: u32,
}
var<uniform> params: Params;
fn tokenOf(row: u32) -> u32 {
return row % params.seqLen;
}
fn headOf(row: u32) -> u32 {
return row / params.seqLen % params.numHeads;
}
fn batchOf(row: u32) -> u32 {
return row / (params.numHeads * params.seqLen);
}
fn kvHeadOf(row: u32) -> u32 {
return headOf(row) / (params.numHeads / params.numKvHeads);
}
fn queryRow(batch: u32, head: u32, token: u32) -> u32 {
return dot(vec3u(batch, head, token), params.qStride);
}
fn scoresOffset(row: u32) -> u32 {
return (row - params.scratchRow) * params.contextLen;
}
fn rowOffset(shape: Broadcast, row: u32) -> u32 {
return dot(vec3u(batchOf(row), headOf(row), tokenOf(row)), shape.stride);
}`;

/** attend/products.wgsl */
export const products: Readonly<Record<"f32" | "f16", string>> = {
  f32: `fn addProducts(a: Factor, b: Factor, sum: f32) -> f32 {
return addInner(a, b, sum);
}
fn shrinkOf(queries: Queries) -> PerRow {
var shrink: PerRow;
/*unroll*/ for (var i = 0u; i < ROWS; i++) {
shrink[i] = 1.0;
}
return shrink;
}`,
  f16: `fn addProducts(a: Factor, b: Factor, sum: f32) -> f32 {
return sum + f32(innerHalf(a, b));
}
fn shrinkOf(queries: Queries) -> PerRow {
let most = largestQueries(queries);
var shrink: PerRow;
/*unroll*/ for (var i = 0u; i < ROWS; i++) {
let exponent = clamp(bitcast<u32>(most[i]) >> 23u, 1u, 250u);
shrink[i] = bitcast<f32>((251u - exponent) << 23u);
}
return shrink;
}`,
};

/** attend/queries.wgsl */
export const queries: Readonly<Record<"own" | "sharers" | "held", string>> = {
  own: `alias Queries = array<u32, ROWS>;
fn queriesOf(tile: RowTile, rowGroup: u32, lane: u32) -> Queries {
var queries: Queries;
/*unroll*/ for (var i = 0u; i < ROWS; i++) {
queries[i] = startOfQuery(tile, rowGroup * ROWS + i);
}
return queries;
}
fn queriesAt(queries: Queries, load: u32) -> array<array<Wide, ROWS>, LOAD_PACKS> {
var x: array<array<Wide, ROWS>, LOAD_PACKS>;
/*unroll*/ for (var i = 0u; i < ROWS; i++) {
let held = queryAt(queries[i] + load);
/*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
x[p][i] = held[p];
}
}
return x;
}`,
  sharers: `alias Queries = array<u32, ROW_LOADS>;
fn queriesOf(tile: RowTile, rowGroup: u32, lane: u32) -> Queries {
var queries: Queries;
/*unroll*/ for (var i = 0u; i < ROW_LOADS; i++) {
queries[i] = startOfQuery(tile, i * SHARERS + lane % SHARERS);
}
return queries;
}
fn queriesAt(queries: Queries, load: u32) -> array<array<Wide, ROWS>, LOAD_PACKS> {
var held: array<array<Wide, LOAD_PACKS>, ROW_LOADS>;
/*unroll*/ for (var i = 0u; i < ROW_LOADS; i++) {
held[i] = queryAt(queries[i] + load);
}
var x: array<array<Wide, ROWS>, LOAD_PACKS>;
/*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
/*unroll*/ for (var i = 0u; i < ROWS; i++) {
x[p][i] = subgroupBroadcast(held[i / SHARERS][p], i % SHARERS);
}
}
return x;
}`,
  held: `alias Queries = array<array<array<Wide, ROWS>, LOAD_PACKS>, HEAD_LOADS>;
fn queriesOf(tile: RowTile, rowGroup: u32, lane: u32) -> Queries {
var queries: Queries;
/*unroll*/ for (var i = 0u; i < ROWS; i++) {
let start = startOfQuery(tile, rowGroup * ROWS + i);
for (var h = 0u; h < HEAD_LOADS; h++) {
let held = queryAt(start + h);
/*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
queries[h][p][i] = held[p];
}
}
}
return queries;
}
fn queriesAt(queries: Queries, load: u32) -> array<array<Wide, ROWS>, LOAD_PACKS> {
return queries[load];
}`,
};

/** attend/query.wgsl */
export const query: Readonly<Record<"stored" | "packs" | "texels" | "transformed", string>> = {
  stored: `fn queryAt(load: u32) -> array<Wide, LOAD_PACKS> {
return numbersOf(q[load]);
}`,
  packs: `var<storage, read> q: array<Pack>;
fn queryAt(load: u32) -> array<Wide, LOAD_PACKS> {
var x: array<Wide, LOAD_PACKS>;
/*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
x[p] = Wide(q[load * LOAD_PACKS + p]);
}
return x;
}`,
  texels: `var q: texture_2d<f32>;
fn queryAt(load: u32) -> array<Wide, LOAD_PACKS> {
return array<Wide, LOAD_PACKS>(textureLoad(q, placeOfTexel(load), 0));
}`,
  transformed: `var<storage, read> q: array<Wide>;
fn queryAt(load: u32) -> array<Wide, LOAD_PACKS> {
var x: array<Wide, LOAD_PACKS>;
/*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
x[p] = q[load * LOAD_PACKS + p];
}
return x;
}`,
};

/** attend/query_shift.wgsl */
export const queryShift: Readonly<Record<"none" | "transformed", string>> = {
  none: `fn shiftOf(tile: RowTile, i: u32) -> f32 {
return 0.0;
}
fn totalOf(tile: RowTile, i: u32) -> f32 {
return 0.0;
}`,
  transformed: `fn shiftOf(tile: RowTile, i: u32) -> f32 {
return addInner(q[(startOfQuery(tile, i) + HEAD_LOADS) * LOAD_PACKS], Wide(1.0), 0.0);
}
fn totalOf(tile: RowTile, i: u32) -> f32 {
return addInner(q[(startOfQuery(tile, i) + HEAD_LOADS + 1u) * LOAD_PACKS], Wide(1.0), 0.0);
}`,
};

/** attend/query_start.wgsl */
export const queryStart: Readonly<Record<"stored" | "transformed", string>> = {
  stored: `fn startOfQuery(tile: RowTile, i: u32) -> u32 {
let row = rowOf(tile, i);
return queryRow(tile.batch, headOf(row), tokenOf(row)) * HEAD_LOADS;
}`,
  transformed: `fn startOfQuery(tile: RowTile, i: u32) -> u32 {
let row = rowOf(tile, i);
return queryRow(tile.batch, headOf(row), tokenOf(row)) * (HEAD_LOADS + 2u);
}`,
};

/** attend/row_order.wgsl */
export const rowOrder: Readonly<Record<"byHead" | "byToken" | "ragged", string>> = {
  byHead: `fn rowOf(tile: RowTile, i: u32) -> u32 {
return (tile.batch * params.numKvHeads + tile.kvHead) * rowsPerKvHead() + tile.firstRow + min(i, tile.numRows - 1u);
}
fn tokensOf(tile: RowTile) -> vec2u {
let first = tile.firstRow;
let last = tile.firstRow + tile.numRows - 1u;
let isOneHead = first / params.seqLen == last / params.seqLen;
return select(vec2u(0u, params.seqLen - 1u), vec2u(first, last) % params.seqLen, isOneHead);
}`,
  byToken: `fn rowOf(tile: RowTile, i: u32) -> u32 {
let groupSize = params.numHeads / params.numKvHeads;
let row = tile.firstRow + min(i, tile.numRows - 1u);
let head = (tile.batch * params.numKvHeads + tile.kvHead) * groupSize + row % groupSize;
return head * params.seqLen + row / groupSize;
}
fn tokensOf(tile: RowTile) -> vec2u {
let last = tile.firstRow + tile.numRows - 1u;
return vec2u(tile.firstRow, last) / (params.numHeads / params.numKvHeads);
}`,
  ragged: `fn rowOf(tile: RowTile, i: u32) -> u32 {
let row = tile.firstRow + min(i, tile.numRows - 1u);
let head = tile.kvHead * (params.numHeads / params.numKvHeads) + row / tile.seqLen;
return head * params.seqLen + tile.firstToken + row % tile.seqLen;
}
fn tokensOf(tile: RowTile) -> vec2u {
let first = tile.firstRow;
let last = tile.firstRow + tile.numRows - 1u;
let isOneHead = first / tile.seqLen == last / tile.seqLen;
let within = select(vec2u(0u, tile.seqLen - 1u), vec2u(first, last) % tile.seqLen, isOneHead);
return tile.firstToken + within;
}`,
};

/** attend/row_tile.wgsl */
export const rowTile: Readonly<Record<"padded" | "ragged", string>> = {
  padded: `struct RowTile {
batch: u32,
kvHead: u32,
firstRow: u32,
numRows: u32,
}
fn rowsPerKvHead() -> u32 {
return params.numHeads / params.numKvHeads * params.seqLen;
}
fn tilesPerKvHead() -> u32 {
return (rowsPerKvHead() + TILE_ROWS - 1u) / TILE_ROWS;
}
fn rowTileOf(index: u32) -> RowTile {
let kvHead = index / tilesPerKvHead();
let firstRow = index % tilesPerKvHead() * TILE_ROWS;
return RowTile(
kvHead / params.numKvHeads,
kvHead % params.numKvHeads,
firstRow,
min(TILE_ROWS, rowsPerKvHead() - firstRow),
);
}`,
  ragged: `struct RowTile {
batch: u32,
kvHead: u32,
firstRow: u32,
numRows: u32,
firstToken: u32,
seqLen: u32,
}
fn tilesPerKvHead() -> u32 {
return params.numHeads / params.numKvHeads * params.seqLen / TILE_ROWS + numSequences() * SPARE_TILES;
}
fn rowTileOf(index: u32) -> RowTile {
let groupSize = params.numHeads / params.numKvHeads;
let scale = vec3u(groupSize, TILE_ROWS, SPARE_TILES);
let place = index % tilesPerKvHead();
let sequence = sequenceAt(place, scale);
let seqLen = countOfNew(sequence);
let firstRow = (place - firstPlace(sequence, scale)) * TILE_ROWS;
return RowTile(
sequence,
index / tilesPerKvHead(),
firstRow,
min(TILE_ROWS, max(firstRow, groupSize * seqLen) - firstRow),
startOf(sequence),
seqLen,
);
}`,
};

/** attend/rows.wgsl */
export const rows: Readonly<Record<"padded" | "ragged", string>> = {
  padded: `fn isRow(row: u32) -> bool {
return row < params.numRows;
}`,
  ragged: `fn isRow(row: u32) -> bool {
return row < params.numRows && tokenOf(row) < numNewTokens();
}`,
};

/** attend/seen_tiles.wgsl */
export const seenTiles: Readonly<Record<"every" | "inBlocks", string>> = {
  every: `alias TileBlocks = bool;
fn blocksOf(tile: RowTile, tokens: vec2u, context: Context) -> TileBlocks {
return true;
}
fn seenTile(rows: TileBlocks, seen: vec2u, start: u32, end: u32, width: u32, stride: u32) -> u32 {
return start;
}`,
  inBlocks: `var<storage, read> blocks: array<u32>;
var<private> isWholeTile: bool;
struct TileBlocks {
first: u32,
count: u32,
stride: u32,
isKnown: u32,
}
fn blocksOf(tile: RowTile, tokens: vec2u, context: Context) -> TileBlocks {
let group = params.numHeads / params.numKvHeads;
let first = tile.kvHead * group + tile.firstRow / params.seqLen;
let last = tile.kvHead * group + (tile.firstRow + tile.numRows - 1u) / params.seqLen;
let tokenBlocks = tokens / MASK_TOKENS;
let isOneBlock = tokenBlocks.x == tokenBlocks.y;
let isOneRow = first == last || MASK_IS_PER_HEAD == 0u;
let isKnown = (isOneBlock || first == last) && blocks[tile.batch] == context.skipped + context.len;
let start = placeOfBlocks(tile.batch, first, tokenBlocks.x);
let columnBlocks = numBlocks(params.contextLen, MASK_COLUMNS);
let ofHead = numBlocks(params.seqLen, MASK_TOKENS) * columnBlocks;
return TileBlocks(
start,
select(last - first + 1u, tokenBlocks.y - tokenBlocks.x + 1u, isOneRow),
select(ofHead, columnBlocks, isOneRow),
u32(isKnown),
);
}
fn seenTile(rows: TileBlocks, seen: vec2u, start: u32, end: u32, width: u32, stride: u32) -> u32 {
var tile = start;
var state = NONE;
while (tile < end) {
state = stateOf(rows, seen, tile, min(tile + width, end));
if (state != NONE) {
break;
}
tile += stride;
}
isWholeTile = state == ALL;
return tile;
}
fn stateOf(rows: TileBlocks, seen: vec2u, first: u32, end: u32) -> u32 {
if (rows.isKnown == 0u || first < min(SINKS, seen.x)) {
return SOME;
}
let columns = vec2u(columnAt(seen, first), columnAt(seen, end - 1u)) / MASK_COLUMNS;
let state = blocks[rows.first + columns.x];
let width = columns.y - columns.x + 1u;
for (var i = 1u; i < rows.count * width; i++) {
if (blocks[rows.first + i / width * rows.stride + columns.x + i % width] != state) {
return SOME;
}
}
return state;
}`,
};

/** attend/sequences.wgsl */
export const sequences: Readonly<Record<"padded" | "ragged", string>> = {
  padded: `fn contextOf(batch: u32) -> Context {
let end = lengthOf(batch);
return contextUpTo(batch, end, i32(select(0u, end, params.isFromEnd == 1u)) + params.firstQuery);
}
fn contextOfRow(row: u32) -> Context {
return contextOf(batchOf(row));
}`,
  ragged: `fn contextOf(sequence: u32) -> Context {
let first = firstPosition(sequence);
return contextUpTo(sequence, first + countOfNew(sequence), i32(first) - i32(startOf(sequence)));
}
fn contextOfRow(row: u32) -> Context {
return contextOf(sequenceOfRow(tokenOf(row)));
}`,
};

/** attend/store_row.wgsl */
export const storeRow: Readonly<Record<"output" | "partial", string>> = {
  output: `var<storage, read_write> o: array<Pack>;
fn storeRow(row: u32, slice: u32, pack: u32, sum: Wide, state: SoftmaxState) {
let whole = settled(withSink(row, state));
let share = select(exp(state.m - whole.m) / whole.d, 0.0, isEmpty(whole));
o[queryRow(batchOf(row), headOf(row), tokenOf(row)) * PACKS + pack] = Pack(sum * share);
if (pack == 0u) {
storeLse(row, whole);
}
}`,
  partial: `var<storage, read_write> partials: array<Wide>;
var<storage, read_write> states: array<SoftmaxState>;
fn storeRow(row: u32, slice: u32, pack: u32, o: Wide, state: SoftmaxState) {
let index = slice * params.numRows + row;
partials[index * PACKS + pack] = o;
if (pack == 0u) {
states[index] = state;
}
}`,
};

/** attend/strips.wgsl */
export const strips: Readonly<Record<"one" | "shuffle" | "memory", string>> = {
  one: `fn sumOverStrips(own: Wide, invocation: u32, strip: u32) -> Wide {
return own;
}`,
  shuffle: `fn sumOverStrips(own: Wide, invocation: u32, strip: u32) -> Wide {
var sum = own;
for (var stride = STRIPS / 2u; stride > 0u; stride /= 2u) {
sum += subgroupShuffleXor(sum, stride * VALUE_LANES);
}
return sum;
}`,
  memory: `var<workgroup> strips: array<Wide, WORKGROUP>;
fn sumOverStrips(own: Wide, invocation: u32, strip: u32) -> Wide {
workgroupBarrier();
strips[invocation] = own;
for (var stride = STRIPS / 2u; stride > 0u; stride /= 2u) {
workgroupBarrier();
if (strip < stride) {
strips[invocation] += strips[invocation + stride * VALUE_LANES];
}
}
return strips[invocation];
}`,
};

/** attend/tile.wgsl */
export const tile: string = `const TILE_COLUMNS = LANES * KEYS;
const HEAD_PACKS = HEAD_DIM / PACK;
const HEAD_LOADS = HEAD_PACKS / LOAD_PACKS;
const PACKS = VALUE_DIM / PACK;
const VALUE_ROW_LOADS = PACKS / LOAD_PACKS;
const VALUE_LANES = LANES / STRIPS;
alias PerRow = array<f32, ROWS>;
fn packOfLane(lane: u32, j: u32) -> u32 {
return (lane % VALUE_LANES + j / LOAD_PACKS * VALUE_LANES) * LOAD_PACKS + j % LOAD_PACKS;
}`;

/** attend/transform_outputs.wgsl */
export const transformOutputs: string = `var<storage, read> partials: array<f32>;
var<storage, read> states: array<SoftmaxState>;
var<storage, read_write> o: array<T>;
var<workgroup> elements: array<f32, VALUE_DIM>;
@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) workgroupId: vec3u,
@builtin(num_workgroups) numWorkgroups: vec3u,
@builtin(local_invocation_index) lane: u32,
) {
let row = workgroupId.y * numWorkgroups.x + workgroupId.x;
if (!isRow(row)) {
return;
}
let numSlices = arrayLength(&states) / params.numRows;
var ofKeys = emptyState();
for (var slice = 0u; slice < numSlices; slice++) {
ofKeys = mergeStates(ofKeys, states[slice * params.numRows + row]);
}
for (var h = lane; h < VALUE_DIM; h += WORKGROUP) {
var sum = 0.0;
for (var slice = 0u; slice < numSlices; slice++) {
let index = slice * params.numRows + row;
sum = fma(exp(states[index].m - ofKeys.m), partials[index * VALUE_DIM + h], sum);
}
elements[h] = sum;
}
rotate(VALUE_DIM, VALUE_BLOCK, lane);
let whole = settled(withSink(row, ofKeys));
let share = select(exp(ofKeys.m - whole.m) / whole.d, 0.0, isEmpty(whole));
let place = queryRow(batchOf(row), headOf(row), tokenOf(row));
for (var h = lane; h < VALUE_DIM; h += WORKGROUP) {
let channel = valueChannel(kvHeadOf(row), h);
o[place * VALUE_DIM + h] = T(channel.offset * (ofKeys.d * share) + channel.scale * (elements[h] * share));
}
if (lane == 0u) {
storeLse(row, whole);
}
}`;

/** attend/transform_queries.wgsl */
export const transformQueries: string = `var<storage, read> q: array<T>;
var<storage, read_write> queries: array<f32>;
var<workgroup> elements: array<f32, HEAD_DIM>;
var<workgroup> sums: array<vec2f, WORKGROUP>;
@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) workgroupId: vec3u,
@builtin(num_workgroups) numWorkgroups: vec3u,
@builtin(local_invocation_index) lane: u32,
) {
let row = workgroupId.y * numWorkgroups.x + workgroupId.x;
if (!isRow(row)) {
return;
}
let kvHead = kvHeadOf(row);
let place = queryRow(batchOf(row), headOf(row), tokenOf(row));
var shift = 0.0;
for (var h = lane; h < HEAD_DIM; h += WORKGROUP) {
let x = f32(q[place * HEAD_DIM + h]);
let channel = keyChannel(kvHead, h);
shift = fma(x, channel.offset, shift);
elements[h] = x * channel.scale;
}
rotate(HEAD_DIM, KEY_BLOCK, lane);
var total = 0.0;
for (var h = lane; h < HEAD_DIM; h += WORKGROUP) {
total += elements[h];
}
sums[lane] = vec2f(shift, total);
workgroupBarrier();
for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
if (lane < stride) {
sums[lane] += sums[lane + stride];
}
workgroupBarrier();
}
let first = place * QUERY_WIDTH;
for (var h = lane; h < HEAD_DIM; h += WORKGROUP) {
queries[first + h] = elements[h];
}
for (var h = HEAD_DIM + lane; h < QUERY_WIDTH; h += WORKGROUP) {
queries[first + h] = 0.0;
}
storageBarrier();
if (lane == 0u) {
queries[first + HEAD_DIM] = sums[0].x;
queries[first + (HEAD_DIM + QUERY_WIDTH) / 2u] = sums[0].y;
}
}`;

/** attend/weights.wgsl */
export const weights: Readonly<Record<"shared" | "own" | "broadcast", string>> = {
  shared: `var<workgroup> weights: array<array<array<PerRow, COLUMNS>, TILE_COLUMNS / COLUMNS>, ROW_GROUPS>;
fn putWeights(rowGroup: u32, column: u32, w: PerRow) {
weights[rowGroup][column / COLUMNS][column % COLUMNS] = w;
}
fn weightsAt(rowGroup: u32, column: u32) -> array<PerRow, COLUMNS> {
return weights[rowGroup][column / COLUMNS];
}`,
  own: `var<private> weights: array<array<PerRow, COLUMNS>, TILE_COLUMNS / COLUMNS>;
fn putWeights(rowGroup: u32, column: u32, w: PerRow) {
weights[column / COLUMNS][column % COLUMNS] = w;
}
fn weightsAt(rowGroup: u32, column: u32) -> array<PerRow, COLUMNS> {
return weights[column / COLUMNS];
}`,
  broadcast: `var<private> weights: array<PerRow, KEYS>;
fn putWeights(rowGroup: u32, column: u32, w: PerRow) {
weights[column / LANES] = w;
}`,
};

/** cache/advance.wgsl */
export const advance: string = `var<storage, read_write> newTokens: array<u32>;
var<storage, read_write> lengths: array<u32>;
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) invocation: vec3u) {
let sequence = invocation.x;
let numSequences = arrayLength(&lengths);
if (sequence < numSequences) {
newTokens[numSequences + 1u + sequence] = lengths[sequence];
lengths[sequence] += newTokens[sequence + 1u] - newTokens[sequence];
}
}`;

/** cache/append.wgsl */
export const append: string = `struct Params {
newStride: vec3u,
numKvHeads: u32,
firstHead: u32,
endHead: u32,
batchHeads: u32,
capacity: u32,
advance: u32,
counts: array<vec4u, COUNT_VECTORS>,
}
var<uniform> params: Params;
struct NewRow {
isKey: bool,
kvHead: u32,
index: u32,
position: u32,
}
struct Arrival {
first: u32,
count: u32,
}
struct Place {
sequence: u32,
position: u32,
}
@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) workgroupId: vec3u,
@builtin(num_workgroups) numWorkgroups: vec3u,
@builtin(local_invocation_index) lane: u32,
) {
let batch = workgroupId.y;
let arrival = arrivalOf(batch, lane);
let batchHead = batch * params.batchHeads;
let firstHead = clamp(params.firstHead, batchHead, batchHead + params.numKvHeads);
let numHeads = clamp(params.endHead, batchHead, batchHead + params.numKvHeads) - firstHead;
let count = arrival.count * numHeads * ROWS_OF_TOKEN;
for (var i = workgroupId.x; i < count; i += numWorkgroups.x) {
let head = firstHead + i / ROWS_OF_TOKEN % numHeads;
let token = i / ROWS_OF_TOKEN / numHeads;
let place = placeOfToken(batch, arrival, token);
let kvHead = head - batchHead;
let index = dot(vec3u(batch, kvHead, token), params.newStride);
let row = NewRow(i % ROWS_OF_TOKEN == 0u, kvHead, index, place.position);
store(row, slotRow(place, head - params.firstHead), lane);
}
leave(batch, arrival, lane, numWorkgroups.x);
}`;

/** cache/arrival.wgsl */
export const arrival: Readonly<Record<"ring" | "padded" | "ragged", string>> = {
  ring: `var<storage, read_write> lengths: array<atomic<u32>>;
var<storage, read_write> arrivals: array<atomic<u32>>;
var<workgroup> sharedLength: u32;
fn arrivalOf(batch: u32, lane: u32) -> Arrival {
if (lane == 0u) {
sharedLength = atomicLoad(&lengths[batch]);
}
return Arrival(workgroupUniformLoad(&sharedLength), params.counts[batch / 4u][batch % 4u]);
}
fn placeOfToken(batch: u32, arrival: Arrival, token: u32) -> Place {
return Place(batch, arrival.first + token);
}
fn leave(batch: u32, arrival: Arrival, lane: u32, numWorkgroups: u32) {
if (lane == 0u && atomicAdd(&arrivals[batch], 1u) == numWorkgroups - 1u) {
atomicStore(&arrivals[batch], 0u);
atomicStore(&lengths[batch], arrival.first + arrival.count * params.advance);
}
}`,
  padded: `fn arrivalOf(batch: u32, lane: u32) -> Arrival {
return Arrival(firstPosition(batch), countOfNew(batch));
}
fn placeOfToken(batch: u32, arrival: Arrival, token: u32) -> Place {
return Place(batch, arrival.first + token);
}
fn leave(batch: u32, arrival: Arrival, lane: u32, numWorkgroups: u32) {
}`,
  ragged: `fn arrivalOf(batch: u32, lane: u32) -> Arrival {
return Arrival(0u, numNewTokens());
}
fn placeOfToken(batch: u32, arrival: Arrival, token: u32) -> Place {
let sequence = sequenceOfRow(token);
return Place(sequence, positionOfRow(sequence, token));
}
fn leave(batch: u32, arrival: Arrival, lane: u32, numWorkgroups: u32) {
}`,
};

/** cache/channels.wgsl */
export const channels: Readonly<Record<"calibrated" | "none", string>> = {
  calibrated: `struct Channel {
offset: f32,
scale: f32,
}
var<storage, read> channels: array<Channel>;
fn keyChannel(kvHead: u32, h: u32) -> Channel {
return channels[kvHead * HEAD_DIM + h];
}
fn valueChannel(kvHead: u32, h: u32) -> Channel {
return channels[VALUE_CHANNELS + kvHead * VALUE_STRIDE + h];
}`,
  none: `struct Channel {
offset: f32,
scale: f32,
}
fn keyChannel(kvHead: u32, h: u32) -> Channel {
return Channel(0.0, 1.0);
}
fn valueChannel(kvHead: u32, h: u32) -> Channel {
return Channel(0.0, 1.0);
}`,
};

/** cache/count_change.wgsl */
export const countChange: string = `var<storage, read_write> changes: array<u32>;
@compute @workgroup_size(WORKGROUP)
fn main() {
changes[0] = (changes[0] + 1u) % CHANGES;
}`;

/** cache/fill_texels.wgsl */
export const fillTexels: string = `var filled: texture_storage_2d<rgba32float, write>;
@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) workgroupId: vec3u,
@builtin(num_workgroups) numWorkgroups: vec3u,
@builtin(local_invocation_index) invocation: u32,
) {
let rows = filledRowsOf(workgroupId.y / params.numKvHeads, workgroupId.y % params.numKvHeads);
let rowLoads = HEAD_DIM / (PACK * LOAD_PACKS);
let loads = rows.count * rowLoads;
for (var i = workgroupId.x * WORKGROUP + invocation; i < loads; i += numWorkgroups.x * WORKGROUP) {
let row = filledRow(rows, i / rowLoads);
let numbers = keysAt(startOfKey(row), i % rowLoads);
/*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
let texel = row * (HEAD_DIM / PACK) + i % rowLoads * LOAD_PACKS + p;
textureStore(filled, placeOfTexel(texel), numbers[p]);
}
}
}`;

/** cache/filled_rows.wgsl */
export const filledRows: Readonly<Record<"contiguous" | "pages", string>> = {
  contiguous: `struct FilledRows {
first: u32,
stride: u32,
count: u32,
}
fn filledRowsOf(batch: u32, kvHead: u32) -> FilledRows {
let first = dot(vec2u(batch, kvHead), params.kvStride.xy);
return FilledRows(first, params.kvStride.z, min(lengthOf(batch), params.capacity));
}
fn filledRow(rows: FilledRows, index: u32) -> u32 {
return rows.first + index * rows.stride;
}`,
  pages: `struct FilledRows {
slots: Slots,
count: u32,
}
fn filledRowsOf(batch: u32, kvHead: u32) -> FilledRows {
let context = contextOf(batch);
let seen = vec2u(visibleColumns(context, startOf(batch)).x, context.len);
return FilledRows(slotsOf(batch, kvHead, context, seen), select(countOf(seen), 0u, countOfNew(batch) == 0u));
}
fn filledRow(rows: FilledRows, index: u32) -> u32 {
return rowOfColumn(rows.slots, index);
}`,
};

/** cache/fork.wgsl */
export const fork: string = `struct Params {
source: u32,
destination: u32,
count: u32,
fromSequence: u32,
toSequence: u32,
}
var<uniform> params: Params;
var<storage, read_write> lengths: array<u32>;
var<storage, read_write> rows: array<T>;
@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(global_invocation_id) invocation: vec3u,
@builtin(num_workgroups) numWorkgroups: vec3u,
) {
for (var i = invocation.x; i < params.count; i += numWorkgroups.x * WORKGROUP) {
rows[params.destination + i] = sourceAt(params.source + i);
}
if (invocation.x == 0u) {
lengths[params.toSequence] = lengths[params.fromSequence];
}
}`;

/** cache/fork_source.wgsl */
export const forkSource: Readonly<Record<"within" | "across", string>> = {
  within: `fn sourceAt(index: u32) -> T {
return rows[index];
}`,
  across: `var<storage, read> sourceRows: array<T>;
fn sourceAt(index: u32) -> T {
return sourceRows[index];
}`,
};

/** cache/key_middle.wgsl */
export const keyMiddle: Readonly<Record<"added" | "none", string>> = {
  added: `fn keyMiddle(key: u32) -> f32 {
return middleOf(keyWord(key));
}`,
  none: `fn keyMiddle(key: u32) -> f32 {
return 0.0;
}`,
};

/** cache/key_words.wgsl */
export const keyWords: Readonly<Record<"single" | "long", string>> = {
  single: `fn keyWord(index: u32) -> u32 {
return k[index];
}
fn keyIntegers(key: u32, load: u32) -> array<Wide, LOAD_PACKS> {
let word = keyWord(key + 1u + load * LOAD_PACKS * PACK / PER_WORD);
var integers: array<Wide, LOAD_PACKS>;
/*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
integers[p] = integersOf(word, packInWord(load, p));
}
return integers;
}`,
  long: `fn keyWord(index: u32) -> u32 {
return wordOf(index, k[index / 2u]);
}
fn keyIntegers(key: u32, load: u32) -> array<Wide, LOAD_PACKS> {
let first = key + 1u + load * LOAD_PACKS;
var long: LongWords;
/*unroll*/ for (var i = 0u; i < LOAD_PACKS / 2u + 1u; i++) {
long[i] = k[first / 2u + i];
}
return integersOf(first, long);
}`,
};

/** cache/keys.wgsl */
export const keys: Readonly<Record<"numbers" | "texels" | "quantized", string>> = {
  numbers: `fn startOfKey(row: u32) -> u32 {
return row * (HEAD_DIM / (PACK * LOAD_PACKS));
}
fn keysAt(key: u32, load: u32) -> array<Factor, LOAD_PACKS> {
let x = numbersOf(k[key + load]);
var keys: array<Factor, LOAD_PACKS>;
/*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
keys[p] = Factor(x[p]);
}
return keys;
}
fn keyStep(key: u32) -> f32 {
return 1.0;
}`,
  texels: `fn startOfKey(row: u32) -> u32 {
return row * (HEAD_DIM / PACK);
}
fn keysAt(key: u32, load: u32) -> array<Factor, LOAD_PACKS> {
return array<Factor, LOAD_PACKS>(Factor(textureLoad(k, placeOfTexel(key + load), 0)));
}
fn keyStep(key: u32) -> f32 {
return 1.0;
}`,
  quantized: `fn startOfKey(row: u32) -> u32 {
return row * wordsOf(HEAD_DIM);
}
fn keysAt(key: u32, load: u32) -> array<Factor, LOAD_PACKS> {
let integers = keyIntegers(key, load);
var keys: array<Factor, LOAD_PACKS>;
/*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
keys[p] = Factor(integers[p]);
}
return keys;
}
fn keyStep(key: u32) -> f32 {
return stepOf(keyWord(key));
}`,
};

/** cache/new_rows.wgsl */
export const newRows: Readonly<Record<"keysAndValues" | "keys", string>> = {
  keysAndValues: `var<storage, read> kNew: array<T>;
var<storage, read> vNew: array<T>;
var<storage, read_write> k: array<Stored>;
var<storage, read_write> v: array<Stored>;
const ROWS_OF_TOKEN = 2u;
fn sizeOf(row: NewRow) -> u32 {
return select(VALUE_DIM, HEAD_DIM, row.isKey);
}
fn elementOf(row: NewRow, h: u32) -> f32 {
if (row.isKey) {
let first = row.index * HEAD_DIM;
return roped(f32(kNew[first + h]), f32(kNew[first + partnerOf(h)]), row.position, h);
}
return f32(vNew[row.index * VALUE_DIM + h]);
}
fn storeElement(row: NewRow, index: u32, stored: Stored) {
if (row.isKey) {
k[index] = stored;
} else {
v[index] = stored;
}
}`,
  keys: `var<storage, read> kNew: array<T>;
var<storage, read_write> k: array<Stored>;
const ROWS_OF_TOKEN = 1u;
fn sizeOf(row: NewRow) -> u32 {
return HEAD_DIM;
}
fn elementOf(row: NewRow, h: u32) -> f32 {
let first = row.index * HEAD_DIM;
return roped(f32(kNew[first + h]), f32(kNew[first + partnerOf(h)]), row.position, h);
}
fn storeElement(row: NewRow, index: u32, stored: Stored) {
k[index] = stored;
}`,
};

/** cache/new_tokens.wgsl */
export const newTokens: string = `var<storage, read> newTokens: array<u32>;
fn numSequences() -> u32 {
return arrayLength(&newTokens) / 2u;
}
fn startOf(sequence: u32) -> u32 {
return newTokens[sequence];
}
fn numNewTokens() -> u32 {
return startOf(numSequences());
}
fn countOfNew(sequence: u32) -> u32 {
return startOf(sequence + 1u) - startOf(sequence);
}
fn firstPosition(sequence: u32) -> u32 {
return newTokens[numSequences() + 1u + sequence];
}
fn firstPlace(sequence: u32, scale: vec3u) -> u32 {
return startOf(sequence) * scale.x / scale.y + sequence * scale.z;
}
fn sequenceAt(place: u32, scale: vec3u) -> u32 {
var sequence = 0u;
var end = numSequences();
while (end - sequence > 1u) {
let middle = (sequence + end) / 2u;
if (firstPlace(middle, scale) <= place) {
sequence = middle;
} else {
end = middle;
}
}
return sequence;
}
fn sequenceOfRow(row: u32) -> u32 {
return sequenceAt(row, vec3u(1u, 1u, 0u));
}
fn positionOfRow(sequence: u32, row: u32) -> u32 {
return firstPosition(sequence) + row - startOf(sequence);
}`;

/** cache/page_rows.wgsl */
export const pageRows: string = `var<storage, read> pages: array<u32>;
fn firstEntryOf(sequence: u32) -> u32 {
return sequence * SEQUENCE_PAGES;
}
fn pageRow(firstEntry: u32, firstPage: u32, token: u32) -> u32 {
return (firstPage + pages[firstEntry + token / PAGE_SIZE]) * PAGE_SIZE + token % PAGE_SIZE;
}`;

/** cache/query_positions.wgsl */
export const queryPositions: Readonly<Record<"padded" | "ragged", string>> = {
  padded: `var<storage, read> lengths: array<u32>;
fn numQueriesOf(batch: u32) -> u32 {
return params.seqLen;
}
fn positionOf(batch: u32, token: u32) -> u32 {
return lengths[batch] - params.seqLen + token;
}`,
  ragged: `fn numQueriesOf(batch: u32) -> u32 {
return numNewTokens();
}
fn positionOf(batch: u32, token: u32) -> u32 {
return positionOfRow(sequenceOfRow(token), token);
}`,
};

/** cache/rope.wgsl */
export const rope: Readonly<Record<"applied" | "none", string>> = {
  applied: `struct RopePair {
frequency: vec2u,
factor: f32,
}
var<storage, read> ropeTable: array<RopePair>;
fn firstOfPair(pair: u32) -> u32 {
return ROPE_FIRST + pair / ROPE_PARTNER * ROPE_PARTNER * 2u + pair % ROPE_PARTNER;
}
fn pairOf(h: u32) -> u32 {
return (h - ROPE_FIRST) / (ROPE_PARTNER * 2u) * ROPE_PARTNER + (h - ROPE_FIRST) % ROPE_PARTNER;
}
fn isFirstOfPair(h: u32) -> bool {
return (h - ROPE_FIRST) / ROPE_PARTNER % 2u == 0u;
}
fn isRoped(h: u32) -> bool {
return h - ROPE_FIRST < ROPE_DIMS;
}
fn partnerOf(h: u32) -> u32 {
return select(h, select(h - ROPE_PARTNER, h + ROPE_PARTNER, isFirstOfPair(h)), isRoped(h));
}
fn ropeOf(position: u32, pair: u32) -> vec2f {
let entry = ropeTable[pair];
let turn = position * entry.frequency.x + mulHigh(position, entry.frequency.y);
return entry.factor * cosSin(turn);
}
fn roped(own: f32, partner: f32, position: u32, h: u32) -> f32 {
if (!isRoped(h)) {
return own;
}
let rope = ropeOf(position, pairOf(h));
return own * rope.x + select(partner, -partner, isFirstOfPair(h)) * rope.y;
}
fn mulHigh(a: u32, b: u32) -> u32 {
let a1 = a >> 16u;
let b1 = b >> 16u;
return a1 * b1 + ((a1 * (b & 0xffffu)) >> 16u) + (((a & 0xffffu) * b1) >> 16u);
}
fn cosSin(turn: u32) -> vec2f {
let quarter = (turn + (1u << 29u)) >> 30u;
let x = f32(bitcast<i32>(turn - (quarter << 30u))) * (6.283185307179586 / 4294967296.0);
let z = x * x;
let c = 1.0 + z * (-1.0 / 2.0 + z * (1.0 / 24.0 + z * (-1.0 / 720.0 + z * (1.0 / 40320.0))));
let s = x + x * z * (-1.0 / 6.0 + z * (1.0 / 120.0 + z * (-1.0 / 5040.0 + z * (1.0 / 362880.0))));
let within = select(vec2f(c, s), vec2f(-s, c), quarter % 2u == 1u);
return select(within, -within, quarter >= 2u);
}`,
  none: `fn partnerOf(h: u32) -> u32 {
return h;
}
fn roped(own: f32, partner: f32, position: u32, h: u32) -> f32 {
return own;
}`,
};

/** cache/rope_queries.wgsl */
export const ropeQueries: string = `struct Params {
stride: vec3u,
numHeads: u32,
seqLen: u32,
}
var<uniform> params: Params;
var<storage, read_write> x: array<T>;
const PAIRS = ROPE_DIMS / 2u;
@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) workgroupId: vec3u,
@builtin(num_workgroups) numWorkgroups: vec3u,
@builtin(local_invocation_index) lane: u32,
) {
let batch = workgroupId.y;
let count = numQueriesOf(batch) * params.numHeads * PAIRS;
for (var i = workgroupId.x * WORKGROUP + lane; i < count; i += numWorkgroups.x * WORKGROUP) {
let pair = i % PAIRS;
let head = i / PAIRS % params.numHeads;
let token = i / PAIRS / params.numHeads;
let first = dot(vec3u(batch, head, token), params.stride) * HEAD_DIM + firstOfPair(pair);
let second = first + ROPE_PARTNER;
let a = f32(x[first]);
let b = f32(x[second]);
let rope = ropeOf(positionOf(batch, token), pair);
x[first] = T(a * rope.x - b * rope.y);
x[second] = T(b * rope.x + a * rope.y);
}
}`;

/** cache/rotation.wgsl */
export const rotation: Readonly<Record<"hadamard" | "none", string>> = {
  hadamard: `fn rotate(size: u32, blockSize: u32, lane: u32) {
let factor = 1.0 / sqrt(f32(blockSize));
for (var h = lane; h < size; h += WORKGROUP) {
elements[h] *= factor;
}
for (var stride = 1u; stride < blockSize; stride *= 2u) {
workgroupBarrier();
for (var pair = lane; pair < size / 2u; pair += WORKGROUP) {
let first = pair / stride * stride * 2u + pair % stride;
let a = elements[first];
let b = elements[first + stride];
elements[first] = a + b;
elements[first + stride] = a - b;
}
}
workgroupBarrier();
}`,
  none: `fn rotate(size: u32, blockSize: u32, lane: u32) {
workgroupBarrier();
}`,
};

/** cache/row_transform.wgsl */
export const rowTransform: Readonly<Record<"none" | "applied", string>> = {
  none: `fn stageRow(row: NewRow, lane: u32) {
}
fn transformedOf(row: NewRow, h: u32) -> f32 {
return elementOf(row, h);
}`,
  applied: `var<workgroup> elements: array<f32, MOST_ELEMENTS>;
fn stageRow(row: NewRow, lane: u32) {
let size = sizeOf(row);
for (var h = lane; h < size; h += WORKGROUP) {
var channel = valueChannel(row.kvHead, h);
if (row.isKey) {
channel = keyChannel(row.kvHead, h);
}
elements[h] = (elementOf(row, h) - channel.offset) / channel.scale;
}
rotate(size, select(VALUE_BLOCK, KEY_BLOCK, row.isKey), lane);
}
fn transformedOf(row: NewRow, h: u32) -> f32 {
return elements[h];
}`,
};

/** cache/slot_row.wgsl */
export const slotRow: Readonly<Record<"ring" | "pages", string>> = {
  ring: `fn slotRow(place: Place, head: u32) -> u32 {
let turned = SINKS + (place.position - SINKS) % (params.capacity - SINKS);
return head * params.capacity + select(turned, place.position, place.position < SINKS);
}`,
  pages: `fn slotRow(place: Place, head: u32) -> u32 {
return pageRow(firstEntryOf(place.sequence), head * params.capacity, place.position);
}`,
};

/** cache/slots.pages.wgsl, cache/slots.ring.wgsl */
export const slots: Readonly<Record<"pages" | "ring", string>> = {
  pages: `struct Slots {
firstEntry: u32,
firstPage: u32,
skipped: u32,
}
fn slotsOf(batch: u32, kvHead: u32, context: Context, visible: vec2u) -> Slots {
return Slots(
firstEntryOf(batch),
kvHead * params.kvStride.y - params.firstKvRow,
context.skipped + columnAt(visible, SINKS) - SINKS,
);
}
fn rowOfColumn(slots: Slots, index: u32) -> u32 {
return pageRow(slots.firstEntry, slots.firstPage, index + select(slots.skipped, 0u, index < SINKS));
}`,
  ring: `struct Slots {
stride: u32,
sinks: u32,
before: u32,
behind: u32,
wrapsAt: u32,
}
fn slotsOf(batch: u32, kvHead: u32, context: Context, visible: vec2u) -> Slots {
let ring = params.capacity - SINKS;
let stride = params.kvStride.z;
let sinks = dot(vec2u(batch, kvHead), params.kvStride.xy) - params.firstKvRow;
let firstSlot = context.skipped % ring + columnAt(visible, SINKS) - SINKS;
let before = sinks + firstSlot * stride;
return Slots(
stride,
sinks,
before,
before - ring * stride,
max(params.capacity, firstSlot) - firstSlot,
);
}
fn rowOfColumn(slots: Slots, index: u32) -> u32 {
let first = select(slots.before, slots.behind, index >= slots.wrapsAt);
return select(first, slots.sinks, index < SINKS) + index * slots.stride;
}`,
};

/** cache/store.wgsl */
export const store: Readonly<Record<"numbers" | "symmetric" | "asymmetric", string>> = {
  numbers: `fn store(row: NewRow, storedRow: u32, lane: u32) {
let size = sizeOf(row);
for (var h = lane; h < size; h += WORKGROUP) {
storeElement(row, storedRow * size + h, Stored(elementOf(row, h)));
}
}`,
  symmetric: `const LEAST_STEP = 1.1754943508222875e-38;
const MOST = 3.4028e38;
const NAN_BITS = 0x7fc00000u;
const INFINITY_BITS = 0x7f800000u;
var<workgroup> largest: atomic<u32>;
fn store(row: NewRow, storedRow: u32, lane: u32) {
if (lane == 0u) {
atomicStore(&largest, 0u);
}
stageRow(row, lane);
workgroupBarrier();
let size = sizeOf(row);
var own = 0u;
for (var h = lane; h < size; h += WORKGROUP) {
own = max(own, bitcast<u32>(transformedOf(row, h)) & 0x7fffffffu);
}
atomicMax(&largest, own);
workgroupBarrier();
let largestBits = atomicLoad(&largest);
let step = min(bitcast<f32>(largestBits), MOST) / LARGEST;
let isFinite = largestBits < INFINITY_BITS;
let hasStep = isFinite && step >= LEAST_STEP;
let base = storedRow * wordsOf(size);
if (lane == 0u) {
storeElement(row, base, select(select(NAN_BITS, 0u, isFinite), bitcast<u32>(step), hasStep));
}
for (var word = lane; word < wordsOf(size) - 1u; word += WORKGROUP) {
var packed = 0u;
for (var i = 0u; i < PER_WORD; i++) {
let h = word * PER_WORD + i;
if (hasStep && h < size) {
let n = clamp(round(transformedOf(row, h) / step), -LARGEST, LARGEST);
packed = insertBits(packed, bitcast<u32>(i32(n)), i * BITS, BITS);
}
}
storeElement(row, base + 1u + word, packed);
}
workgroupBarrier();
}`,
  asymmetric: `const LEAST_STEP = 1.1754943508222875e-38;
const MOST = 2.9e38;
const NAN_BITS = 0x7fc00000u;
const INFINITY_BITS = 0x7f800000u;
const TOP = 2.0 * HALF - 1.0;
const CANDIDATES = 16u;
struct Grid {
least: f32,
step: f32,
}
var<workgroup> largest: atomic<u32>;
var<workgroup> least: atomic<i32>;
var<workgroup> most: atomic<i32>;
var<workgroup> smallestError: atomic<u32>;
var<workgroup> chosen: Grid;
fn store(row: NewRow, storedRow: u32, lane: u32) {
if (lane == 0u) {
atomicStore(&largest, 0u);
atomicStore(&least, 0x7fffffff);
atomicStore(&most, -0x7fffffff);
atomicStore(&smallestError, 0xffffffffu);
}
stageRow(row, lane);
workgroupBarrier();
let size = sizeOf(row);
for (var h = lane; h < size; h += WORKGROUP) {
let x = transformedOf(row, h);
atomicMax(&largest, bitcast<u32>(x) & 0x7fffffffu);
let ordered = inOrder(bitcast<i32>(clamp(x, -MOST, MOST)));
atomicMin(&least, ordered);
atomicMax(&most, ordered);
}
workgroupBarrier();
let isFinite = atomicLoad(&largest) < INFINITY_BITS;
let low = roundedDown(bitcast<f32>(inOrder(atomicLoad(&least))));
let high = bitcast<f32>(inOrder(atomicLoad(&most)));
let unit = high / TOP - low / TOP;
let hasStep = isFinite && unit >= LEAST_STEP;
var grid = Grid(low, unit);
var ownError = 0xffffffffu;
for (var candidate = lane; hasStep && candidate < CANDIDATES; candidate += WORKGROUP) {
let start = roundedDown(low - 0.25 * f32(candidate % 4u) * unit);
let fit = fittedStep(row, size, start, unit, high, 1.0 + 0.05 * f32(candidate / 4u));
let error = (bitcast<u32>(max(fit.error, 0.0)) & ~(CANDIDATES - 1u)) | candidate;
if (error < ownError) {
ownError = error;
grid = Grid(start, max(rounded(fit.step * unit), LEAST_STEP));
}
}
atomicMin(&smallestError, ownError);
workgroupBarrier();
if (hasStep && ownError == atomicLoad(&smallestError)) {
chosen = grid;
}
workgroupBarrier();
grid = chosen;
let base = storedRow * wordsOf(size);
if (lane == 0u) {
let stepBits = select(select(NAN_BITS, 0u, isFinite), bitcast<u32>(grid.step), hasStep);
storeElement(row, base, stepBits | (bitcast<u32>(select(low, grid.least, hasStep)) >> 16u));
}
for (var word = lane; word < wordsOf(size) - 1u; word += WORKGROUP) {
var packed = 0u;
for (var i = 0u; i < PER_WORD; i++) {
let h = word * PER_WORD + i;
if (hasStep && h < size) {
let n = nearestOf(stepsFrom(transformedOf(row, h), grid.least, grid.step)) - HALF;
packed = insertBits(packed, bitcast<u32>(i32(n)), i * BITS, BITS);
}
}
storeElement(row, base + 1u + word, packed);
}
workgroupBarrier();
}
struct Fit {
step: f32,
error: f32,
}
fn fittedStep(row: NewRow, size: u32, least: f32, unit: f32, high: f32, width: f32) -> Fit {
let plain = stepsFrom(high, least, unit) / TOP;
var squares = vec3f();
for (var h = 0u; h < size; h++) {
let t = stepsFrom(transformedOf(row, h), least, unit);
let n = nearestOf(t / (plain * width));
squares += vec3f(t * t, t * n, n * n);
}
let step = clamp(squares.y / squares.z, plain * TOP / (TOP + 0.4), 1.2 * plain);
return Fit(step, squares.x - 2.0 * step * squares.y + step * step * squares.z);
}
fn stepsFrom(x: f32, least: f32, step: f32) -> f32 {
return (0.5 * x - 0.5 * least) / step * 2.0;
}
fn nearestOf(steps: f32) -> f32 {
return clamp(round(steps), 0.0, TOP);
}
fn roundedDown(x: f32) -> f32 {
let bits = bitcast<u32>(x);
return bitcast<f32>((bits + select(0u, 0xffffu, (bits >> 31u) == 1u)) & 0xffff0000u);
}
fn rounded(x: f32) -> f32 {
return bitcast<f32>((bitcast<u32>(x) + 0x7fffu) & 0xffff0000u);
}
fn inOrder(bits: i32) -> i32 {
return select(bits, bits ^ 0x7fffffff, bits < 0);
}`,
};

/** cache/stored_keys.wgsl */
export const storedKeys: Readonly<Record<"storage" | "uniform" | "texels", string>> = {
  storage: `var<storage, read> k: array<Stored>;`,
  uniform: `var<uniform> k: array<Stored, K_LOADS>;`,
  texels: `var k: texture_2d<f32>;`,
};

/** cache/texels.wgsl */
export const texels: string = `fn placeOfTexel(texel: u32) -> vec2u {
return vec2u(texel % TEXELS_WIDE, texel / TEXELS_WIDE);
}`;

/** cache/token_positions.wgsl */
export const tokenPositions: Readonly<Record<"padded" | "ragged", string>> = {
  padded: `var<storage, read> lengths: array<u32>;
fn positionOfToken(sequence: u32, token: u32) -> u32 {
return lengths[sequence] + token;
}`,
  ragged: `fn positionOfToken(sequence: u32, token: u32) -> u32 {
return positionOfRow(sequenceOfRow(token), token);
}`,
};

/** cache/value_middle.wgsl */
export const valueMiddle: Readonly<Record<"added" | "ofKey" | "none", string>> = {
  added: `fn valueMiddle(value: u32) -> f32 {
return middleOf(valueWord(value));
}`,
  ofKey: `fn valueMiddle(value: u32) -> f32 {
return keyMiddle(value);
}`,
  none: `fn valueMiddle(value: u32) -> f32 {
return 0.0;
}`,
};

/** cache/values.wgsl */
export const values: Readonly<Record<"numbers" | "texels" | "quantized" | "firstOfKeys", string>> = {
  numbers: `fn startOfValue(row: u32) -> u32 {
return row * (VALUE_DIM / (PACK * LOAD_PACKS));
}
fn valuesAt(value: u32, load: u32) -> array<Wide, LOAD_PACKS> {
return numbersOf(v[value + load]);
}
fn valueStep(value: u32) -> f32 {
return 1.0;
}`,
  texels: `fn startOfValue(row: u32) -> u32 {
return row * (VALUE_DIM / PACK);
}
fn valuesAt(value: u32, load: u32) -> array<Wide, LOAD_PACKS> {
return array<Wide, LOAD_PACKS>(textureLoad(v, placeOfTexel(value + load), 0));
}
fn valueStep(value: u32) -> f32 {
return 1.0;
}`,
  quantized: `fn startOfValue(row: u32) -> u32 {
return row * wordsOf(VALUE_DIM);
}
fn valuesAt(value: u32, load: u32) -> array<Wide, LOAD_PACKS> {
return valueIntegers(value, load);
}
fn valueStep(value: u32) -> f32 {
return stepOf(valueWord(value));
}`,
  firstOfKeys: `fn startOfValue(row: u32) -> u32 {
return startOfKey(row);
}
fn valuesAt(value: u32, load: u32) -> array<Wide, LOAD_PACKS> {
let keys = keysAt(value, load);
var values: array<Wide, LOAD_PACKS>;
/*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
values[p] = Wide(keys[p]);
}
return values;
}
fn valueStep(value: u32) -> f32 {
return keyStep(value);
}`,
};

/** layer/activation.wgsl */
export const activation: Readonly<Record<"silu" | "gelu" | "geluTanh", string>> = {
  silu: `fn activation(x: Activated) -> Activated {
return x / (1.0 + exp(-x));
}
fn activationSlope(x: Activated) -> Activated {
let share = 1.0 / (1.0 + exp(-x));
return share * fma(x, 1.0 - share, Activated(1.0));
}`,
  gelu: `fn shareBelow(x: Activated) -> Activated {
let z = abs(x) * 0.7071067811865476;
let t = 1.0 / fma(Activated(0.3275911), z, Activated(1.0));
let series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
let tail = 0.5 * series * exp(-z * z);
return select(tail, 1.0 - tail, x > Activated(0.0));
}
fn activation(x: Activated) -> Activated {
return x * shareBelow(x);
}
fn activationSlope(x: Activated) -> Activated {
return fma(x * 0.3989422804014327, exp(-0.5 * x * x), shareBelow(x));
}`,
  geluTanh: `fn activation(x: Activated) -> Activated {
let z = 1.5957691216057308 * fma(0.044715 * x * x, x, x);
return x / (1.0 + exp(-z));
}
fn activationSlope(x: Activated) -> Activated {
let z = 1.5957691216057308 * fma(0.044715 * x * x, x, x);
let share = 1.0 / (1.0 + exp(-z));
let slope = 1.5957691216057308 * fma(3.0 * 0.044715 * x, x, Activated(1.0));
return share * fma(x * (1.0 - share), slope, Activated(1.0));
}`,
};

/** layer/column_sums.wgsl */
export const columnSums: string = `struct Params {
rows: u32,
chunk: u32,
}
var<uniform> params: Params;
var<storage, read> x: array<f32>;
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroupId: vec3u, @builtin(local_invocation_index) invocation: u32) {
let column = workgroupId.x * WORKGROUP + invocation;
if (column >= WIDTH) {
return;
}
let first = workgroupId.y * params.chunk;
let end = min(first + params.chunk, params.rows);
var sum = 0.0;
for (var row = first; row < end; row++) {
sum += x[row * WIDTH + column];
}
put(workgroupId.y, column, sum);
}`;

/** layer/each.wgsl */
export const each: string = `@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) workgroupId: vec3u,
@builtin(num_workgroups) numWorkgroups: vec3u,
@builtin(local_invocation_index) invocation: u32,
) {
let i = (workgroupId.y * numWorkgroups.x + workgroupId.x) * WORKGROUP + invocation;
if (i < params.length) {
visit(i);
}
}`;

/** layer/each_length.wgsl */
export const eachLength: string = `struct Params {
length: u32,
}
var<uniform> params: Params;`;

/** layer/factor.wgsl */
export const factor: Readonly<Record<"row" | "column", string>> = {
  row: `var<storage, read> a: array<f32>;
fn factorAt(row: u32, k: u32) -> f32 {
return a[row * params.inner + k];
}`,
  column: `var<storage, read> a: array<f32>;
fn factorAt(row: u32, k: u32) -> f32 {
return a[k * params.rows + row];
}`,
};

/** layer/factors.wgsl */
export const factors: Readonly<Record<"own" | "broadcast" | "broadcastPacks" | "broadcastColumnPacks", string>> = {
  own: `fn factorsAt(firstRow: u32, k: u32, invocation: u32) -> array<array<f32, ROWS>, STEPS> {
var factors: array<array<f32, ROWS>, STEPS>;
/*unroll*/ for (var s = 0u; s < STEPS; s++) {
/*unroll*/ for (var r = 0u; r < ROWS; r++) {
factors[s][r] = factorAt(min(firstRow + r, params.rows - 1u), k + s);
}
}
return factors;
}`,
  broadcast: `fn factorsAt(firstRow: u32, k: u32, invocation: u32) -> array<array<f32, ROWS>, STEPS> {
var factors: array<array<f32, ROWS>, STEPS>;
/*unroll*/ for (var s = 0u; s < STEPS; s++) {
var loaded: array<f32, FACTOR_LOADS>;
/*unroll*/ for (var i = 0u; i < FACTOR_LOADS; i++) {
loaded[i] = factorAt(min(firstRow + i * WORKGROUP + invocation, params.rows - 1u), k + s);
}
/*unroll*/ for (var r = 0u; r < ROWS; r++) {
factors[s][r] = subgroupBroadcast(loaded[r / WORKGROUP], r % WORKGROUP);
}
}
return factors;
}`,
  broadcastPacks: `var<storage, read> a: array<StoredPack>;
fn factorsAt(firstRow: u32, k: u32, invocation: u32) -> array<array<f32, ROWS>, STEPS> {
var loaded: array<Wide, FACTOR_LOADS>;
/*unroll*/ for (var i = 0u; i < FACTOR_LOADS; i++) {
let row = min(firstRow + i * WORKGROUP + invocation, params.rows - 1u);
loaded[i] = packOf(a[(row * params.inner + k) / PACK]);
}
var factors: array<array<f32, ROWS>, STEPS>;
/*unroll*/ for (var r = 0u; r < ROWS; r++) {
let own = subgroupBroadcast(loaded[r / WORKGROUP], r % WORKGROUP);
/*unroll*/ for (var s = 0u; s < STEPS; s++) {
factors[s][r] = own[s];
}
}
return factors;
}`,
  broadcastColumnPacks: `var<storage, read> a: array<StoredPack>;
fn factorsAt(firstRow: u32, k: u32, invocation: u32) -> array<array<f32, ROWS>, STEPS> {
let row = min(firstRow + invocation % PACK_ROWS * PACK, params.rows - PACK);
let loaded = packOf(a[((k + invocation / PACK_ROWS) * params.rows + row) / PACK]);
var factors: array<array<f32, ROWS>, STEPS>;
/*unroll*/ for (var s = 0u; s < STEPS; s++) {
/*unroll*/ for (var p = 0u; p < PACK_ROWS; p++) {
let own = subgroupBroadcast(loaded, s * PACK_ROWS + p);
factors[s][p * PACK] = own.x;
factors[s][p * PACK + 1u] = own.y;
factors[s][p * PACK + 2u] = own.z;
factors[s][p * PACK + 3u] = own.w;
}
}
return factors;
}`,
};

/** layer/gain.wgsl */
export const gain: Readonly<Record<"storage" | "uniform", string>> = {
  storage: `var<storage, read> gain: array<Wide>;
fn gainAt(pack: u32) -> Wide {
return gain[pack];
}`,
  uniform: `var<uniform> gain: array<Wide, PACKS>;
fn gainAt(pack: u32) -> Wide {
return gain[pack];
}`,
};

/** layer/held_inputs.wgsl */
export const heldInputs: Readonly<Record<"own" | "broadcast", string>> = {
  own: `var<storage, read> x: array<StoredPack>;
fn laneOf(invocation: u32) -> u32 {
return invocation % LANES;
}
fn loadedToken(firstToken: u32, n: u32, invocation: u32) -> u32 {
return min(firstToken + n, params.numTokens - 1u);
}
fn inputsAt(firstToken: u32, row: u32, i: u32, invocation: u32) -> array<array<Wide, LOAD_PACKS>, INPUTS> {
var held: array<array<Wide, LOAD_PACKS>, INPUTS>;
/*unroll*/ for (var n = 0u; n < TOKEN_LOADS; n++) {
let first = startOfInput(loadedToken(firstToken, n, invocation), row);
/*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
held[n][p] = taken(packOf(x[first + i * LOAD_PACKS + p]), i * LOAD_PACKS + p, n);
}
}
return held;
}
fn ofTokens(loaded: array<TokenMoments, TOKEN_LOADS>) -> array<TokenMoments, TOKENS> {
return loaded;
}`,
  broadcast: `var<storage, read> x: array<StoredPack>;
fn laneOf(invocation: u32) -> u32 {
return 0u;
}
fn loadedToken(firstToken: u32, n: u32, invocation: u32) -> u32 {
return min(firstToken + n * WORKGROUP + invocation, params.numTokens - 1u);
}
fn inputsAt(firstToken: u32, row: u32, i: u32, invocation: u32) -> array<array<Wide, LOAD_PACKS>, INPUTS> {
var held: array<array<Wide, LOAD_PACKS>, INPUTS>;
/*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
var own: array<Wide, TOKEN_LOADS>;
/*unroll*/ for (var n = 0u; n < TOKEN_LOADS; n++) {
let first = startOfInput(loadedToken(firstToken, n, invocation), row);
own[n] = taken(packOf(x[first + i * LOAD_PACKS + p]), i * LOAD_PACKS + p, n);
}
/*unroll*/ for (var t = 0u; t < TOKENS; t++) {
held[t][p] = subgroupBroadcast(own[t / WORKGROUP], t % WORKGROUP);
}
}
return held;
}
fn ofTokens(loaded: array<TokenMoments, TOKEN_LOADS>) -> array<TokenMoments, TOKENS> {
var all: array<TokenMoments, TOKENS>;
/*unroll*/ for (var t = 0u; t < TOKENS; t++) {
all[t] = subgroupBroadcast(loaded[t / WORKGROUP], t % WORKGROUP);
}
return all;
}`,
};

/** layer/inner_row.wgsl */
export const innerRow: Readonly<Record<"storage" | "uniform", string>> = {
  storage: `var<storage, read> b: array<Wide>;
fn innerPack(k: u32, pack: u32) -> Wide {
return b[k * PACKS + pack];
}`,
  uniform: `var<uniform> b: array<Wide, BOUND_ROWS * PACKS>;
fn innerPack(k: u32, pack: u32) -> Wide {
return b[(k - params.first) * PACKS + pack];
}`,
};

/** layer/input.wgsl */
export const input: Readonly<Record<"token" | "head", string>> = {
  token: `fn startOfInput(token: u32, row: u32) -> u32 {
return token * PACKS;
}`,
  head: `fn startOfInput(token: u32, row: u32) -> u32 {
return (token * HEADS + row / HEAD_ROWS) * PACKS;
}`,
};

/** layer/input_norm.wgsl */
export const inputNorm: Readonly<Record<"none" | "rms" | "layer", string>> = {
  none: `fn beginRow(n: u32, first: u32) {
}
fn taken(x: Wide, pack: u32, n: u32) -> Wide {
return x;
}
fn normVectorAt(v: u32, pack: u32) -> Wide {
return Wide(0.0);
}
alias TokenMoments = u32;
fn momentsOfTokens(invocation: u32, lane: u32) -> array<TokenMoments, TOKENS> {
return array<TokenMoments, TOKENS>();
}
fn normalisedRows(own: PerRow, moments: TokenMoments, sums: ptr<function, Sums>) -> PerRow {
return own;
}`,
  rms: `var<private> squares: array<f32, TOKEN_LOADS>;
fn beginRow(n: u32, first: u32) {
}
fn taken(x: Wide, pack: u32, n: u32) -> Wide {
squares[n] = addInner(x, x, squares[n]);
return x * gainAt(pack);
}
fn normVectorAt(v: u32, pack: u32) -> Wide {
return normBiasAt(pack);
}
alias TokenMoments = f32;
fn momentsOfTokens(invocation: u32, lane: u32) -> array<TokenMoments, TOKENS> {
var loaded: array<TokenMoments, TOKEN_LOADS>;
/*unroll*/ for (var n = 0u; n < TOKEN_LOADS; n++) {
loaded[n] = inverseSqrt(sumOverLanes(squares[n], invocation, lane) / f32(IN) + params.eps);
}
return ofTokens(loaded);
}
fn normalisedRows(own: PerRow, moments: TokenMoments, sums: ptr<function, Sums>) -> PerRow {
var rows = own;
/*unroll*/ for (var r = 0u; r < ROWS; r++) {
rows[r] *= moments;
/*unroll*/ for (var v = 0u; v < BIAS_VECTORS; v++) {
rows[r] += (*sums)[TOKENS + v][r];
}
}
return rows;
}`,
  layer: `var<private> shifts: array<f32, TOKEN_LOADS>;
var<private> rests: array<f32, TOKEN_LOADS>;
var<private> squares: array<f32, TOKEN_LOADS>;
fn beginRow(n: u32, first: u32) {
let some = (packOf(x[first]) + packOf(x[first + PACKS / 4u])) +
(packOf(x[first + PACKS / 2u]) + packOf(x[first + PACKS * 3u / 4u]));
shifts[n] = addInner(some, Wide(0.25 / f32(PACK)), 0.0);
}
fn taken(x: Wide, pack: u32, n: u32) -> Wide {
let difference = x - shifts[n];
rests[n] = addInner(difference, Wide(1.0), rests[n]);
squares[n] = addInner(difference, difference, squares[n]);
return difference * gainAt(pack);
}
fn normVectorAt(v: u32, pack: u32) -> Wide {
if (v == 0u) {
return gainAt(pack);
}
return normBiasAt(pack);
}
alias TokenMoments = vec2f;
fn momentsOfTokens(invocation: u32, lane: u32) -> array<TokenMoments, TOKENS> {
var loaded: array<TokenMoments, TOKEN_LOADS>;
/*unroll*/ for (var n = 0u; n < TOKEN_LOADS; n++) {
let mean = sumOverLanes(rests[n], invocation, lane) / f32(IN);
let variance = sumOverLanes(squares[n], invocation, lane) / f32(IN) - mean * mean;
loaded[n] = TokenMoments(mean, inverseSqrt(max(variance, 0.0) + params.eps));
}
return ofTokens(loaded);
}
fn normalisedRows(own: PerRow, moments: TokenMoments, sums: ptr<function, Sums>) -> PerRow {
var rows = own;
/*unroll*/ for (var r = 0u; r < ROWS; r++) {
rows[r] = fma(-moments.x, (*sums)[TOKENS][r], rows[r]) * moments.y;
/*unroll*/ for (var v = 0u; v < BIAS_VECTORS; v++) {
rows[r] += (*sums)[TOKENS + 1u + v][r];
}
}
return rows;
}`,
};

/** layer/inside.wgsl */
export const inside: Readonly<Record<"gated" | "activated" | "gatedGradient" | "activatedGradient", string>> = {
  gated: `var<storage, read> gate: array<StoredPack>;
var<storage, read> up: array<StoredPack>;
var<storage, read_write> y: array<StoredPack>;
fn visit(i: u32) {
y[i] = storedOf(activation(packOf(gate[i])) * packOf(up[i]));
}`,
  activated: `var<storage, read> up: array<StoredPack>;
var<storage, read_write> y: array<StoredPack>;
fn visit(i: u32) {
y[i] = storedOf(activation(packOf(up[i])));
}`,
  gatedGradient: `var<storage, read> gate: array<StoredPack>;
var<storage, read> up: array<StoredPack>;
var<storage, read> dy: array<StoredPack>;
var<storage, read_write> dGate: array<StoredPack>;
var<storage, read_write> dUp: array<StoredPack>;
fn visit(i: u32) {
let opening = packOf(gate[i]);
let gradient = packOf(dy[i]);
dGate[i] = storedOf(gradient * packOf(up[i]) * activationSlope(opening));
dUp[i] = storedOf(gradient * activation(opening));
}`,
  activatedGradient: `var<storage, read> up: array<StoredPack>;
var<storage, read> dy: array<StoredPack>;
var<storage, read_write> dUp: array<StoredPack>;
fn visit(i: u32) {
dUp[i] = storedOf(packOf(dy[i]) * activationSlope(packOf(up[i])));
}`,
};

/** layer/linear.wgsl */
export const linear: string = `struct Params {
numTokens: u32,
firstRow: u32,
eps: f32,
}
var<uniform> params: Params;
const PACKS = IN / PACK;
const LOADS = PACKS / LOAD_PACKS;
alias PerRow = array<f32, ROWS>;
alias Sums = array<PerRow, INPUTS>;
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroupId: vec3u, @builtin(local_invocation_index) invocation: u32) {
let lane = laneOf(invocation);
let group = invocation / LANES;
let ownRow = (workgroupId.x * ROW_GROUPS + group % ROW_GROUPS) * ROWS;
let firstToken = (workgroupId.y * TOKEN_GROUPS + group / ROW_GROUPS) * TOKENS;
let inputRow = params.firstRow + min(ownRow, PART_ROWS - 1u);
/*unroll*/ for (var n = 0u; n < TOKEN_LOADS; n++) {
beginRow(n, startOfInput(loadedToken(firstToken, n, invocation), inputRow));
}
var sums: Sums;
for (var i = lane; i < LOADS; i += LANES) {
var held = inputsAt(firstToken, inputRow, i, invocation);
/*unroll*/ for (var v = 0u; v < NORM_VECTORS; v++) {
/*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
held[TOKENS + v][p] = normVectorAt(v, i * LOAD_PACKS + p);
}
}
/*unroll*/ for (var r = 0u; r < ROWS; r++) {
let weight = matrixAt(min(ownRow + r, PART_ROWS - 1u), i);
/*unroll*/ for (var t = 0u; t < INPUTS; t++) {
/*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
sums[t][r] = addInner(held[t][p], weight[p], sums[t][r]);
}
}
}
}
let moments = momentsOfTokens(invocation, lane);
var scale: PerRow;
var bias: PerRow;
/*unroll*/ for (var r = 0u; r < ROWS; r++) {
scale[r] = matrixStep(min(ownRow + r, PART_ROWS - 1u));
bias[r] = biasOf(params.firstRow + min(ownRow + r, PART_ROWS - 1u));
}
for (var t = 0u; t < TOKENS; t++) {
var rows = PerRow();
var ofToken = TokenMoments();
/*unroll*/ for (var u = 0u; u < TOKENS; u++) {
if (t == u) {
rows = sums[u];
ofToken = moments[u];
}
}
rows = normalisedRows(rows, ofToken, &sums);
/*unroll*/ for (var r = 0u; r < ROWS; r++) {
rows[r] = fma(sumOverLanes(rows[r], invocation, lane), scale[r], bias[r]);
}
if (lane == 0u && firstToken + t < params.numTokens) {
/*unroll*/ for (var r = 0u; r < OUTPUTS; r++) {
if (ownRow / ROWS_PER_OUTPUT + r < PART_ROWS / ROWS_PER_OUTPUT) {
put(firstToken + t, (params.firstRow + ownRow) / ROWS_PER_OUTPUT + r, outputOf(rows, r));
}
}
}
}
}`;

/** layer/moments.wgsl */
export const moments: Readonly<Record<"rms" | "layer", string>> = {
  rms: `struct Moments {
mean: f32,
rstd: f32,
}
fn momentsOf(first: u32, lane: u32) -> Moments {
var squares = 0.0;
for (var i = lane; i < PACKS; i += LANES) {
squares = addInner(rowPack(first, i), rowPack(first, i), squares);
}
return Moments(0.0, inverseSqrt(sumOverLanes(squares, lane, lane) / f32(WIDTH) + params.eps));
}
fn meanGradient(mean: f32) -> f32 {
return 0.0;
}`,
  layer: `struct Moments {
mean: f32,
rstd: f32,
}
fn momentsOf(first: u32, lane: u32) -> Moments {
var own = 0.0;
for (var i = lane; i < PACKS; i += LANES) {
own = addInner(rowPack(first, i), Wide(1.0), own);
}
let about = sumOverLanes(own, lane, lane) / f32(WIDTH);
var rest = 0.0;
var squares = 0.0;
for (var i = lane; i < PACKS; i += LANES) {
let difference = rowPack(first, i) - about;
rest = addInner(difference, Wide(1.0), rest);
squares = addInner(difference, difference, squares);
}
let shift = sumOverLanes(rest, lane, lane) / f32(WIDTH);
let variance = max(sumOverLanes(squares, lane, lane) / f32(WIDTH) - shift * shift, 0.0);
return Moments(about + shift, inverseSqrt(variance + params.eps));
}
fn meanGradient(mean: f32) -> f32 {
return mean;
}`,
};

/** layer/norm.wgsl */
export const norm: string = `struct Params {
numRows: u32,
eps: f32,
}
var<uniform> params: Params;
var<storage, read> x: array<StoredPack>;
const PACKS = WIDTH / PACK;
alias PerRow = array<f32, ROWS>;
@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) workgroupId: vec3u,
@builtin(num_workgroups) numWorkgroups: vec3u,
@builtin(local_invocation_index) lane: u32,
) {
let row = workgroupId.y * numWorkgroups.x + workgroupId.x;
if (row >= params.numRows) {
return;
}
holdRow(row * PACKS, lane);
let moments = momentsOf(row * PACKS, lane);
for (var i = lane; i < PACKS; i += LANES) {
putPack(row, i, normalised(rowPack(row * PACKS, i), i, moments));
}
}`;

/** layer/norm_bias.wgsl */
export const normBias: Readonly<Record<"none" | "added", string>> = {
  none: `fn normBiasAt(pack: u32) -> Wide {
return Wide(0.0);
}`,
  added: `var<storage, read> normBias: array<Wide>;
fn normBiasAt(pack: u32) -> Wide {
return normBias[pack];
}`,
};

/** layer/norm_gradient.wgsl */
export const normGradient: string = `struct Params {
numRows: u32,
chunk: u32,
eps: f32,
}
var<uniform> params: Params;
var<storage, read> x: array<StoredPack>;
var<storage, read> dy: array<StoredPack>;
var<storage, read> gain: array<Wide>;
var<storage, read_write> gainParts: array<Wide>;
const PACKS = WIDTH / PACK;
alias PerRow = array<f32, ROWS>;
alias PerPack = array<Wide, (PACKS + LANES - 1u) / LANES>;
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroupId: vec3u, @builtin(local_invocation_index) lane: u32) {
let first = workgroupId.x * params.chunk;
let end = min(first + params.chunk, params.numRows);
var gains = PerPack();
for (var i = lane; i < PACKS; i += LANES) {
gains[i / LANES] = gain[i];
}
var gainSums = PerPack();
for (var row = first; row < end; row++) {
holdRow(row * PACKS, lane);
let own = momentsOf(row * PACKS, lane);
var gradients = PerPack();
var sum = 0.0;
var product = 0.0;
for (var i = lane; i < PACKS; i += LANES) {
let normed = (rowPack(row * PACKS, i) - own.mean) * own.rstd;
let gradient = packOf(dy[row * PACKS + i]);
gainSums[i / LANES] = fma(gradient, normed, gainSums[i / LANES]);
let g = gradient * gains[i / LANES];
gradients[i / LANES] = g;
sum = addInner(g, Wide(1.0), sum);
product = addInner(g, normed, product);
}
let throughMean = meanGradient(sumOverLanes(sum, lane, lane) / f32(WIDTH));
let throughScale = sumOverLanes(product, lane, lane) / f32(WIDTH);
for (var i = lane; i < PACKS; i += LANES) {
let normed = (rowPack(row * PACKS, i) - own.mean) * own.rstd;
putPack(row, i, own.rstd * (gradients[i / LANES] - throughMean - normed * throughScale));
}
}
for (var i = lane; i < PACKS; i += LANES) {
gainParts[workgroupId.x * PACKS + i] = gainSums[i / LANES];
}
}`;

/** layer/norm_heads.wgsl */
export const normHeads: string = `struct Params {
numHeads: u32,
numKvHeads: u32,
seqLen: u32,
eps: f32,
}
var<uniform> params: Params;
var<storage, read> projectedQ: array<f32>;
var<storage, read> projectedK: array<f32>;
var<storage, read> qGain: array<f32>;
var<storage, read> kGain: array<f32>;
var<storage, read_write> q: array<f32>;
var<storage, read_write> k: array<f32>;
alias PerRow = array<f32, ROWS>;
@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) workgroupId: vec3u,
@builtin(num_workgroups) numWorkgroups: vec3u,
@builtin(local_invocation_index) lane: u32,
) {
let isQuery = workgroupId.x < params.numHeads;
for (var token = workgroupId.y; token < params.seqLen; token += numWorkgroups.y) {
let row = workgroupId.z * params.seqLen + token;
let queryRow = row * params.numHeads + workgroupId.x;
let keyRow = row * params.numKvHeads + workgroupId.x - params.numHeads;
let first = select(keyRow, queryRow, isQuery) * WIDTH;
var squares = 0.0;
for (var h = lane; h < WIDTH; h += LANES) {
let x = projectedAt(isQuery, first + h);
squares = fma(x, x, squares);
}
let rstd = inverseSqrt(sumOverLanes(squares, lane, lane) / f32(WIDTH) + params.eps);
if (isQuery) {
putQuery(first, rstd, workgroupId.z, token, lane);
} else {
for (var h = lane; h < WIDTH; h += LANES) {
k[first + h] = projectedK[first + h] * rstd * kGain[h];
}
}
}
}
fn projectedAt(isQuery: bool, i: u32) -> f32 {
if (isQuery) {
return projectedQ[i];
}
return projectedK[i];
}`;

/** layer/normalised.wgsl */
export const normalised: string = `fn normalised(x: Wide, pack: u32, moments: Moments) -> Wide {
return fma((x - moments.mean) * moments.rstd, gainAt(pack), normBiasAt(pack));
}`;

/** layer/output.wgsl */
export const output: Readonly<Record<"linear" | "activated" | "gated", string>> = {
  linear: `fn outputOf(rows: PerRow, i: u32) -> f32 {
return rows[i];
}`,
  activated: `fn outputOf(rows: PerRow, i: u32) -> f32 {
return activation(rows[i]);
}`,
  gated: `fn outputOf(rows: PerRow, i: u32) -> f32 {
return activation(rows[2u * i]) * rows[2u * i + 1u];
}`,
};

/** layer/product.wgsl */
export const product: string = `struct Params {
rows: u32,
inner: u32,
first: u32,
chunk: u32,
}
var<uniform> params: Params;
const PACKS = WIDTH / PACK;
alias OwnPacks = array<Wide, OWN_PACKS>;
@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) workgroupId: vec3u,
@builtin(num_workgroups) numWorkgroups: vec3u,
@builtin(local_invocation_index) invocation: u32,
) {
let workgroupIndex = workgroupId.y * numWorkgroups.x + workgroupId.x;
let firstRow = firstRowOf(workgroupIndex, invocation);
let firstPack = (workgroupIndex * WORKGROUP + invocation) % TILES * OWN_PACKS;
if (firstRow >= params.rows) {
return;
}
let first = params.first + workgroupId.z * params.chunk;
let end = min(first + params.chunk, params.inner);
var sums: array<OwnPacks, ROWS>;
for (var k = first; k < end; k += STEPS) {
let factors = factorsAt(firstRow, k, invocation);
var held = array<OwnPacks, STEPS>();
/*unroll*/ for (var s = 0u; s < STEPS; s++) {
/*unroll*/ for (var p = 0u; p < OWN_PACKS; p++) {
held[s][p] = innerPack(k + s, min(firstPack + p, PACKS - 1u));
}
}
/*unroll*/ for (var r = 0u; r < ROWS; r++) {
/*unroll*/ for (var p = 0u; p < OWN_PACKS; p++) {
/*unroll*/ for (var s = 0u; s < STEPS; s++) {
sums[r][p] = fma(Wide(factors[s][r]), held[s][p], sums[r][p]);
}
}
}
}
for (var r = 0u; r < ROWS; r++) {
var row = OwnPacks();
/*unroll*/ for (var n = 0u; n < ROWS; n++) {
if (r == n) {
row = sums[n];
}
}
/*unroll*/ for (var p = 0u; p < OWN_PACKS; p++) {
if (firstRow + r < params.rows && firstPack + p < PACKS) {
putPack(workgroupId.z * params.rows + firstRow + r, firstPack + p, row[p]);
}
}
}
}`;

/** layer/put.wgsl */
export const put: Readonly<Record<"y" | "sum" | "added" | "qkv" | "heads", string>> = {
  y: `var<storage, read_write> y: array<f32>;
fn put(row: u32, i: u32, value: f32) {
y[row * WIDTH + i] = value;
}`,
  sum: `var<storage, read_write> y: array<f32>;
fn put(row: u32, i: u32, value: f32) {
y[row * WIDTH + i] += value;
}`,
  added: `var<storage, read> residual: array<f32>;
var<storage, read_write> y: array<f32>;
fn put(row: u32, i: u32, value: f32) {
y[row * WIDTH + i] = residual[row * WIDTH + i] + value;
}`,
  qkv: `var<storage, read_write> q: array<f32>;
var<storage, read_write> k: array<f32>;
var<storage, read_write> v: array<f32>;
fn put(row: u32, i: u32, value: f32) {
if (i < Q_WIDTH) {
q[row * Q_WIDTH + i] = value;
} else if (i < Q_WIDTH + KV_WIDTH) {
k[row * KV_WIDTH + i - Q_WIDTH] = value;
} else {
v[row * KV_WIDTH + i - Q_WIDTH - KV_WIDTH] = value;
}
}`,
  heads: `var<storage, read_write> y: array<f32>;
fn put(row: u32, i: u32, value: f32) {
y[(row * HEADS + i / HEAD_ROWS) * HEAD_WIDTH + HEAD_FIRST + i % HEAD_ROWS] = value;
}`,
};

/** layer/put_pack.wgsl */
export const putPack: Readonly<Record<"y" | "sum" | "heads", string>> = {
  y: `var<storage, read_write> y: array<StoredPack>;
fn putPack(row: u32, pack: u32, value: Wide) {
y[row * PACKS + pack] = storedOf(value);
}`,
  sum: `var<storage, read_write> y: array<StoredPack>;
fn putPack(row: u32, pack: u32, value: Wide) {
let i = row * PACKS + pack;
y[i] = storedOf(packOf(y[i]) + value);
}`,
  heads: `var<storage, read_write> y: array<StoredPack>;
fn putPack(row: u32, pack: u32, value: Wide) {
let head = pack * PACK / HEAD_ROWS;
y[((row * HEADS + head) * HEAD_WIDTH + HEAD_FIRST + pack * PACK % HEAD_ROWS) / PACK] = storedOf(value);
}`,
};

/** layer/put_query.wgsl */
export const putQuery: Readonly<Record<"plain" | "rotated", string>> = {
  plain: `fn putQuery(first: u32, rstd: f32, sequence: u32, token: u32, lane: u32) {
for (var h = lane; h < WIDTH; h += LANES) {
q[first + h] = projectedQ[first + h] * rstd * qGain[h];
}
}`,
  rotated: `fn putQuery(first: u32, rstd: f32, sequence: u32, token: u32, lane: u32) {
let position = positionOfToken(sequence, token);
for (var pair = lane; pair < ROPE_DIMS / 2u; pair += LANES) {
let i = firstOfPair(pair);
let a = projectedQ[first + i] * rstd * qGain[i];
let b = projectedQ[first + i + ROPE_PARTNER] * rstd * qGain[i + ROPE_PARTNER];
let rope = ropeOf(position, pair);
q[first + i] = a * rope.x - b * rope.y;
q[first + i + ROPE_PARTNER] = b * rope.x + a * rope.y;
}
for (var other = lane; other < WIDTH - ROPE_DIMS; other += LANES) {
let h = select(other + ROPE_DIMS, other, other < ROPE_FIRST);
q[first + h] = projectedQ[first + h] * rstd * qGain[h];
}
}`,
};

/** layer/row_bias.wgsl */
export const rowBias: Readonly<Record<"added" | "none", string>> = {
  added: `var<storage, read> bias: array<f32>;
fn biasOf(i: u32) -> f32 {
return bias[i];
}`,
  none: `fn biasOf(i: u32) -> f32 {
return 0.0;
}`,
};

/** layer/row_packs.wgsl */
export const rowPacks: Readonly<Record<"storage" | "held", string>> = {
  storage: `fn holdRow(first: u32, lane: u32) {
}
fn rowPack(first: u32, i: u32) -> Wide {
return packOf(x[first + i]);
}`,
  held: `var<private> heldPacks: array<Wide, (PACKS + LANES - 1u) / LANES>;
fn holdRow(first: u32, lane: u32) {
for (var i = lane; i < PACKS; i += LANES) {
heldPacks[i / LANES] = packOf(x[first + i]);
}
}
fn rowPack(first: u32, i: u32) -> Wide {
return heldPacks[i / LANES];
}`,
};

/** layer/tile_rows.wgsl */
export const tileRows: Readonly<Record<"own" | "shared", string>> = {
  own: `fn firstRowOf(workgroupIndex: u32, invocation: u32) -> u32 {
return (workgroupIndex * WORKGROUP + invocation) / TILES * ROWS;
}`,
  shared: `fn firstRowOf(workgroupIndex: u32, invocation: u32) -> u32 {
return workgroupIndex / (TILES / WORKGROUP) * ROWS;
}`,
};

/** model/adjust.wgsl */
export const adjust: string = `var<storage, read> logits: array<f32>;
var<storage, read> counts: array<u32>;
var<storage, read> biases: array<f32>;
var<storage, read_write> adjusted: array<f32>;
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u) {
let token = id.x;
let sequence = rowSequences[id.y];
if (token >= VOCAB || sequence == NO_SEQUENCE) {
return;
}
let at = id.y * VOCAB + token;
var logit = logits[at];
let sampling = samplings[sequence];
if (sampling.isAdjusted != 0u) {
let count = counts[sequence * VOCAB + token];
let generated = f32(count & ~IN_PROMPT);
let penalty = sampling.repetitionPenalty;
let penalised = select(logit * penalty, logit / penalty, logit > 0.0);
logit = select(logit, penalised, count > 0u)
- sampling.frequencyPenalty * generated
- select(0.0, sampling.presencePenalty, generated > 0.0)
+ biases[sequence * VOCAB + token];
}
adjusted[at] = logit;
}`;

/** model/argmax.wgsl */
export const argmax: string = `@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) id: vec3u) {
let sequence = rowSequences[id.x];
if (sequence == NO_SEQUENCE || !isGreedy(sequence)) {
return;
}
let likeliest = likeliestAfter(Candidate(0.0, NOTHING), id.x, lane);
if (lane == 0u) {
choose(sequence, likeliest.token);
}
}`;

/** model/choose.wgsl */
export const choose: string = `var<storage, read> lengths: array<u32>;
var<storage, read_write> tokens: array<u32>;
var<storage, read_write> chosen: array<u32>;
fn choose(sequence: u32, token: u32) {
tokens[sequence] = token;
chosen[sequence * params.kept + lengths[sequence] % params.kept] = token;
}`;

/** model/count.wgsl */
export const count: string = `var<storage, read> tokens: array<u32>;
var<storage, read_write> counts: array<u32>;
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u) {
if (id.x >= arrayLength(&rowSequences) || rowSequences[id.x] == NO_SEQUENCE) {
return;
}
let sequence = rowSequences[id.x];
let token = tokens[sequence];
if (samplings[sequence].isAdjusted != 0u && token < VOCAB) {
counts[sequence * VOCAB + token] += 1u;
}
}`;

/** model/embed.wgsl */
export const embed: string = `struct Params {
numTokens: u32,
scale: f32,
firstRow: u32,
numRows: u32,
}
var<uniform> params: Params;
var<storage, read_write> y: array<Wide>;
const PACKS = IN / PACK;
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u) {
let token = id.x / PACKS;
let pack = id.x % PACKS;
if (token >= params.numTokens) {
return;
}
let row = tokenIdOf(token) - params.firstRow;
if (row >= params.numRows) {
return;
}
y[id.x] = params.scale * matrixStep(row) * matrixAt(row, pack)[0] + positionAt(token, pack);
}`;

/** model/embed_gradient.wgsl */
export const embedGradient: string = `struct Params {
numRows: u32,
scale: f32,
}
var<uniform> params: Params;
var<storage, read> starts: array<u32>;
var<storage, read> order: array<u32>;
var<storage, read> dy: array<StoredPack>;
const PACKS = IN / PACK;
@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) workgroupId: vec3u,
@builtin(num_workgroups) numWorkgroups: vec3u,
@builtin(local_invocation_index) invocation: u32,
) {
let i = (workgroupId.y * numWorkgroups.x + workgroupId.x) * WORKGROUP + invocation;
let row = i / PACKS;
let pack = i % PACKS;
if (row >= params.numRows) {
return;
}
var sum = Wide();
for (var place = starts[row]; place < starts[row + 1u]; place++) {
sum += packOf(dy[order[place] * PACKS + pack]);
}
putPack(row, pack, params.scale * sum);
}`;

/** model/kept.wgsl */
export const kept: string = `struct Params {
kept: u32,
}
var<uniform> params: Params;`;

/** model/likeliest.wgsl */
export const likeliest: string = `var<storage, read> logits: array<f32>;
const NOTHING = 0xffffffffu;
struct Candidate {
logit: f32,
token: u32,
}
var<workgroup> candidates: array<Candidate, WORKGROUP>;
fn isNan(x: f32) -> bool {
return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}
fn isLikelier(a: Candidate, b: Candidate) -> bool {
return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
}
fn likelier(a: Candidate, b: Candidate) -> Candidate {
let isB = !isNan(a.logit) &&
(isNan(b.logit) || a.token == NOTHING || (b.token != NOTHING && isLikelier(b, a)));
return Candidate(select(a.logit, b.logit, isB), select(a.token, b.token, isB));
}
fn candidateAfter(other: Candidate, row: u32, token: u32) -> Candidate {
let logit = logits[row * VOCAB + token];
let candidate = Candidate(logit, token);
let isAfter = other.token == NOTHING || isLikelier(other, candidate);
return Candidate(logit, select(NOTHING, token, isAfter && !isNan(logit)));
}
fn likeliestAfter(other: Candidate, row: u32, lane: u32) -> Candidate {
var best = candidateAfter(other, row, min(lane, VOCAB - 1u));
for (var i = lane + WORKGROUP; i < VOCAB; i += WORKGROUP) {
best = likelier(best, candidateAfter(other, row, i));
}
workgroupBarrier();
candidates[lane] = best;
for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
workgroupBarrier();
if (lane < stride) {
candidates[lane] = likelier(candidates[lane], candidates[lane + stride]);
}
}
workgroupBarrier();
return candidates[0];
}`;

/** model/logprobs.wgsl */
export const logprobs: string = `var<storage, read> lengths: array<u32>;
var<storage, read> tokens: array<u32>;
var<storage, read_write> logprobs: array<vec2f>;
var<workgroup> sums: array<f32, WORKGROUP>;
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) id: vec3u) {
let row = id.x;
let sequence = rowSequences[row];
if (sequence == NO_SEQUENCE || samplings[sequence].logprobs == 0u) {
return;
}
var candidate = likeliestAfter(Candidate(0.0, NOTHING), row, lane);
let largest = candidate.logit;
var own = 0.0;
for (var i = lane; i < VOCAB; i += WORKGROUP) {
own += exp(logits[row * VOCAB + i] - largest);
}
sums[lane] = own;
for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
workgroupBarrier();
if (lane < stride) {
sums[lane] += sums[lane + stride];
}
}
workgroupBarrier();
let logSum = log(sums[0]);
let first = (sequence * params.kept + lengths[sequence] % params.kept) * LOGPROBS;
if (lane == 0u) {
let token = tokens[sequence];
let logit = logits[row * VOCAB + min(token, VOCAB - 1u)];
logprobs[first] = vec2f(f32(token), logit - largest - logSum);
}
for (var i = 1u; i < samplings[sequence].logprobs; i++) {
if (lane == 0u) {
logprobs[first + i] = vec2f(f32(candidate.token), candidate.logit - largest - logSum);
}
candidate = likeliestAfter(candidate, row, lane);
}
}`;

/** model/position.wgsl */
export const position: Readonly<Record<"learned" | "ragged" | "none", string>> = {
  learned: `var<storage, read> positions: array<Wide>;
var<storage, read> lengths: array<u32>;
fn positionAt(token: u32, pack: u32) -> Wide {
return positions[(lengths[0] + token) * PACKS + pack];
}`,
  ragged: `var<storage, read> positions: array<Wide>;
fn positionAt(token: u32, pack: u32) -> Wide {
return positions[positionOfRow(sequenceOfRow(token), token) * PACKS + pack];
}`,
  none: `fn positionAt(token: u32, pack: u32) -> Wide {
return Wide();
}`,
};

/** model/sample.wgsl */
export const sample: string = `const CHUNK = (VOCAB + WORKGROUP - 1u) / WORKGROUP;
var<workgroup> sums: array<vec3f, WORKGROUP>;
var<workgroup> chunks: array<f32, WORKGROUP>;
fn likelihoodOf(row: u32, token: u32, largest: f32, inverseTemperature: f32) -> f32 {
let logit = logits[row * VOCAB + token];
return select(exp((logit - largest) * inverseTemperature), 1.0, logit == largest);
}
fn sumOf(own: vec3f, lane: u32) -> vec3f {
workgroupBarrier();
sums[lane] = own;
for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
workgroupBarrier();
if (lane < stride) {
sums[lane] += sums[lane + stride];
}
}
workgroupBarrier();
return sums[0];
}
fn measureFrom(
bounds: vec3f,
isCounted: bool,
row: u32,
largest: f32,
inverseTemperature: f32,
lane: u32,
) -> vec3f {
var own = vec3f();
for (var i = lane; i < VOCAB; i += WORKGROUP) {
let p = likelihoodOf(row, i, largest, inverseTemperature);
own += select(vec3f(), vec3f(select(p, 1.0, isCounted)), vec3f(p) >= bounds);
}
return sumOf(own, lane);
}
fn boundOf(
enough: f32,
isCounted: bool,
row: u32,
largest: f32,
inverseTemperature: f32,
lane: u32,
) -> f32 {
var bits = 0u;
for (var i = 0u; i < 15u; i++) {
let shift = 28u - 2u * i;
let bounds = bitcast<vec3f>(vec3u(bits) + (vec3u(1u, 2u, 3u) << vec3u(shift)));
let measure = measureFrom(bounds, isCounted, row, largest, inverseTemperature, lane);
let isEnough = select(vec3u(), vec3u(1u), measure >= vec3f(enough));
bits += (isEnough.x + isEnough.y + isEnough.z) << shift;
}
return bitcast<f32>(bits);
}
fn hash(x: u32) -> u32 {
let state = x * 747796405u + 2891336453u;
let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
return (word >> 22u) ^ word;
}
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) id: vec3u) {
let row = id.x;
let sequence = rowSequences[row];
if (sequence == NO_SEQUENCE || isGreedy(sequence)) {
return;
}
let sampling = samplings[sequence];
let factor = sampling.inverseTemperature;
let likeliest = likeliestAfter(Candidate(0.0, NOTHING), row, lane);
let largest = likeliest.logit;
var bound = 0.0;
if (sampling.topK > 0u) {
bound = boundOf(f32(sampling.topK), true, row, largest, factor, lane);
}
if (sampling.topP < 1.0) {
let mass = measureFrom(vec3f(bound), false, row, largest, factor, lane).x;
bound = boundOf(sampling.topP * mass, false, row, largest, factor, lane);
}
bound = max(bound, sampling.minP);
var own = 0.0;
for (var i = lane * CHUNK; i < min(lane * CHUNK + CHUNK, VOCAB); i++) {
let p = likelihoodOf(row, i, largest, factor);
own += select(0.0, p, p >= bound);
}
chunks[lane] = own;
workgroupBarrier();
if (lane > 0u) {
return;
}
var mass = 0.0;
for (var i = 0u; i < WORKGROUP; i++) {
mass += chunks[i];
}
let random = f32(hash(sampling.seed ^ hash(lengths[sequence])) >> 8u) / 16777216.0;
let drawn = random * mass;
var below = 0.0;
var chunk = 0u;
var belowChunk = 0.0;
for (var i = 0u; i < WORKGROUP; i++) {
if (chunks[i] > 0.0 && below <= drawn) {
chunk = i;
belowChunk = below;
}
below += chunks[i];
}
var token = NOTHING;
for (var i = chunk * CHUNK; i < min(chunk * CHUNK + CHUNK, VOCAB); i++) {
let p = likelihoodOf(row, i, largest, factor);
if (p > 0.0 && p >= bound && belowChunk <= drawn) {
token = i;
}
belowChunk += select(0.0, p, p >= bound);
}
choose(sequence, select(token, NOTHING, likeliest.token == NOTHING));
}`;

/** model/sampling.wgsl */
export const sampling: string = `struct Sampling {
inverseTemperature: f32,
topP: f32,
minP: f32,
topK: u32,
seed: u32,
isAdjusted: u32,
repetitionPenalty: f32,
frequencyPenalty: f32,
presencePenalty: f32,
logprobs: u32,
}
var<storage, read> rowSequences: array<u32>;
var<storage, read> samplings: array<Sampling>;
const NO_SEQUENCE = 0xffffffffu;
fn isGreedy(sequence: u32) -> bool {
return samplings[sequence].inverseTemperature == 0.0;
}`;

/** model/token_counts.wgsl */
export const tokenCounts: string = `const IN_PROMPT = 0x80000000u;`;

/** model/token_id.wgsl */
export const tokenId: Readonly<Record<"given" | "newest", string>> = {
  given: `var<storage, read> tokens: array<u32>;
fn tokenIdOf(row: u32) -> u32 {
return tokens[row];
}`,
  newest: `var<storage, read> tokens: array<u32>;
var<storage, read> newest: array<u32>;
const NEWEST = 0x80000000u;
fn tokenIdOf(row: u32) -> u32 {
let token = tokens[row];
return select(token, newest[token - NEWEST], token >= NEWEST);
}`,
};

/** score/alibi.wgsl */
export const alibi: string = `fn withAlibi(s: f32, row: u32, context: Context, column: u32) -> f32 {
return s - perHead[headOf(row)].x * distanceOf(row, context, column);
}`;

/** score/bias.wgsl */
export const bias: string = `var<storage, read> bias: array<T>;
fn withBias(s: f32, row: u32, context: Context, column: u32) -> f32 {
let key = tokenAt(context, column);
if (key >= params.bias.keys) {
return MASKED;
}
let added = f32(bias[rowOffset(params.bias, row) + key]);
return select(s + added, MASKED, isMasked(added));
}`;

/** score/distance.wgsl */
export const distance: string = `fn distanceOf(row: u32, context: Context, column: u32) -> f32 {
return f32(abs(queryPosition(context, tokenOf(row)) - i32(tokenAt(context, column))));
}`;

/** score/lse.wgsl */
export const lse: Readonly<Record<"stored" | "none", string>> = {
  stored: `var<storage, read_write> lse: array<f32>;
fn storeLse(row: u32, state: SoftmaxState) {
let index = queryRow(batchOf(row), headOf(row), tokenOf(row));
lse[index] = select(state.m + log(state.d), MASKED, isEmpty(state));
}`,
  none: `fn storeLse(row: u32, state: SoftmaxState) {
}`,
};

/** score/mask.wgsl */
export const mask: string = `var<storage, read> mask: array<u32>;
fn withMask(s: f32, row: u32, context: Context, column: u32) -> f32 {
let keys = i32(params.mask.keys);
let end = i32(context.skipped + context.len);
let key = i32(tokenAt(context, column)) - select(0, end - keys, params.isMaskFromEnd == 1u);
if (key < 0) {
return s;
}
if (key >= keys) {
return MASKED;
}
let element = rowOffset(params.mask, row) + u32(key);
let isSeen = ((mask[element / 32u] >> (element % 32u)) & 1u) == 1u;
return select(MASKED, s, isSeen);
}`;

/** score/mask_mod.wgsl */
export const maskMod: Readonly<Record<"everywhere" | "inBlocks", string>> = {
  everywhere: `fn withMaskMod(s: f32, row: u32, context: Context, column: u32) -> f32 {
return select(MASKED, s, isSeenAt(placeOf(row, context, column)));
}`,
  inBlocks: `fn withMaskMod(s: f32, row: u32, context: Context, column: u32) -> f32 {
if (isWholeTile) {
return s;
}
return select(MASKED, s, isSeenAt(placeOf(row, context, column)));
}`,
};

/** score/masked.wgsl */
export const masked: string = `const MASKED = -3.4028234663852886e38;
const MASKED_BITS = 0xff7fffffu;
fn isMasked(score: f32) -> bool {
return bitcast<u32>(score) - MASKED_BITS <= 1u;
}`;

/** score/per_head.wgsl */
export const perHead: string = `var<uniform> perHead: array<vec4f, NUM_HEADS>;`;

/** score/score_at.wgsl */
export const scoreAt: string = `struct ScoreAt {
batch: u32,
head: u32,
query: i32,
key: i32,
}
fn placeOf(row: u32, context: Context, column: u32) -> ScoreAt {
return placeOfPair(headOf(row), tokenOf(row), context, column);
}
fn placeOfPair(head: u32, token: u32, context: Context, column: u32) -> ScoreAt {
let key = i32(tokenAt(context, column));
return ScoreAt(context.sequence, head, queryPosition(context, token), key);
}`;

/** score/score_mod.wgsl */
export const scoreMod: Readonly<Record<"alone" | "afterBias", string>> = {
  alone: `fn withScoreMod(s: f32, row: u32, context: Context, column: u32) -> f32 {
let modified = modifiedScore(s, placeOf(row, context, column));
return select(modified, MASKED, isMasked(modified));
}`,
  afterBias: `fn withScoreMod(s: f32, row: u32, context: Context, column: u32) -> f32 {
let modified = modifiedScore(s, placeOf(row, context, column));
return select(modified, MASKED, bitcast<u32>(s) == MASKED_BITS || isMasked(modified));
}`,
};

/** score/sink.wgsl */
export const sink: Readonly<Record<"logits" | "inWeights" | "none", string>> = {
  logits: `fn withSink(row: u32, state: SoftmaxState) -> SoftmaxState {
return mergeStates(state, SoftmaxState(perHead[headOf(row)].y, 1.0));
}`,
  inWeights: `fn withSink(row: u32, state: SoftmaxState) -> SoftmaxState {
return SoftmaxState(0.0, 1.0);
}`,
  none: `fn withSink(row: u32, state: SoftmaxState) -> SoftmaxState {
return state;
}`,
};

/** score/softcap.wgsl */
export const softcap: string = `fn withSoftcap(s: f32, row: u32, context: Context, column: u32) -> f32 {
let x = s / params.softcap;
let decay = exp(-2.0 * abs(x));
let pressed = sign(x) * (1.0 - decay) / (1.0 + decay);
let series = x * (1.0 - x * x * (0.333333333 - 0.133333333 * x * x));
return params.softcap * select(pressed, series, abs(x) < 0.1);
}`;

/** score/softcap_slope.wgsl */
export const softcapSlope: string = `fn softcapSlope(s: f32) -> f32 {
let decay = exp(-2.0 * abs(s / params.softcap));
return 4.0 * decay / ((1.0 + decay) * (1.0 + decay));
}`;

/** softmax/lanes.wgsl */
export const lanes: Readonly<Record<"one" | "oneMaximum" | "shuffle" | "memory", string>> = {
  one: `fn sumOverLanes(own: f32, invocation: u32, lane: u32) -> f32 {
return own;
}`,
  oneMaximum: `fn maxOverLanes(own: PerRow, invocation: u32, lane: u32) -> PerRow {
return own;
}`,
  shuffle: `fn maxOverLanes(own: PerRow, invocation: u32, lane: u32) -> PerRow {
var most = own;
/*unroll*/ for (var r = 0u; r < HALVINGS; r++) {
/*unroll*/ for (var i = 0u; i < ROWS; i++) {
most[i] = max(most[i], subgroupShuffleXor(most[i], LANES >> (r + 1u)));
}
}
return most;
}
fn sumOverLanes(own: f32, invocation: u32, lane: u32) -> f32 {
var sum = own;
for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
sum += subgroupShuffleXor(sum, stride);
}
return sum;
}`,
  memory: `var<workgroup> reduced: array<PerRow, WORKGROUP>;
fn maxOverLanes(own: PerRow, invocation: u32, lane: u32) -> PerRow {
reduced[invocation] = own;
for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
workgroupBarrier();
if (lane < stride) {
/*unroll*/ for (var i = 0u; i < ROWS; i++) {
reduced[invocation][i] = max(reduced[invocation][i], reduced[invocation + stride][i]);
}
}
}
workgroupBarrier();
return reduced[invocation - lane];
}
fn sumOverLanes(own: f32, invocation: u32, lane: u32) -> f32 {
workgroupBarrier();
reduced[invocation][0] = own;
for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
workgroupBarrier();
if (lane < stride) {
reduced[invocation][0] += reduced[invocation + stride][0];
}
}
workgroupBarrier();
return reduced[invocation - lane][0];
}`,
};

/** softmax/merge_slices.wgsl */
export const mergeSlices: string = `var<storage, read> partials: array<Wide>;
var<storage, read> states: array<SoftmaxState>;
const PACKS = VALUE_DIM / PACK;
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) invocation: vec3u) {
let row = invocation.x / PACKS;
let pack = invocation.x % PACKS;
if (!isRow(row)) {
return;
}
var whole = emptyState();
var sum = Wide();
let numSlices = arrayLength(&states) / params.numRows;
for (var slice = 0u; slice < numSlices; slice++) {
let index = slice * params.numRows + row;
let merged = mergeStates(whole, states[index]);
sum = exp(whole.m - merged.m) * sum + exp(states[index].m - merged.m) * partials[index * PACKS + pack];
whole = merged;
}
storeRow(row, 0u, pack, sum, whole);
}`;

/** softmax/merge_states.wgsl */
export const mergeStates: string = `struct Params {
numRows: u32,
isFirst: u32,
}
var<uniform> params: Params;
var<storage, read> oNext: array<Pack>;
var<storage, read> lseNext: array<f32>;
var<storage, read_write> o: array<Pack>;
var<storage, read_write> lse: array<f32>;
const PACKS = VALUE_DIM / PACK;
@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) workgroupId: vec3u,
@builtin(num_workgroups) numWorkgroups: vec3u,
@builtin(local_invocation_index) lane: u32,
) {
let row = workgroupId.y * numWorkgroups.x + workgroupId.x;
if (row >= params.numRows) {
return;
}
let soFar = stateOf(select(lse[row], MASKED, params.isFirst == 1u));
let next = stateOf(lseNext[row]);
let whole = settled(mergeStates(soFar, next));
storageBarrier();
if (lane == 0u) {
lse[row] = select(whole.m + log(whole.d), MASKED, isEmpty(whole));
}
let shares = vec2f(shareOf(soFar, whole), shareOf(next, whole));
for (var i = row * PACKS + lane; i < (row + 1u) * PACKS; i += WORKGROUP) {
let a = shares.x * select(Wide(o[i]), Wide(), shares.x == 0.0);
let b = shares.y * select(Wide(oNext[i]), Wide(), shares.y == 0.0);
o[i] = Pack(a + b);
}
}
fn stateOf(lse: f32) -> SoftmaxState {
if (isMasked(lse)) {
return emptyState();
}
return SoftmaxState(lse, 1.0);
}
fn shareOf(state: SoftmaxState, whole: SoftmaxState) -> f32 {
return select(exp(state.m - whole.m) * state.d / whole.d, 0.0, isEmpty(state));
}`;

/** softmax/state.wgsl */
export const state: string = `struct SoftmaxState {
m: f32,
d: f32,
}
fn emptyState() -> SoftmaxState {
return SoftmaxState(MASKED, 0.0);
}
fn mergeStates(a: SoftmaxState, b: SoftmaxState) -> SoftmaxState {
let m = max(a.m, b.m);
return SoftmaxState(m, a.d * exp(a.m - m) + b.d * exp(b.m - m));
}
fn isEmpty(state: SoftmaxState) -> bool {
return (bitcast<u32>(state.d) & 0x7fffffffu) == 0u;
}
fn settled(state: SoftmaxState) -> SoftmaxState {
let isFinite = (bitcast<u32>(state.d) & 0x7fffffffu) < 0x7f800000u;
let bits = select(vec2u(0x7fc00000u), bitcast<vec2u>(vec2f(state.m, state.d)), isFinite);
return SoftmaxState(bitcast<f32>(bits.x), bitcast<f32>(bits.y));
}`;

/** staged/all_pairs.wgsl */
export const allPairs: string = `var<storage, read_write> pairs: array<PairGradient>;
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroupId: vec3u, @builtin(local_invocation_index) lane: u32) {
let row = params.firstRow + workgroupId.y;
let column = workgroupId.x * WORKGROUP + lane;
if (column >= params.contextLen) {
return;
}
let context = contextOf(batchOf(row));
let kvHead = headOf(row) / (params.numHeads / params.numKvHeads);
let kvRow = rowOfColumn(slotsOf(batchOf(row), kvHead, context, vec2u(0u, context.len)), column);
let place = queryRow(batchOf(row), headOf(row), tokenOf(row));
var product = 0.0;
for (var i = 0u; i < HEAD_DIM / PACK; i++) {
product = addInner(queryAt(place * (HEAD_DIM / PACK) + i)[0], keysAt(startOfKey(kvRow), i)[0], product);
}
var dWeight = 0.0;
for (var i = 0u; i < VALUE_DIM / PACK; i++) {
dWeight = addInner(dOAt(place * (VALUE_DIM / PACK) + i)[0], valuesAt(startOfValue(kvRow), i)[0], dWeight);
}
let isSeen = isVisible(visibleColumns(context, tokenOf(row)), column);
pairs[scoresOffset(row) + column] = pairGradient(product, dWeight, row, context, column, rowStates[place], isSeen);
}`;

/** staged/key_share.wgsl */
export const keyShare: Readonly<Record<"stored" | "none", string>> = {
  stored: `var<storage, read_write> states: array<SoftmaxState>;
fn storeKeyShare(row: u32, share: f32) {
states[row] = SoftmaxState(0.0, share);
}`,
  none: `fn storeKeyShare(row: u32, share: f32) {
}`,
};

/** staged/key_value_sums.wgsl */
export const keyValueSums: string = `var<storage, read> pairs: array<PairGradient>;
var<storage, read_write> partials: array<Wide>;
const HEAD_PACKS = HEAD_DIM / PACK;
const PACKS = VALUE_DIM / PACK;
@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) workgroupId: vec3u,
@builtin(num_workgroups) numWorkgroups: vec3u,
@builtin(local_invocation_index) lane: u32,
) {
let pack = workgroupId.x * WORKGROUP + lane;
if (pack >= HEAD_PACKS + PACKS) {
return;
}
let column = workgroupId.y;
let head = workgroupId.z;
let rowsOfHead = params.numHeads / params.numKvHeads * params.seqLen;
let blockRows = arrayLength(&pairs) / params.contextLen;
let first = max(params.firstRow, head * rowsOfHead);
let end = min(params.firstRow + blockRows, (head + 1u) * rowsOfHead);
let isKey = pack < HEAD_PACKS;
var sum = Wide();
for (var row = first; row < end; row++) {
let pair = pairs[scoresOffset(row) + column];
let place = queryRow(batchOf(row), headOf(row), tokenOf(row));
if (isKey) {
sum += pair.product * select(queryAt(place * HEAD_PACKS + pack)[0], Wide(), pair.product == 0.0);
} else {
sum += pair.weight * select(dOAt(place * PACKS + pack - HEAD_PACKS)[0], Wide(), pair.weight == 0.0);
}
}
let batch = head / params.numKvHeads;
let context = contextOf(batch);
let kvRow = rowOfColumn(slotsOf(batch, head % params.numKvHeads, context, vec2u(0u, context.len)), column);
let ofValues = numWorkgroups.z * params.contextLen * HEAD_PACKS;
let place = select(ofValues + kvRow * PACKS + pack - HEAD_PACKS, kvRow * HEAD_PACKS + pack, isKey);
partials[place] = select(partials[place], Wide(), params.firstRow == 0u) + sum;
}`;

/** staged/query_sums.wgsl */
export const querySums: string = `var<storage, read> pairs: array<PairGradient>;
var<storage, read_write> dq: array<Gradient>;
const HEAD_PACKS = HEAD_DIM / PACK;
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroupId: vec3u, @builtin(local_invocation_index) lane: u32) {
let row = params.firstRow + workgroupId.y;
let pack = workgroupId.x * WORKGROUP + lane;
if (pack >= HEAD_PACKS) {
return;
}
let context = contextOf(batchOf(row));
let kvHead = headOf(row) / (params.numHeads / params.numKvHeads);
let slots = slotsOf(batchOf(row), kvHead, context, vec2u(0u, context.len));
let place = queryRow(batchOf(row), headOf(row), tokenOf(row));
var sum = Wide();
var distance = 0.0;
for (var column = 0u; column < context.len; column++) {
let pair = pairs[scoresOffset(row) + column];
let key = keysAt(startOfKey(rowOfColumn(slots, column)), pack)[0];
sum += pair.product * select(key, Wide(), pair.product == 0.0);
distance += atDistance(pair.score, row, context, column);
}
dq[place * HEAD_PACKS + pack] = Gradient(sum);
storeDistances(place, distance, lane, pack, true);
}`;

/** staged/scores.wgsl */
export const scores: string = `var<storage, read_write> scores: array<f32>;
const HEAD_LOADS = HEAD_DIM / (PACK * LOAD_PACKS);
const BLOCK = WORKGROUP * 4u;
@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) workgroupId: vec3u,
@builtin(num_workgroups) numWorkgroups: vec3u,
@builtin(local_invocation_index) lane: u32,
) {
let tile = rowTileOf(params.firstTile + workgroupId.y);
if (tile.numRows == 0u) {
return;
}
let context = contextOf(tile.batch);
var seen = vec2u(context.len, 0u);
var visible: array<vec2u, ROWS>;
var firstLoad: array<u32, ROWS>;
var shift: array<f32, ROWS>;
var total: array<f32, ROWS>;
for (var i = 0u; i < ROWS; i++) {
let row = rowOf(tile, i);
visible[i] = visibleColumns(context, tokenOf(row));
seen = vec2u(min(seen.x, visible[i].x), max(seen.y, visible[i].y));
firstLoad[i] = startOfQuery(tile, i);
shift[i] = shiftOf(tile, i);
total[i] = totalOf(tile, i);
}
let all = vec2u(0u, context.len);
let slots = slotsOf(tile.batch, tile.kvHead, context, all);
let rows = blocksOf(tile, tokensOf(tile), context);
let end = max(context.len, params.filledLen);
for (var first = workgroupId.x * BLOCK; first < end; first += numWorkgroups.x * BLOCK) {
let isSeen = (first < seen.y && first + BLOCK > seen.x) || first < min(SINKS, seen.x);
if (!isSeen && first >= params.filledLen) {
continue;
}
let columns = first + lane + WORKGROUP * vec4u(0u, 1u, 2u, 3u);
var products = array<vec4f, ROWS>();
if (isSeen && seenTile(rows, all, first, min(first + BLOCK, context.len), BLOCK, BLOCK) == first) {
products = productsOf(slots, min(columns, vec4u(context.len - 1u)), firstLoad, total);
}
for (var i = 0u; i < tile.numRows; i++) {
let row = rowOf(tile, i);
let offset = scoresOffset(row);
for (var j = 0u; j < 4u; j++) {
let column = columns[j];
if (column < end) {
let score = scoreOf(products[i][j] + shift[i], row, context, column);
scores[offset + column] = select(MASKED, score, isVisible(visible[i], column));
}
}
}
}
}
fn productsOf(slots: Slots, columns: vec4u, firstLoad: array<u32, ROWS>, total: array<f32, ROWS>) -> array<vec4f, ROWS> {
let k0 = startOfKey(rowOfColumn(slots, columns.x));
let k1 = startOfKey(rowOfColumn(slots, columns.y));
let k2 = startOfKey(rowOfColumn(slots, columns.z));
let k3 = startOfKey(rowOfColumn(slots, columns.w));
var acc: array<vec4f, ROWS>;
for (var h = 0u; h < HEAD_LOADS; h++) {
let a = keysAt(k0, h);
let b = keysAt(k1, h);
let c = keysAt(k2, h);
let d = keysAt(k3, h);
for (var i = 0u; i < ROWS; i++) {
let x = queryAt(firstLoad[i] + h);
/*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
let sum = acc[i];
acc[i] = vec4f(
addInner(x[p], a[p], sum.x),
addInner(x[p], b[p], sum.y),
addInner(x[p], c[p], sum.z),
addInner(x[p], d[p], sum.w),
);
}
}
}
let steps = vec4f(keyStep(k0), keyStep(k1), keyStep(k2), keyStep(k3));
let middles = vec4f(keyMiddle(k0), keyMiddle(k1), keyMiddle(k2), keyMiddle(k3));
for (var i = 0u; i < ROWS; i++) {
acc[i] = fma(acc[i], steps, total[i] * middles);
}
return acc;
}`;

/** staged/softmax.wgsl */
export const softmax: string = `var<storage, read_write> weights: array<f32>;
var<workgroup> ofLanes: array<SoftmaxState, WORKGROUP>;
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroupId: vec3u, @builtin(local_invocation_index) lane: u32) {
let row = params.firstRow + workgroupId.x;
if (!isRow(row)) {
return;
}
let context = contextOfRow(row);
let visible = visibleColumns(context, tokenOf(row));
let offset = scoresOffset(row);
var state = emptyState();
let count = countOf(visible);
for (var i = lane; i < count; i += WORKGROUP) {
let score = scoreAt(offset + columnAt(visible, i));
state = mergeStates(state, SoftmaxState(score, select(1.0, 0.0, isMasked(score))));
}
ofLanes[lane] = state;
for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
workgroupBarrier();
if (lane < stride) {
ofLanes[lane] = mergeStates(ofLanes[lane], ofLanes[lane + stride]);
}
}
workgroupBarrier();
storageBarrier();
let whole = settled(withSink(row, ofLanes[0]));
if (lane == 0u) {
storeLse(row, whole);
storeKeyShare(row, select(exp(ofLanes[0].m - whole.m) * ofLanes[0].d / whole.d, 0.0, isEmpty(whole)));
}
let end = max(context.len, params.filledLen);
for (var c = lane; c < end; c += WORKGROUP) {
if (isVisible(visible, c)) {
let score = scoreAt(offset + c);
weights[offset + c] = select(exp(score - whole.m) / whole.d, 0.0, isMasked(score));
} else {
weights[offset + c] = 0.0;
}
}
}`;

/** staged/softmax_input.wgsl */
export const softmaxInput: Readonly<Record<"apart" | "inPlace", string>> = {
  apart: `var<storage, read> scores: array<f32>;
fn scoreAt(index: u32) -> f32 {
return scores[index];
}`,
  inPlace: `fn scoreAt(index: u32) -> f32 {
return weights[index];
}`,
};

/** staged/weighted_sum.wgsl */
export const weightedSum: string = `var<storage, read> weights: array<f32>;
var<storage, read_write> o: array<Pack>;
const PACKS = VALUE_DIM / PACK;
const LOADS = PACKS / LOAD_PACKS;
alias OfLoad = array<Wide, LOAD_PACKS>;
var<workgroup> sums: array<array<OfLoad, ROWS>, WORKGROUP>;
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroupId: vec3u, @builtin(local_invocation_index) invocation: u32) {
let tile = rowTileOf(params.firstTile + workgroupId.x);
if (tile.numRows == 0u) {
return;
}
let context = contextOf(tile.batch);
let load = workgroupId.y * LANES + invocation % LANES;
let strip = invocation / LANES;
let loaded = min(load, LOADS - 1u);
var seen = vec2u(context.len, 0u);
var offset: array<u32, ROWS>;
for (var i = 0u; i < ROWS; i++) {
let row = rowOf(tile, i);
let visible = visibleColumns(context, tokenOf(row));
seen = vec2u(min(seen.x, visible.x), max(seen.y, visible.y));
offset[i] = scoresOffset(row);
}
var acc: array<OfLoad, ROWS>;
let count = countOf(seen);
let slots = slotsOf(tile.batch, tile.kvHead, context, seen);
let rows = blocksOf(tile, tokensOf(tile), context);
var first = seenTile(rows, seen, strip * 4u, count, 4u, STRIPS * 4u);
for (; first < count; first = seenTile(rows, seen, first + STRIPS * 4u, count, 4u, STRIPS * 4u)) {
for (var j = 0u; j < 4u; j++) {
let index = min(first + j, count - 1u);
let column = columnAt(seen, index);
let value = startOfValue(rowOfColumn(slots, index));
let step = valueStep(value);
let middle = Wide(valueMiddle(value));
let values = valuesAt(value, loaded);
for (var i = 0u; i < ROWS; i++) {
let weight = select(0.0, weights[offset[i] + column], first + j < count);
/*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
acc[i][p] += weight * select(step * values[p] + middle, Wide(), weight == 0.0);
}
}
}
}
sums[invocation] = acc;
for (var stride = STRIPS / 2u; stride > 0u; stride /= 2u) {
workgroupBarrier();
if (strip < stride) {
for (var i = 0u; i < ROWS; i++) {
/*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
sums[invocation][i][p] += sums[invocation + stride * LANES][i][p];
}
}
}
}
if (strip == 0u && load < LOADS) {
for (var i = 0u; i < tile.numRows; i++) {
let row = rowOf(tile, i);
let first = queryRow(tile.batch, headOf(row), tokenOf(row)) * PACKS + load * LOAD_PACKS;
/*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
o[first + p] = Pack(sums[invocation][i][p]);
}
}
}
}`;

/** tensor/numbers.wgsl */
export const numbers: Readonly<Record<"packs" | "f16U32" | "f16U64" | "f32U64", string>> = {
  packs: `fn numbersOf(x: Stored) -> array<Wide, LOAD_PACKS> {
return array<Wide, LOAD_PACKS>(Wide(x));
}`,
  f16U32: `fn numbersOf(x: Stored) -> array<Wide, LOAD_PACKS> {
return array<Wide, LOAD_PACKS>(
vec4f(unpack2x16float(x.x), unpack2x16float(x.y)),
vec4f(unpack2x16float(x.z), unpack2x16float(x.w)),
);
}`,
  f16U64: `fn numbersOf(x: Stored) -> array<Wide, LOAD_PACKS> {
let low = vec2u(x);
let high = vec2u(x >> vec2u(32u));
return array<Wide, LOAD_PACKS>(
vec4f(unpack2x16float(low.x), unpack2x16float(high.x)),
vec4f(unpack2x16float(low.y), unpack2x16float(high.y)),
);
}`,
  f32U64: `fn numbersOf(x: Stored) -> array<Wide, LOAD_PACKS> {
let low = vec4u(x);
let high = vec4u(x >> vec4<u32>(32u));
return array<Wide, LOAD_PACKS>(
bitcast<vec4f>(vec4u(low.x, high.x, low.y, high.y)),
bitcast<vec4f>(vec4u(low.z, high.z, low.w, high.w)),
);
}`,
};

/** tensor/pack.wgsl */
export const pack: Readonly<Record<"vec4" | "scalar", string>> = {
  vec4: `alias Wide = vec4f;
alias WideUint = vec4u;
const PACK = 4u;
fn addInner(a: Wide, b: Wide, sum: f32) -> f32 {
return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum))));
}
fn largestOf(x: Wide) -> f32 {
let most = max(abs(x.xy), abs(x.zw));
return max(most.x, most.y);
}
fn integersFrom(word: i32, bit: u32, size: u32) -> vec4i {
return vec4i(
extractBits(word, bit, size),
extractBits(word, bit + size, size),
extractBits(word, bit + 2u * size, size),
extractBits(word, bit + 3u * size, size),
);
}`,
  scalar: `alias Wide = f32;
alias WideUint = u32;
const PACK = 1u;
fn addInner(a: Wide, b: Wide, sum: f32) -> f32 {
return fma(a, b, sum);
}
fn largestOf(x: Wide) -> f32 {
return abs(x);
}
fn integersFrom(word: i32, bit: u32, size: u32) -> i32 {
return extractBits(word, bit, size);
}`,
};

/** tensor/quantized_pack.wgsl */
export const quantizedPack: Readonly<Record<"ofWord" | "ofWords", string>> = {
  ofWord: `fn integersOf(word: u32, pack: u32) -> Wide {
return Wide(integersFrom(bitcast<i32>(word), pack * PACK * BITS, BITS));
}
fn packInWord(load: u32, p: u32) -> u32 {
return load % (PER_WORD / (LOAD_PACKS * PACK)) * LOAD_PACKS + p;
}`,
  ofWords: `alias LongWords = array<u64, LOAD_PACKS / 2u + 1u>;
fn wordOf(index: u32, long: u64) -> u32 {
return select(u32(long), u32(long >> 32u), index % 2u == 1u);
}
fn integersOf(index: u32, long: LongWords) -> array<Wide, LOAD_PACKS> {
var integers: array<Wide, LOAD_PACKS>;
/*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
let word = wordOf(index + p, select(long[p / 2u], long[(p + 1u) / 2u], index % 2u == 1u));
integers[p] = Wide(integersFrom(bitcast<i32>(word), 0u, BITS));
}
return integers;
}`,
};

/** tensor/quantized_row.wgsl */
export const quantizedRow: Readonly<Record<"symmetric" | "asymmetric", string>> = {
  symmetric: `const PER_WORD = 32u / BITS;
const LARGEST = f32((1u << (BITS - 1u)) - 1u);
fn wordsOf(size: u32) -> u32 {
return 1u + (size + PER_WORD - 1u) / PER_WORD;
}
fn stepOf(word: u32) -> f32 {
return bitcast<f32>(word);
}`,
  asymmetric: `const PER_WORD = 32u / BITS;
const HALF = f32(1u << (BITS - 1u));
fn wordsOf(size: u32) -> u32 {
return 1u + (size + PER_WORD - 1u) / PER_WORD;
}
fn stepOf(word: u32) -> f32 {
return bitcast<f32>(word & 0xffff0000u);
}
fn leastOf(word: u32) -> f32 {
return bitcast<f32>(word << 16u);
}
fn middleOf(word: u32) -> f32 {
return fma(HALF, stepOf(word), leastOf(word));
}`,
};

/** tensor/stored_pack.wgsl */
export const storedPack: Readonly<Record<"same" | "u64", string>> = {
  same: `alias StoredPack = Wide;
fn packOf(stored: StoredPack) -> Wide {
return stored;
}
fn storedOf(x: Wide) -> StoredPack {
return x;
}`,
  u64: `alias StoredPack = vec2<u64>;
fn packOf(stored: StoredPack) -> Wide {
let low = vec2u(stored);
let high = vec2u(stored >> vec2u(32u));
return bitcast<vec4f>(vec4u(low.x, high.x, low.y, high.y));
}
fn storedOf(x: Wide) -> StoredPack {
let bits = bitcast<vec4u>(x);
return vec2<u64>(bits.xz) | (vec2<u64>(bits.yw) << vec2u(32u));
}`,
};

/** tensor/weight_matrix.wgsl */
export const weightMatrix: Readonly<Record<"numbers" | "uniform" | "quantized", string>> = {
  numbers: `var<storage, read> w: array<Stored>;
fn matrixAt(row: u32, load: u32) -> array<Wide, LOAD_PACKS> {
return numbersOf(w[row * (IN / (PACK * LOAD_PACKS)) + load]);
}
fn matrixStep(row: u32) -> f32 {
return 1.0;
}`,
  uniform: `var<uniform> w: array<Stored, PART_ROWS * (IN / (PACK * LOAD_PACKS))>;
fn matrixAt(row: u32, load: u32) -> array<Wide, LOAD_PACKS> {
return numbersOf(w[row * (IN / (PACK * LOAD_PACKS)) + load]);
}
fn matrixStep(row: u32) -> f32 {
return 1.0;
}`,
  quantized: `var<storage, read> w: array<Stored>;
fn matrixAt(row: u32, load: u32) -> array<Wide, LOAD_PACKS> {
let word = w[row * wordsOf(IN) + 1u + load * LOAD_PACKS * PACK / PER_WORD];
var integers: array<Wide, LOAD_PACKS>;
/*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
integers[p] = integersOf(word, packInWord(load, p));
}
return integers;
}
fn matrixStep(row: u32) -> f32 {
return stepOf(w[row * wordsOf(IN)]);
}`,
};

/** train/adamw.wgsl */
export const adamw: string = `struct Params {
length: u32,
decay: f32,
}
struct Step {
rate: f32,
mCorrection: f32,
vCorrection: f32,
mShare: f32,
vShare: f32,
eps: f32,
}
var<uniform> params: Params;
var<storage, read> schedule: array<Step>;
var<storage, read> clipping: array<vec2f>;
var<storage, read_write> w: array<f32>;
var<storage, read_write> gradient: array<f32>;
var<storage, read_write> m: array<f32>;
var<storage, read_write> v: array<f32>;
fn visit(i: u32) {
let norm = clipping[0].x;
let g = clipping[0].y * gradient[i];
gradient[i] = 0.0;
if ((bitcast<u32>(norm) & 0x7fffffffu) >= 0x7f800000u) {
return;
}
let now = schedule[0];
let mNew = fma(now.mShare, g - m[i], m[i]);
let vNew = fma(now.vShare, g * g - v[i], v[i]);
m[i] = mNew;
v[i] = vNew;
let towards = mNew / now.mCorrection / (sqrt(vNew / now.vCorrection) + now.eps);
w[i] -= now.rate * (towards + params.decay * w[i]);
}`;

/** train/clip.wgsl */
export const clip: string = `struct Params {
count: u32,
most: f32,
}
var<uniform> params: Params;
var<storage, read> parts: array<f32>;
var<storage, read_write> clipping: array<vec2f>;
alias PerRow = array<f32, ROWS>;
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) lane: u32) {
var sum = 0.0;
for (var i = lane; i < params.count; i += LANES) {
sum += parts[i];
}
let norm = sqrt(sumOverLanes(sum, lane, lane));
if (lane == 0u) {
clipping[0] = vec2f(norm, select(1.0, params.most / norm, norm > params.most));
}
}`;

/** train/loss.wgsl */
export const loss: string = `struct Params {
numTokens: u32,
temperature: f32,
weight: f32,
}
var<uniform> params: Params;
var<storage, read> logits: array<StoredPack>;
var<storage, read_write> losses: array<f32>;
const PACKS = WIDTH / PACK;
alias PerRow = array<f32, ROWS>;
@compute @workgroup_size(WORKGROUP)
fn main(
@builtin(workgroup_id) workgroupId: vec3u,
@builtin(num_workgroups) numWorkgroups: vec3u,
@builtin(local_invocation_index) lane: u32,
) {
let token = workgroupId.y * numWorkgroups.x + workgroupId.x;
if (token >= params.numTokens) {
return;
}
let start = token * WIDTH;
let invTemperature = 1.0 / params.temperature;
holdRow(start, lane);
holdTarget(token, lane);
var most = PerRow();
most[0] = packOf(logits[start]);
for (var i = lane; i < WIDTH; i += LANES) {
most[0] = max(most[0], rowPack(start, i));
}
let m = maxOverLanes(most, lane, lane)[0];
var d = 0.0;
for (var i = lane; i < WIDTH; i += LANES) {
d += exp((rowPack(start, i) - m) * invTemperature);
}
let logD = log(sumOverLanes(d, lane, lane));
let wanted = targetOf(token, lane);
var sum = 0.0;
for (var i = lane; i < WIDTH; i += LANES) {
let logP = (rowPack(start, i) - m) * invTemperature - logD;
let logQ = logTarget(wanted, token, i);
let q = exp(logQ);
sum += select(0.0, q * (logQ - logP), q > 0.0);
put(token, i, params.weight * params.temperature * (exp(logP) - q));
}
let loss = params.temperature * params.temperature * sumOverLanes(sum, lane, lane);
if (lane == 0u) {
losses[token] = loss;
if ((bitcast<u32>(loss) & 0x7fffffffu) >= 0x7f800000u) {
put(token, 0u, loss);
}
}
}`;

/** train/squares.wgsl */
export const squares: string = `struct Params {
length: u32,
chunk: u32,
first: u32,
}
var<uniform> params: Params;
var<storage, read> gradient: array<f32>;
var<storage, read_write> parts: array<f32>;
alias PerRow = array<f32, ROWS>;
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroupId: vec3u, @builtin(local_invocation_index) lane: u32) {
let first = workgroupId.x * params.chunk;
let end = min(first + params.chunk, params.length);
var sum = 0.0;
for (var i = first + lane; i < end; i += LANES) {
sum = fma(gradient[i], gradient[i], sum);
}
let all = sumOverLanes(sum, lane, lane);
if (lane == 0u) {
parts[params.first + workgroupId.x] = all;
}
}`;

/** train/target.wgsl */
export const target: Readonly<Record<"label" | "teacher", string>> = {
  label: `var<storage, read> labels: array<u32>;
alias Target = u32;
fn holdTarget(token: u32, lane: u32) {
}
fn targetOf(token: u32, lane: u32) -> Target {
return labels[token];
}
fn logTarget(label: Target, token: u32, i: u32) -> f32 {
return select(-3.4028234663852886e38, 0.0, i == label);
}`,
  teacher: `var<storage, read> teacher: array<StoredPack>;
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
}`,
};
