// Idempotency keys: a wish has the same one however often it is sent, until it is fulfilled.

/** Gives `once(wish, send)`; `send` gets the key. Whatever else is wished has another one. */
export function createOnce() {
  const keys = new Map();
  return async (wish, send) => {
    const name = JSON.stringify(wish);
    if (!keys.has(name)) keys.set(name, crypto.randomUUID());
    const answer = await send(keys.get(name));
    keys.delete(name);
    return answer;
  };
}
