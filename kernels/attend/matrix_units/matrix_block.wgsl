// matrix_block: all lanes of a subgroup multiply blocks at once, by the extension chromium_experimental_subgroup_matrix.
//
//   sum [BLOCK_ROWS, BLOCK_COLUMNS] += left [BLOCK_ROWS, BLOCK_INNER] right [BLOCK_INNER, BLOCK_COLUMNS]
//
// Needs matrix_tile, BLOCK_COLUMNS, BLOCK_INNER, BLOCK_ROWS.
alias Left = subgroup_matrix_left<f16, BLOCK_INNER, BLOCK_ROWS>;
alias Right = subgroup_matrix_right<f16, BLOCK_COLUMNS, BLOCK_INNER>;
alias Sum = subgroup_matrix_result<f32, BLOCK_COLUMNS, BLOCK_ROWS>;

fn leftAt(at: u32, stride: u32) -> Left {
  return subgroupMatrixLoad<Left, row_major>(&factors, at, stride);
}

fn rightAt(at: u32, stride: u32) -> Right {
  return subgroupMatrixLoad<Right, row_major>(&factors, at, stride);
}

// Of memory that has its columns one after the other.
fn transposedAt(at: u32, stride: u32) -> Right {
  return subgroupMatrixLoad<Right, col_major>(&factors, at, stride);
}

fn addProduct(left: Left, right: Right, sum: Sum) -> Sum {
  return subgroupMatrixMultiplyAccumulate(left, right, sum);
}

fn storeSum(at: u32, stride: u32, sum: Sum) {
  subgroupMatrixStore<row_major>(&products, at, sum, stride);
}
