/**
 * A whole computer for a test: machine.sh with Debian's files, the sources of this clone, and ways out to the npm registry
 * and to a scripted model API. Its user alice logs in by ssh, as people do.
 */
import { chmod, cp, mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { copySources } from "../../install/machine.ts";
import { type AnthropicApi, startAnthropicApi } from "../../support/anthropic-api.ts";
import { createTmpDir } from "../../support/tmp-dir.ts";
import { debianRootfs } from "./rootfs.ts";
import { openProxy, openRelay } from "./way-out.ts";

const HERE = fileURLToPath(new URL("./", import.meta.url));
const CA_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt";
const REGISTRY = "registry.npmjs.org";
/** Far beyond what any of it takes. */
const MAX_WAIT_MS = 30_000;
const POLL_MS = 100;
const SSH = ["ssh", "-q", "-o", "BatchMode=yes", "-o", "HostKeyAlias=machine", "-o", "ControlMaster=no"];

export interface Result {
  exitCode: number;
  stdout: string;
  stderr: string;
}

/** A login of alice that lasts. */
export interface Login extends AsyncDisposable {
  /** As if she typed it; with a terminal only. */
  type(text: string): void;
  /** What came back so far. */
  output(): string;
  /** Settles when this has come back. */
  shown(text: string | RegExp): Promise<void>;
  exited: Promise<number>;
}

export interface Computer extends AsyncDisposable {
  /** The model API, on port 9999 of the machine. */
  readonly api: AnthropicApi;
  /** Hosts that somebody in the machine wanted to reach, beside the registry. */
  readonly refused: string[];
  /** A shell command as root; throws nothing. */
  root(command: string): Promise<Result>;
  /** Logs alice in, runs a command and logs her out. */
  alice(command: string): Promise<Result>;
  /** What it prints, trimmed; throws unless it exits with 0. */
  said(command: string): Promise<string>;
  login(command?: string, options?: { terminal?: boolean }): Login;
  /** Settles when the shell command exits with 0 for root. */
  until(command: string): Promise<void>;
  /** Settles when the machine is up again. */
  reboot(): Promise<void>;
}

async function read(child: Bun.Subprocess<"ignore" | "pipe", "pipe", "pipe">): Promise<Result> {
  const [stdout, stderr, exitCode] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { exitCode, stdout, stderr };
}

/** Boots it; a minute at most where Debian's files have to be fetched first. Switched off with its scope. */
export async function bootComputer(): Promise<Computer> {
  const rootfs = debianRootfs();
  const stack = new AsyncDisposableStack();
  const shared = await createTmpDir("machine-");
  stack.use(shared);
  await mkdir(shared.join("sources"));
  await copySources(shared.join("sources"));
  await cp(`${HERE}provision.sh`, shared.join("provision.sh"));
  await cp(CA_CERTIFICATES, shared.join("ca-certificates.crt"));
  const api = stack.use(startAnthropicApi());
  const proxy = stack.use(await openProxy(shared.join("proxy.sock"), [REGISTRY]));
  stack.use(await openRelay(shared.join("api.sock"), api.port));
  for (const socket of ["proxy.sock", "api.sock"]) await chmod(shared.join(socket), 0o666);
  await chmod(shared.path, 0o755);

  const computer = Bun.spawn(["sh", `${HERE}machine.sh`, rootfs, shared.path], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
  });
  const said = computer.stderr.text();
  stack.defer(async () => {
    computer.stdin.end();
    await computer.exited;
  });
  let boots = 0;
  let init = Promise.withResolvers<number>();
  void (async () => {
    const decoder = new TextDecoder();
    for await (const bytes of computer.stdout) {
      for (const [, pid] of decoder.decode(bytes, { stream: true }).matchAll(/^init=(\d+)$/gm)) {
        boots += 1;
        init.resolve(Number(pid));
      }
    }
    init.reject(new Error(`the machine went off after ${boots} boots: ${await said}`));
  })();
  init.promise.catch(() => undefined);

  const inside = async (command: string[]) => [
    ...["nsenter", `--target=${await init.promise}`, "--mount", "--pid", "--net", "--ipc", "--uts", "--cgroup"],
    ...["--root", "--wd", "env", "-i", "HOME=/root", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"],
    ...command,
  ];
  const run = async (command: string[]) =>
    read(Bun.spawn(await inside(command), { stdin: "ignore", stdout: "pipe", stderr: "pipe" }));
  const root = (command: string) => run(["sh", "-c", command]);
  const alice = (command: string) => run([...SSH, "alice@127.0.0.1", command]);
  const until = async (command: string) => {
    const deadline = performance.now() + MAX_WAIT_MS;
    for (;;) {
      const { exitCode, stdout, stderr } = await root(command);
      if (exitCode === 0) return;
      if (performance.now() > deadline) throw new Error(`never came true: ${command}\n${stdout}${stderr}`);
      await Bun.sleep(POLL_MS);
    }
  };
  const up = () => until("systemctl is-active -q multi-user.target");

  const login: Computer["login"] = (command = "cat", { terminal = false } = {}) => {
    let output = "";
    const watchers = new Set<() => void>();
    const typed: string[] = [];
    let started: Bun.Subprocess<"pipe", "pipe", "pipe"> | undefined;
    const ended = Promise.withResolvers<number>();
    void (async () => {
      const words = [...SSH, ...(terminal ? ["-tt"] : []), "alice@127.0.0.1", command];
      started = Bun.spawn(await inside(words), { stdin: "pipe", stdout: "pipe", stderr: "pipe" });
      for (const text of typed) started.stdin.write(text);
      const decoder = new TextDecoder();
      for await (const bytes of started.stdout) {
        output += decoder.decode(bytes, { stream: true });
        for (const check of [...watchers]) check();
      }
      ended.resolve(await started.exited);
    })();
    return {
      exited: ended.promise,
      output: () => output,
      type: (text) => {
        if (started === undefined) typed.push(text);
        else {
          started.stdin.write(text);
          void started.stdin.flush();
        }
      },
      shown: async (text) => {
        const { promise, resolve, reject } = Promise.withResolvers<void>();
        const check = () => (typeof text === "string" ? output.includes(text) : text.test(output)) && resolve();
        const timer = setTimeout(() => reject(new Error(`never shown: ${text}\n${output}`)), MAX_WAIT_MS);
        watchers.add(check);
        check();
        await promise.finally(() => {
          clearTimeout(timer);
          watchers.delete(check);
        });
      },
      [Symbol.asyncDispose]: async () => {
        started?.kill();
        await ended.promise;
      },
    };
  };

  try {
    await up();
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
  return {
    api,
    refused: proxy.refused,
    root,
    alice,
    said: async (command) => {
      const { exitCode, stdout, stderr } = await alice(command);
      if (exitCode !== 0) throw new Error(`${command}: exit code ${exitCode}\n${stdout}${stderr}`);
      return stdout.trim();
    },
    login,
    until,
    reboot: async () => {
      const before = init;
      init = Promise.withResolvers();
      init.promise.catch(() => undefined);
      const words = [
        "nsenter",
        `--target=${await before.promise}`,
        "--mount",
        "--pid",
        "--root",
        "--wd",
        "systemctl",
        "reboot",
      ];
      Bun.spawnSync(words, { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
      await up();
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
