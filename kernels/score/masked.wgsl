// masked: the score of a key that a query must not see. It stands for minus infinity, which WGSL cannot write.
const MASKED = -3.4028234663852886e38;
