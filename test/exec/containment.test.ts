/** What hostile code tries, and that none of it works: nothing is read, written, reached, exhausted or left behind. */
import { expect } from "bun:test";
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { listProcesses } from "../support/processes.ts";
import { requires } from "../support/requires.ts";
import { createTmpDir } from "../support/tmp-dir.ts";
import { executorIn, requestOf, resultOf } from "./executor.ts";

const sandboxed = requires("linux", "bubblewrap");
const base = requestOf("sh", "").limits;

/** Living processes whose environment carries this run's mark. */
function marked(text: string): number[] {
  return listProcesses()
    .map(({ pid }) => pid)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, "latin1").includes(text);
      } catch {
        return false;
      }
    });
}

sandboxed("an infinite loop ends at its time, and the daemon answers meanwhile", async () => {
  await using directory = await createTmpDir();
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("alive") });
  let answers = 0;
  const limits = { ...base, timeoutMs: 700 };
  const run = resultOf(executorIn(directory.path).run(requestOf("javascript", "for (;;) {}", { limits })));
  let over = false;
  run.finally(() => {
    over = true;
  });
  while (!over) answers += (await fetch(server.url)).ok ? 1 : 0;
  await server.stop(true);
  expect(await run).toMatchObject({ limitHit: "time", signal: "SIGKILL", exitCode: null });
  expect(answers).toBeGreaterThan(10);
  expect(readdirSync(directory.join("exec"))).toEqual([]);
});

sandboxed("a fork bomb ends at the limit of processes and leaves none", async () => {
  await using directory = await createTmpDir();
  const marker: readonly [string, string] = ["CLAUDE_CODE_DAEMON_SESSION", crypto.randomUUID()];
  const code = "bomb() { bomb | bomb & }; bomb; sleep 20";
  let most = 0;
  const watch = setInterval(() => {
    most = Math.max(most, marked(marker[1]).length);
  }, 50);
  const limits = { ...base, timeoutMs: 2000 };
  const result = await resultOf(executorIn(directory.path, { marker }).run(requestOf("bash", code, { limits })));
  clearInterval(watch);
  // Fork fails at the limit, and the bomb starves until its time is up or the measure sees it.
  expect(result.limitHit).toMatch(/processes|time/);
  expect(most).toBeLessThan(base.processes + 8);
  expect(marked(marker[1])).toEqual([]);
});

sandboxed("a 10 GB allocation ends at the limit of memory", async () => {
  await using directory = await createTmpDir();
  const code = "blocks = []\nwhile True: blocks.append(bytearray(8 * 1024 * 1024))";
  const limits = { ...base, memoryBytes: 256 * 1024 * 1024 };
  expect(await resultOf(executorIn(directory.path).run(requestOf("python", code, { limits })))).toMatchObject({
    limitHit: "memory",
    exitCode: null,
  });
});

sandboxed("private file systems in memory are bounded", async () => {
  await using directory = await createTmpDir();
  const code =
    "for place in /tmp /dev/shm /dev / /run; do head -c 200M /dev/zero > $place/big 2>/dev/null && echo filled $place; done; true";
  const limits = { ...base, fileBytes: 1024 * 1024 * 1024 };
  expect((await resultOf(executorIn(directory.path).run(requestOf("sh", code, { limits })))).stdout).toBe("");
});

sandboxed("a file over the size limit is cut off", async () => {
  await using directory = await createTmpDir();
  const limits = { ...base, fileBytes: 1024 * 1024 };
  const result = await resultOf(
    executorIn(directory.path).run(requestOf("sh", "head -c 5M /dev/zero > big; wc -c < big", { limits })),
  );
  expect(Number(result.stdout)).toBe(1024 * 1024);
});

sandboxed("an output flood is dropped, then ended", async () => {
  await using directory = await createTmpDir();
  const limits = { ...base, outputBytes: 4096 };
  const result = await resultOf(executorIn(directory.path).run(requestOf("sh", "yes", { limits })));
  expect(result).toMatchObject({ limitHit: "output", stdoutTruncated: true });
  expect(result.stdout.length).toBe(4096);
});

sandboxed("a child that leaves its session ends with the run", async () => {
  await using directory = await createTmpDir();
  const marker: readonly [string, string] = ["CLAUDE_CODE_DAEMON_SESSION", crypto.randomUUID()];
  const code = "setsid sh -c 'trap \"\" TERM HUP; sleep 1000' >/dev/null 2>&1 & (setsid sleep 1000 &) ; echo done";
  const result = await resultOf(executorIn(directory.path, { marker }).run(requestOf("bash", code)));
  expect(result.stdout).toBe("done\n");
  expect(marked(marker[1])).toEqual([]);
});

sandboxed("a reader that leaves ends the run", async () => {
  await using directory = await createTmpDir();
  const marker: readonly [string, string] = ["CLAUDE_CODE_DAEMON_SESSION", crypto.randomUUID()];
  for await (const event of executorIn(directory.path, { marker }).run(requestOf("sh", "echo up; sleep 1000"))) {
    if (event.type === "stdout") break;
  }
  expect(marked(marker[1])).toEqual([]);
  expect(readdirSync(directory.join("exec"))).toEqual([]);
});

sandboxed("an abort ends the run", async () => {
  await using directory = await createTmpDir();
  const abort = new AbortController();
  const run = executorIn(directory.path).run(requestOf("sh", "echo up; sleep 1000", { signal: abort.signal }));
  for await (const event of run) {
    if (event.type === "stdout") abort.abort();
    if (event.type === "end") expect(event.result.signal).toBe("SIGKILL");
  }
});

sandboxed("home, keys, the daemon's state and other users' files cannot be read", async () => {
  await using directory = await createTmpDir();
  await using workspace = await createTmpDir();
  mkdirSync(workspace.join(".ssh"));
  await Bun.write(workspace.join(".ssh/id_rsa"), "PRIVATE KEY");
  await Bun.write(workspace.join(".netrc"), "PRIVATE TOKEN");
  await Bun.write(directory.join("state.db"), "PRIVATE STATE");
  symlinkSync(directory.join("state.db"), workspace.join("link"));
  const secrets = [workspace.join(".ssh"), workspace.join(".netrc"), directory.path];
  const code = `for path in .ssh/id_rsa .netrc link ${directory.join("state.db")} /etc/shadow /etc/passwd /root /home/* /var /proc/1/environ /proc/1/root/etc/shadow /proc/self/cwd/../state.db /run/user; do
    cat "$path" 2>/dev/null | grep -a -E "PRIVATE|root:" && echo "read $path"; ls "$path" >/dev/null 2>&1 && [ -d "$path" ] && [ -n "$(ls -A "$path")" ] && echo "listed $path"; done; true`;
  const run = executorIn(directory.path, { secrets }).run(requestOf("bash", code, { workspace: workspace.path }));
  expect((await resultOf(run)).stdout).toBe("");
});

sandboxed("nothing of the daemon's environment or of the user's sockets is inside", async () => {
  await using directory = await createTmpDir();
  process.env.SECRET_FOR_THIS_TEST = "leaked";
  const result = await resultOf(
    executorIn(directory.path).run(requestOf("sh", "env; ls /run /tmp /var/run 2>/dev/null")),
  );
  delete process.env.SECRET_FOR_THIS_TEST;
  expect(result.stdout).not.toContain("leaked");
  expect(result.stdout).not.toMatch(/sock|SSH_|ANTHROPIC|dbus/i);
});

sandboxed("writes outside the working directory fail, through links too", async () => {
  await using directory = await createTmpDir();
  await using workspace = await createTmpDir();
  await using other = await createTmpDir();
  symlinkSync(other.path, workspace.join("out"));
  const code = `for path in out/x ${other.path}/x /etc/x /usr/x /usr/bin/x /x /home/x /var/x /proc/sys/kernel/core_pattern; do (: >> $path) 2>/dev/null && echo "wrote $path"; done; true`;
  const run = executorIn(directory.path).run(requestOf("sh", code, { workspace: workspace.path }));
  expect((await resultOf(run)).stdout).toBe("");
  expect(readdirSync(other.path)).toEqual([]);
});

sandboxed("loopback and beyond cannot be reached", async () => {
  await using directory = await createTmpDir();
  let reached = 0;
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch() {
      reached++;
      return new Response("secret");
    },
  });
  const code = `const results = await Promise.allSettled(["${server.url}", "http://192.0.2.1:81/"].map((url) => fetch(url, { signal: AbortSignal.timeout(3000) })));
    console.log(results.map(({ status }) => status).join());`;
  const result = await resultOf(executorIn(directory.path).run(requestOf("javascript", code)));
  await server.stop(true);
  expect(result.stdout).toBe("rejected,rejected\n");
  expect(reached).toBe(0);
});

sandboxed("other processes are neither seen nor touched, and no new namespaces can be made", async () => {
  await using directory = await createTmpDir();
  const code = `ls -d /proc/[0-9]* | wc -l; kill -9 ${process.pid} 2>/dev/null && echo killed; unshare -Ur true 2>/dev/null && echo nested; true`;
  const result = await resultOf(executorIn(directory.path).run(requestOf("sh", code)));
  expect(result.stdout.trim().split("\n")).toHaveLength(1);
  expect(Number(result.stdout)).toBeLessThan(8);
});

sandboxed("settings that others would execute cannot be changed or planted", async () => {
  await using directory = await createTmpDir();
  await using workspace = await createTmpDir();
  mkdirSync(workspace.join(".git/hooks"), { recursive: true });
  await Bun.write(workspace.join(".git/config"), "[core]\n");
  symlinkSync("elsewhere.json", workspace.join(".mcp.json"));
  const code = `echo evil > .git/hooks/pre-commit; echo evil >> .git/config; mv .git moved; mkdir -p .claude; echo evil > .claude/settings.json; rm -f .mcp.json; echo evil > .mcp.json; echo fine > ok.txt`;
  const run = executorIn(directory.path).run(requestOf("sh", code, { workspace: workspace.path }));
  expect((await resultOf(run)).blockedPaths).toEqual([".claude", ".mcp.json"]);
  expect(readdirSync(workspace.join(".git/hooks"))).toEqual([]);
  expect(readFileSync(workspace.join(".git/config"), "utf8")).toBe("[core]\n");
  expect(existsSync(workspace.join(".claude"))).toBe(false);
  expect(lstatSync(workspace.join(".mcp.json")).isSymbolicLink()).toBe(true);
  expect(readFileSync(workspace.join("ok.txt"), "utf8")).toBe("fine\n");
});

sandboxed("directories without permissions do not stay behind", async () => {
  await using directory = await createTmpDir();
  await resultOf(executorIn(directory.path).run(requestOf("sh", "mkdir -p a/b; touch a/b/c; chmod 000 a/b a")));
  expect(readdirSync(directory.join("exec"))).toEqual([]);
});
