const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const ID_CHARS = 24;

/** A fresh id: the prefix and 24 letters and digits, unguessable (about 142 bits). */
export function createId(prefix: string): string {
  const bytes = crypto.getRandomValues(new Uint8Array(ID_CHARS));
  let id = prefix;
  for (const byte of bytes) id += ALPHABET[byte % ALPHABET.length];
  return id;
}
