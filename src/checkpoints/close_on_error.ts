/** Makes something of what must be closed; where that fails, closes it at once. */
export async function closeOnError<Value>(
  resource: { close(): Promise<void> },
  use: () => Value | Promise<Value>,
): Promise<Value> {
  try {
    return await use();
  } catch (error) {
    await resource.close();
    throw error;
  }
}
