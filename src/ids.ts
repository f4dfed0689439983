/** Bytes of randomness in an id: unguessable, and not ordered by a clock that may jump. */
const ID_BYTES = 15;

const ALPHABET = "0123456789abcdefghijklmnopqrstuv";

/** A prefixed random id: `ses_`, `trn_`, `exe_` and 24 characters of base 32. */
export function createId(prefix: string): string {
  const bytes = crypto.getRandomValues(new Uint8Array(ID_BYTES));
  let text = `${prefix}_`;
  let buffer = 0;
  let bits = 0;
  for (const byte of bytes) {
    buffer = ((buffer << 8) | byte) & 0xffff;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += ALPHABET[(buffer >> bits) & 31];
    }
  }
  return text;
}

/** Whether a client's text can be an id of this kind at all; anything else is `not_found` without a look-up. */
export function isId(prefix: string, text: string): boolean {
  return text.startsWith(`${prefix}_`) && /^[a-z]{3}_[0-9a-v]{24}$/.test(text);
}
