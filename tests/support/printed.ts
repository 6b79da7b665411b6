/** What `work` prints as errors, instead of printing it. */
export async function printed(work: () => Promise<void>): Promise<string[]> {
  const lines: string[] = [];
  const { error } = console;
  console.error = (...values: unknown[]) => lines.push(values.join(" "));
  try {
    await work();
  } finally {
    console.error = error;
  }
  return lines;
}
