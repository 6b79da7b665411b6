// What one append can write to.
import { assertThrows } from "@std/assert";
import { checkSequences } from "../../src/cache/append.ts";

Deno.test("append: a batch fits a dispatch, and its counts a uniform buffer", () => {
  const limitsOf = (
    maxComputeWorkgroupsPerDimension: number,
    maxUniformBufferBindingSize: number,
  ) => ({ maxComputeWorkgroupsPerDimension, maxUniformBufferBindingSize }) as GPUSupportedLimits;
  // A number of four bytes for each sequence, in whole vectors of four, beside 64 bytes of other values.
  for (
    const [workgroups, bytes, most] of [[65535, 65536, 16368], [100, 65536, 100], [65535, 95, 4]]
  ) {
    const limits = limitsOf(workgroups, bytes);
    checkSequences("try", limits, most);
    assertThrows(
      () => checkSequences("try", limits, most + 1),
      RangeError,
      `batch=${most + 1}, mostBatch=${most}`,
    );
  }
});
