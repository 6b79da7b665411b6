// lse_none: nobody asks for the log-sum-exp.
fn storeLse(row: u32, state: SoftmaxState) {
}
