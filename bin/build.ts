/**
 * `bun run build [--outfile=PATH] [--version=TEXT]`: the single binary, dist/claude-code-daemon by default.
 * `--target=bun-linux-arm64 --runtime=FILE` builds for another platform, with FILE as its Bun (bin/release.ts).
 *
 * Same sources, same Bun, same file name: same bytes. The name of the output is part of the binary.
 *
 * A compiled binary by default loads `.env` and runs `bunfig.toml` preloads of the directory it is started in: every kind
 * of autoloading is off. No source maps: they carry the paths of the machine that built it.
 */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { hasFittingSignature, signAdHoc } from "./mach-o.ts";

const root = resolve(import.meta.dir, "..");

/** The package's version and the commit as build metadata, when this is a git clone. */
async function defaultVersion(): Promise<string> {
  const manifest: { version: string } = await Bun.file(join(root, "package.json")).json();
  const git = Bun.spawnSync(["git", "-C", root, "rev-parse", "--short=12", "HEAD"], { stderr: "ignore" });
  return git.exitCode === 0 ? `${manifest.version}+${git.stdout.toString().trim()}` : manifest.version;
}

const { values } = parseArgs({
  options: {
    outfile: { type: "string" },
    version: { type: "string" },
    target: { type: "string" },
    runtime: { type: "string" },
  },
});
/** Bun's own list of names, which it checks itself. */
const target = values.target as Bun.Build.CompileTarget | undefined;
const outfile = resolve(values.outfile ?? join(root, "dist", "claude-code-daemon"));
const version = values.version ?? (await defaultVersion());
mkdirSync(dirname(outfile), { recursive: true });

const started = performance.now();
const result = await Bun.build({
  entrypoints: [join(root, "src", "main.ts")],
  root,
  target: "bun",
  format: "esm",
  minify: true,
  bytecode: true,
  sourcemap: "none",
  define: {
    CLAUDE_CODE_DAEMON_VERSION: JSON.stringify(version),
    "process.env.NODE_ENV": JSON.stringify("production"),
  },
  compile: {
    outfile,
    ...(target === undefined ? {} : { target }),
    ...(values.runtime === undefined ? {} : { executablePath: resolve(values.runtime) }),
    autoloadDotenv: false,
    autoloadBunfig: false,
    autoloadTsconfig: false,
    autoloadPackageJson: false,
  },
  throw: false,
});
for (const log of result.logs) process.stderr.write(`${log}\n`);
if (!result.success) process.exit(1);
if ((target ?? `bun-${process.platform}`).includes("darwin")) {
  const program = readFileSync(outfile);
  if (!hasFittingSignature(program)) writeFileSync(outfile, signAdHoc(program, "claude-code-daemon"));
  chmodSync(outfile, 0o755);
}
const megabytes = (Bun.file(outfile).size / 1e6).toFixed(1);
process.stderr.write(`Built ${version}, ${megabytes} MB in ${((performance.now() - started) / 1000).toFixed(1)} s\n`);
process.stdout.write(`${outfile}\n`);
