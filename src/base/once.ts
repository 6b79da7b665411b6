/** The value of a key, made where it is not there yet; what failed is forgotten, so that it can be tried again. */
export function once<Key, Value>(
  made: Map<Key, Promise<Value>>,
  key: Key,
  make: () => Promise<Value>,
): Promise<Value> {
  let value = made.get(key);
  if (!value) {
    made.set(key, value = make());
    value.catch(() => made.delete(key));
  }
  return value;
}
