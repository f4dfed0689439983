/** Functions of libc, for what neither Bun nor Node has. Import it lazily: the first call compiles the bridge. */
import { dlopen, type FFIFunction } from "bun:ffi";

/** Opens glibc, else musl. Throws where there is neither. */
export function openLibc<Symbols extends Record<string, FFIFunction>>(symbols: Symbols) {
  try {
    return dlopen("libc.so.6", symbols).symbols;
  } catch {
    return dlopen(`libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`, symbols).symbols;
  }
}
