/**
 * A fresh machine for install.sh: only the named tools on PATH, an empty home, an ordinary user (`nobody` where the tests
 * run as root), a copy of the sources as a clone has them.
 */
import { chmod, chown, copyFile, mkdir, rm, symlink } from "node:fs/promises";
import { dirname } from "node:path";
import { createTmpDir } from "../support/tmp-dir.ts";

export const ROOT = new URL("../../", import.meta.url).pathname;

/** What POSIX and Debian's base system have, and nothing of ours: no Bun, no claude. */
export const BASE_TOOLS =
  "sh env cat chmod cmp cp cut dirname git grep gzip head id ln ls mkdir mktemp mv readlink rm rmdir sed sha256sum sha512sum sort tar tr uname which";
/** How this machine reaches the registry: proxies and certificate authorities. */
const NETWORK =
  /^((https?|all|no)_proxy|ssl_cert_.*|node_extra_ca_certs|curl_ca_bundle|npm_config_(registry|cafile))$/i;
const NOBODY = 65534;

export interface Machine extends AsyncDisposable {
  home: string;
  clone: string;
  /** TMPDIR, empty at first. */
  tmp: string;
  run(command: string[], extra?: Record<string, string>): Promise<{ exitCode: number; stdout: string; stderr: string }>;
  /** Puts an executable on PATH; its path. */
  addTool(name: string, script: string): Promise<string>;
}

interface MachineOptions {
  /** A tool that this machine lacks. */
  without?: string;
  /** `installer`: install.sh is all that is there; a whole clone by default. */
  sources?: "installer";
}

export async function createMachine(tools: string, options: MachineOptions = {}): Promise<Machine> {
  const directory = await createTmpDir("machine-");
  const [home, clone, bin, tmp] = ["home", "clone", "bin", "tmp"].map((name) => directory.join(name)) as [
    string,
    string,
    string,
    string,
  ];
  for (const made of [home, clone, bin, tmp]) await mkdir(made);
  for (const tool of `${BASE_TOOLS} ${tools}`.split(" ")) {
    const path = Bun.which(tool);
    if (path !== null && tool !== options.without) await symlink(path, `${bin}/${tool}`);
  }
  if (options.sources === "installer") await Bun.write(`${clone}/install.sh`, Bun.file(`${ROOT}install.sh`));
  else await copySources(clone);
  const asRoot = process.getuid?.() === 0;
  if (asRoot) {
    for (const made of [directory.path, home, clone, bin, tmp]) await chown(made, NOBODY, NOBODY);
    await chmod(directory.path, 0o755);
  }
  const prefix = asRoot
    ? [Bun.which("setpriv") ?? "setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"]
    : [];
  const network = Object.fromEntries(Object.entries(process.env).filter(([name]) => NETWORK.test(name)));
  return {
    home,
    clone,
    tmp,
    run: async (command, extra = {}) => {
      const child = Bun.spawn([...prefix, ...command], {
        cwd: clone,
        env: { ...network, PATH: bin, HOME: home, TMPDIR: tmp, LANG: "C.UTF-8", SHELL: "/bin/sh", ...extra },
        stdin: "ignore",
        stdout: "pipe",
        stderr: "pipe",
      });
      const [stdout, stderr, exitCode] = await Promise.all([
        new Response(child.stdout).text(),
        new Response(child.stderr).text(),
        child.exited,
      ]);
      return { exitCode, stdout, stderr };
    },
    addTool: async (name, script) => {
      await rm(`${bin}/${name}`, { force: true });
      await Bun.write(`${bin}/${name}`, script);
      await chmod(`${bin}/${name}`, 0o755);
      return `${bin}/${name}`;
    },
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
}

/** The files git knows or would add: what a clone of this state holds. */
export async function copySources(to: string): Promise<void> {
  const listed = Bun.spawnSync(["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
  if (listed.exitCode !== 0) throw new Error("git ls-files failed");
  for (const path of listed.stdout.toString().split("\0")) {
    if (path === "" || !(await Bun.file(ROOT + path).exists())) continue;
    await mkdir(dirname(`${to}/${path}`), { recursive: true });
    // With its mode: people run ./install.sh.
    await copyFile(ROOT + path, `${to}/${path}`);
  }
}
