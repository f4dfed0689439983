/**
 * Tries the programs of a release where they can run: here, or in an emulator. On this processor a program answers a real
 * request through claude (bin/prove.ts). In qemu's user emulation it can only listen and say how it is: the emulated
 * program's children are not started as a kernel starts them, which the daemon notices. What cannot be tried is named.
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { hasFittingSignature } from "../mach-o.ts";
import { run } from "./run.ts";
import type { Target } from "./targets.ts";

const root = resolve(import.meta.dir, "..", "..");
const UNPACK_TIMEOUT_MS = 60_000;
const VERSION_TIMEOUT_MS = 60_000;
const PROOF_TIMEOUT_MS = 240_000;
/** An emulated program takes several seconds to boot. */
const EMULATED_START_SECONDS = 90;
/** Where Debian's libc6-arm64-cross has it. */
const ARM64_LIBRARIES = "/usr/aarch64-linux-gnu";
/** Before AVX: what the baseline builds are for. */
const OLD_PROCESSOR = "Nehalem";

interface Way {
  how: string;
  /** Words before the program's path. */
  runner: string[];
  emulated: boolean;
}

/** A musl program runs here with Debian's musl and what it asks of C++; undefined with the reason where not. */
async function muslLibraries(program: string, directory: string, arm: boolean): Promise<string> {
  const loader = `/lib/ld-musl-${arm ? "aarch64" : "x86_64"}.so.1`;
  if (!existsSync(loader)) throw new Error(`${loader} is missing (apt-get install musl${arm ? ":arm64" : ""})`);
  const compiler = arm ? "aarch64-linux-gnu-g++" : "g++";
  if (Bun.which(compiler) === null) throw new Error(`${compiler} is missing`);
  const libraries = join(directory, "libraries");
  const make = ["sh", join(root, "bin", "release", "musl-libstdcxx.sh"), compiler, program, libraries];
  await run(make, { cwd: directory, timeoutMs: UNPACK_TIMEOUT_MS });
  return libraries;
}

function emulator(name: string): string {
  const path = Bun.which(`qemu-${name}-static`);
  if (path === null) throw new Error(`qemu-${name}-static is missing (apt-get install qemu-user-static)`);
  return path;
}

/** How this target's program can be run on this machine; throws with the reason when it cannot. */
async function wayFor(target: Target, program: string, directory: string): Promise<Way> {
  const [, cpu] = target.name.split("-");
  const arm = cpu === "arm64";
  const native = process.platform === "linux" && process.arch === cpu;
  if (process.platform !== "linux") throw new Error("only Linux is tried, on Linux");
  const runner: string[] = [];
  if (target.name.includes("-musl")) {
    runner.push("env", `LD_LIBRARY_PATH=${await muslLibraries(program, directory, arm)}`);
    if (!native && arm) runner.push(emulator("aarch64"));
    return { how: native ? "here, with musl" : "qemu arm64, with musl", runner, emulated: !native };
  }
  if (target.name.endsWith("-baseline")) {
    runner.push(emulator("x86_64"), "-cpu", OLD_PROCESSOR);
    return { how: `qemu ${OLD_PROCESSOR}`, runner, emulated: true };
  }
  if (native) return { how: "here", runner, emulated: false };
  if (!arm) throw new Error("this is no x64 machine");
  if (!existsSync(ARM64_LIBRARIES)) throw new Error("arm64's libc is missing (apt-get install libc6-arm64-cross)");
  return { how: "qemu arm64", runner: [emulator("aarch64"), "-L", ARM64_LIBRARIES], emulated: true };
}

/** Tries one tarball in `directory`; a line on what was seen. Throws when the program does not do what it must. */
export async function smoke(target: Target, tarball: string, version: string, directory: string): Promise<string> {
  await run(["tar", "-xzf", tarball, "-C", directory], { cwd: directory, timeoutMs: UNPACK_TIMEOUT_MS });
  const unpacked = join(directory, `claude-code-daemon-${version}-${target.name}`);
  const program = join(unpacked, "claude-code-daemon");
  if (target.name.startsWith("macos-")) {
    if (!hasFittingSignature(readFileSync(program)))
      throw new Error("its signature does not fit: macOS would not run it");
    return "not run (no Mac); its signature fits";
  }
  let way: Way;
  try {
    way = await wayFor(target, program, directory);
  } catch (error) {
    return `not run: ${error instanceof Error ? error.message : String(error)}`;
  }
  const started = performance.now();
  // What bin/prove.ts starts is one file.
  const wrapper = join(directory, "claude-code-daemon");
  writeFileSync(wrapper, `#!/bin/sh\nexec ${[...way.runner, program].map((word) => `'${word}'`).join(" ")} "$@"\n`);
  chmodSync(wrapper, 0o755);
  const said = await run([wrapper, "--version"], { cwd: directory, timeoutMs: VERSION_TIMEOUT_MS });
  if (said.trim() !== version) throw new Error(`it calls itself ${said.trim()}`);
  const home = join(directory, "home");
  mkdirSync(home);
  const claude = process.env.CLAUDE_CODE_DAEMON_CLAUDE ?? installedClaude();
  const env = {
    HOME: home,
    CLAUDE_CODE_DAEMON_CLAUDE: claude,
    ...(way.emulated ? { CLAUDE_CODE_DAEMON_PROOF_SECONDS: String(EMULATED_START_SECONDS) } : {}),
  };
  const proof = [process.execPath, join(unpacked, "prove.ts"), wrapper, ...(way.emulated ? ["--listen-only"] : [])];
  await run(proof, { cwd: directory, timeoutMs: PROOF_TIMEOUT_MS, env });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  return `${way.how}: ${way.emulated ? "listens and says how it is" : "answered a request"} (${seconds} s)`;
}

/** The pinned development dependency, else the user's own. */
function installedClaude(): string {
  const platform = `${process.platform}-${process.arch}`;
  const pinned = join(root, "node_modules", "@anthropic-ai", `claude-code-${platform}`, "claude");
  const path = existsSync(pinned) ? pinned : Bun.which("claude");
  if (path === null) throw new Error("the smoke test needs claude (bun install), or CLAUDE_CODE_DAEMON_CLAUDE");
  return path;
}
