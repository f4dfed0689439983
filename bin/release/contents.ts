/** What is in a tarball besides the binary, the same for every platform. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Entry } from "./archive.ts";
import { run } from "./run.ts";

const COMPLETION_TIMEOUT_MS = 30_000;

/** Where each shell looks for it, below one of its directories. */
export const COMPLETIONS = {
  bash: "completions/claude-code-daemon.bash",
  zsh: "completions/_claude-code-daemon",
  fish: "completions/claude-code-daemon.fish",
} as const;

const INSTALL_NOTE = `claude-code-daemon is one program, the file of that name beside this one.

It is best installed by install.sh, which comes with the release and also checks, proves, upgrades and uninstalls:

    sh install.sh --from DIRECTORY_OR_URL_OF_THE_RELEASE

By hand: put it where your programs are, and let it make itself a service of yours (systemd or launchd, no root):

    install -m 755 claude-code-daemon ~/.local/bin/
    ~/.local/bin/claude-code-daemon service install
    ~/.local/bin/claude-code-daemon doctor

It needs Claude Code: npm install --global @anthropic-ai/claude-code
The musl builds need libstdc++ and libgcc: apk add libstdc++ libgcc
`;

/** Paths relative to the tarball's top directory. `source` is a checkout with its dependencies installed. */
export async function commonContents(root: string, source: string): Promise<Entry[]> {
  const text = (path: string, bytes: Uint8Array): Entry => ({ path, bytes, executable: false });
  const entries = [
    text("INSTALL.txt", new TextEncoder().encode(INSTALL_NOTE)),
    text("LICENSE", readFileSync(join(root, "LICENSE"))),
    text("README.md", readFileSync(join(root, "README.md"))),
    text("prove.ts", readFileSync(join(root, "bin", "prove.ts"))),
  ];
  for (const [shell, path] of Object.entries(COMPLETIONS)) {
    const command = [process.execPath, "--no-env-file", join(source, "src", "main.ts"), "completion", shell];
    const script = await run(command, { cwd: source, timeoutMs: COMPLETION_TIMEOUT_MS });
    entries.push(text(path, new TextEncoder().encode(script)));
  }
  return entries;
}
