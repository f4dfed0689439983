/**
 * Releases of scripts that stand for the program, and a host on loopback that serves them: what install.sh makes of a
 * program that fails in a certain way can be seen without building one that does.
 */
import { chmodSync } from "node:fs";
import { createTarball } from "../../bin/release/archive.ts";
import { createTmpDir } from "../support/tmp-dir.ts";

const TIME_SECONDS = 1_700_000_000;

export interface FakeRelease extends AsyncDisposable {
  directory: string;
  url: string;
  /** Adds a version; `program` is a shell script's body, after the answer to `--version`. */
  add(version: string, program?: string, target?: string): Promise<void>;
  /** Of the requests so far. */
  requests: string[];
  write(name: string, text: string | Uint8Array): Promise<void>;
  read(name: string): Promise<string>;
}

/** Does all that is asked of it; as Bun (for the proof) it answers too. */
export const GOOD = `
[ "\${BUN_BE_BUN:-}" != 1 ] || { echo "It works." >&2; exit 0; }
case "$1 $2" in
  "completion bash" | "completion zsh" | "completion fish") echo "completes for $2" ;;
  "service install") echo "There is no service manager here." >&2; exit 69 ;;
esac`;

export async function createFakeRelease(): Promise<FakeRelease> {
  const directory = await createTmpDir("fake-release-");
  chmodSync(directory.path, 0o755);
  const requests: string[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => {
      const { pathname } = new URL(request.url);
      requests.push(pathname);
      const file = Bun.file(directory.join(pathname.slice(1)));
      return (await file.exists()) ? new Response(file) : new Response("no such file", { status: 404 });
    },
  });
  const write = async (name: string, text: string | Uint8Array) => {
    await Bun.write(directory.join(name), text);
    chmodSync(directory.join(name), 0o644);
  };
  const read = async (name: string) => {
    const file = Bun.file(directory.join(name));
    return (await file.exists()) ? file.text() : "";
  };
  return {
    directory: directory.path,
    url: `http://127.0.0.1:${server.port}`,
    requests,
    write,
    read,
    add: async (version, program = GOOD, target = "linux-x64") => {
      const script = `#!/bin/sh\nif [ "$1" = --version ]; then echo ${version}; exit; fi\n${program}\n`;
      const name = `claude-code-daemon-${version}-${target}`;
      const file = (path: string, text: string) => ({ path: `${name}/${path}`, bytes: Buffer.from(text) });
      const prove = await Bun.file(new URL("../../bin/prove.ts", import.meta.url)).text();
      const tarball = createTarball(
        [
          { ...file("claude-code-daemon", script), executable: true },
          { ...file("prove.ts", prove), executable: false },
        ],
        TIME_SECONDS,
      );
      await write(`${name}.tar.gz`, tarball);
      const sum = new Bun.CryptoHasher("sha256").update(tarball).digest("hex");
      await write("SHA256SUMS", `${await read("SHA256SUMS")}${sum}  ${name}.tar.gz\n`);
    },
    [Symbol.asyncDispose]: async () => {
      await server.stop(true);
      await directory[Symbol.asyncDispose]();
    },
  };
}
