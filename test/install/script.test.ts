/** What install.sh does before it builds anything: arguments, downloads and their checksums, truncation. */
import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { dirname } from "node:path";
import { missing, requires } from "../support/requires.ts";
import { createMachine, ROOT } from "./machine.ts";

const SHELLS: Record<string, { command: string[]; missing: string | undefined }> = {
  sh: { command: ["/bin/sh"], missing: undefined },
  dash: { command: [Bun.which("dash") ?? "dash"], missing: missing("dash") },
  "busybox ash": { command: [Bun.which("busybox") ?? "busybox", "ash"], missing: missing("busybox") },
};

describe.each(Object.keys(SHELLS))("under %s", (shell) => {
  const command = SHELLS[shell]?.command ?? [];
  const check = shell === "busybox ash" ? requires("busybox") : shell === "dash" ? requires("dash") : test;

  check("--help explains itself, on stdout", async () => {
    await using machine = await createMachine("", { sources: "installer" });
    const result = await machine.run([...command, "install.sh", "--help"]);
    expect(result.exitCode).toBe(0);
    expect(result.stdout).toContain("--uninstall");
    expect(result.stderr).toBe("");
  });

  check("an argument it does not know is refused, and nothing is installed", async () => {
    await using machine = await createMachine("", { sources: "installer" });
    const result = await machine.run([...command, "install.sh", "--no-such-thing"]);
    expect(result.exitCode).toBe(64);
    expect(result.stderr).toContain("unknown argument: --no-such-thing");
    expect(readdirSync(machine.home)).toEqual([]);
  });

  check("a home that is missing or relative is refused", async () => {
    await using machine = await createMachine("", { sources: "installer" });
    for (const HOME of ["", "relative"]) {
      const result = await machine.run([...command, "install.sh", "--print-bun"], { HOME });
      expect(result.exitCode).toBe(1);
      expect(result.stderr).toContain("HOME");
    }
  });

  check("without anything to download with it says so", async () => {
    await using machine = await createMachine("", { sources: "installer" });
    const result = await machine.run([...command, "install.sh", "--print-bun"]);
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toContain("Neither npm, curl nor wget is here");
  });
});

test("a package whose checksum is not the pinned one is not used", async () => {
  await using machine = await createMachine("", { sources: "installer" });
  // An npm whose registry serves another file under the right name.
  await machine.addTool("npm", '#!/bin/sh\necho evil > "oven-bun-1.4.5.tgz"\n');
  const result = await machine.run(["/bin/sh", "install.sh", "--print-bun"]);
  expect(result.exitCode).toBe(1);
  expect(result.stderr).toContain("not the pinned");
  expect(result.stdout).toBe("");
  expect(readdirSync(machine.home)).toEqual([]);
});

test("without a tool for checksums nothing is used, and it says which one to install", async () => {
  await using machine = await createMachine("", { without: "sha512sum", sources: "installer" });
  await machine.addTool("npm", '#!/bin/sh\necho evil > "oven-bun-1.4.5.tgz"\n');
  const result = await machine.run(["/bin/sh", "install.sh", "--print-bun"]);
  expect(result.exitCode).toBe(1);
  expect(result.stderr).toContain("install one of them");
  expect(result.stderr).not.toContain("not the pinned");
  expect(readdirSync(machine.home)).toEqual([]);
});

test("a Bun of another version is passed over; one that was named is refused", async () => {
  await using machine = await createMachine("", { sources: "installer" });
  await machine.addTool("bun", "#!/bin/sh\necho 1.0.0\n");
  const passedOver = await machine.run(["/bin/sh", "install.sh", "--print-bun"]);
  expect(passedOver.stderr).toContain("Fetching Bun 1.4.5");
  const refused = await machine.run(["/bin/sh", "install.sh", "--print-bun"], { CLAUDE_CODE_DAEMON_BUN: "/bin/false" });
  expect(refused.exitCode).toBe(1);
  expect(refused.stderr).toContain("CLAUDE_CODE_DAEMON_BUN=/bin/false is not Bun 1.4.5");
});

test("a Bun of the right version is used as it is", async () => {
  await using machine = await createMachine("", { sources: "installer" });
  const bun = await machine.addTool("bun", "#!/bin/sh\necho 1.4.5\n");
  const result = await machine.run(["/bin/sh", "install.sh", "--print-bun"]);
  expect(result).toEqual({ exitCode: 0, stdout: `${bun}\n`, stderr: "" });
});

test("a truncated copy does nothing, wherever it was cut", async () => {
  await using machine = await createMachine("", { sources: "installer" });
  const script = await Bun.file(`${ROOT}install.sh`).text();
  // Every cut near the end, where the call stands, after every line, and a spread over the rest.
  const cuts = new Set(Array.from({ length: 30 }, (_, index) => script.trimEnd().length - 1 - index));
  for (const { index } of script.slice(0, -40).matchAll(/\n/g)) cuts.add(index + 1);
  for (let length = 0; length < script.length - 40; length += 397) cuts.add(length);
  for (const length of cuts) {
    await Bun.write(`${machine.clone}/truncated.sh`, script.slice(0, length));
    const result = await machine.run(["/bin/sh", "truncated.sh"]);
    expect({ length, stdout: result.stdout, stderr: result.stderr.replaceAll(/^truncated\.sh.*\n?/gm, "") }).toEqual({
      length,
      stdout: "",
      stderr: "",
    });
  }
  expect(readdirSync(machine.home)).toEqual([]);
});

requires("shellcheck")("shellcheck has nothing to say", () => {
  const result = Bun.spawnSync(["shellcheck", "--shell=sh", `${ROOT}install.sh`]);
  expect(result.stdout.toString()).toBe("");
});

test("--uninstall stops the service through the binary; without one, or without a manager, it removes the files", async () => {
  await using machine = await createMachine("", { sources: "installer" });
  const unit = `${machine.home}/.config/systemd/user/claude-code-daemon.service`;
  const target = `${machine.home}/.local/bin/claude-code-daemon`;
  // By the user's own hand, so that the user may remove it.
  const plant = async (path: string, text: string) => {
    await machine.run(["mkdir", "-p", dirname(path)]);
    await machine.run(["/bin/sh", "-c", 'printf "%s" "$2" >"$1" && chmod 755 "$1"', "plant", path, text]);
  };
  const uninstall = () => machine.run(["/bin/sh", "install.sh", "--uninstall"]);

  await plant(unit, "");
  expect(await uninstall()).toMatchObject({ exitCode: 0, stderr: expect.stringContaining(`Removed ${unit}.`) });
  expect(existsSync(unit)).toBe(false);

  for (const code of [0, 69] as const) {
    await plant(unit, "");
    await plant(target, `#!/bin/sh\necho "called: $*"\nexit ${code}\n`);
    const result = await uninstall();
    expect(result).toMatchObject({ exitCode: 0, stderr: expect.stringContaining("called: service uninstall") });
    expect(existsSync(target)).toBe(false);
    // Removing it is the command's own work, where the command can.
    expect(existsSync(unit)).toBe(code === 0);
  }

  await plant(target, "#!/bin/sh\necho called\n");
  expect((await uninstall()).stderr).not.toContain("called");
});
