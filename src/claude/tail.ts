/** The last bytes of a stream. */

/** Stderr kept for the log. */
export const STDERR_TAIL_BYTES = 16 * 1024;

export interface Tail {
  add(chunk: Uint8Array): void;
  text(): string;
}

/** Keeps at most twice `maxBytes` (a flood costs one copy a chunk), gives the last `maxBytes`. */
export function createTail(maxBytes: number): Tail {
  let kept: Uint8Array = new Uint8Array(0);
  return {
    add(chunk) {
      if (chunk.length >= maxBytes) kept = chunk.slice(-maxBytes);
      else kept = Buffer.concat([kept.subarray(-(maxBytes - chunk.length)), chunk]);
    },
    text: () => new TextDecoder().decode(kept),
  };
}
