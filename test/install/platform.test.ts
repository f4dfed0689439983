/** Which of a release's platforms install.sh takes a machine for, from what `uname`, `ldd` and the processor say. */
import { describe, expect, test } from "bun:test";
import { createMachine } from "./machine.ts";

describe("which of a release's platforms a machine is", () => {
  const GLIBC = "#!/bin/sh\necho 'ldd (Debian GLIBC 2.36-9+deb12u13) 2.36'\n";
  const MUSL = "#!/bin/sh\necho 'musl libc (x86_64)' >&2\nexit 1\n";
  const AVX2 = "flags : sse4_2 avx avx2";
  const OLD = "flags : sse4_2 avx";
  const cases: [expected: string, os: string, cpu: string, ldd: string, cpuinfo: string, sysctl: string][] = [
    ["linux-x64", "Linux", "x86_64", GLIBC, AVX2, ""],
    ["linux-x64-baseline", "Linux", "x86_64", GLIBC, OLD, ""],
    ["linux-arm64", "Linux", "aarch64", GLIBC, "Features : fp asimd", ""],
    ["linux-x64-musl", "Linux", "x86_64", MUSL, AVX2, ""],
    ["linux-x64-musl-baseline", "Linux", "amd64", MUSL, OLD, ""],
    ["linux-arm64-musl", "Linux", "aarch64", MUSL, "Features : fp asimd", ""],
    ["macos-arm64", "Darwin", "arm64", GLIBC, "", "sysctl.proc_translated=0"],
    ["macos-arm64", "Darwin", "x86_64", GLIBC, "", "sysctl.proc_translated=1"],
    ["macos-x64", "Darwin", "x86_64", GLIBC, "", "hw.optional.avx2_0=1"],
    ["macos-x64-baseline", "Darwin", "x86_64", GLIBC, "", "hw.optional.avx2_0=0"],
  ];

  test.each(cases)("%s: %s on %s", async (expected, os, cpu, ldd, cpuinfo, sysctl) => {
    await using machine = await createMachine("", { without: "grep", sources: "installer" });
    await machine.addTool("uname", `#!/bin/sh\ncase $1 in -s) echo ${os} ;; -m) echo ${cpu} ;; esac\n`);
    await machine.addTool("ldd", ldd);
    const [name, value] = sysctl.split("=");
    await machine.addTool("sysctl", `#!/bin/sh\n[ "$2" = "${name}" ] || exit 1\necho ${value}\n`);
    // Of /proc/cpuinfo only what grep says of it is seen.
    const grep = Bun.which("grep");
    await machine.addTool(
      "grep",
      `#!/bin/sh\ncase $* in *" /proc/cpuinfo") echo '${cpuinfo}' | ${grep} "$1" "$2" ;; *) exec ${grep} "$@" ;; esac\n`,
    );
    const result = await machine.run(["/bin/sh", "install.sh", "--print-target"]);
    expect(result).toEqual({ exitCode: 0, stdout: `${expected}\n`, stderr: "" });
  });

  test("neither another system nor another processor is taken for one of them", async () => {
    await using machine = await createMachine("", { without: "uname", sources: "installer" });
    for (const [os, cpu, because] of [
      ["FreeBSD", "amd64", "no support for FreeBSD"],
      ["Linux", "riscv64", "the processor riscv64"],
      ["MINGW64_NT-10.0", "x86_64", "on Windows use WSL"],
    ]) {
      await machine.addTool("uname", `#!/bin/sh\ncase $1 in -s) echo ${os} ;; -m) echo ${cpu} ;; esac\n`);
      const result = await machine.run(["/bin/sh", "install.sh", "--print-target"]);
      expect(result).toMatchObject({ exitCode: 1, stdout: "", stderr: expect.stringContaining(because ?? "") });
    }
  });

  test("where it is recognised wrongly, it can be said", async () => {
    await using machine = await createMachine("", { sources: "installer" });
    const result = await machine.run(["/bin/sh", "install.sh", "--print-target"], {
      CLAUDE_CODE_DAEMON_TARGET: "linux-arm64-musl",
    });
    expect(result.stdout).toBe("linux-arm64-musl\n");
  });
});
