// Keys by which the server knows a request that it gets a second time.

/** Random bytes as hex. `crypto.randomUUID` is missing on plain-http pages of other hosts. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
