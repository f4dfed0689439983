/** The whole path with the real CLI: its tools, its hook callbacks, and what is told at the end. */
import { expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { drive } from "../claude/harness.ts";
import { startAnthropicApi } from "../support/anthropic-api.ts";
import { text, toolCall } from "../support/api-reply.ts";
import { createPlace, git, newTurnId, readTree, write } from "./tree.ts";

test("a tool waits for the before-state, and what Write, Edit and Bash did is told and taken back", async () => {
  await using api = startAnthropicApi();
  await using place = await createPlace();
  const { workspace } = place;
  git(workspace, "init", "-q", ".");
  write(workspace, ".gitignore", "*.env\n");
  write(workspace, "edited.txt", "one\ntwo\n");
  write(workspace, "local.env", "KEY=old\n");
  git(workspace, "add", "-A");
  git(workspace, "commit", "-q", "-m", "initial");
  const before = readTree(workspace);

  const launch = { kind: "agent" as const, cwd: workspace, permissionMode: "bypassPermissions" as const };
  await using driven = await drive({ apiUrl: api.url, launch, environment: { IS_SANDBOX: "1" } });
  const { claude, seen } = driven;
  const turn = place.changes.begin({ turnId: newTurnId(), workspace });
  const gate = Promise.withResolvers<void>();
  const tools: string[] = [];
  claude.listen({
    ...seen,
    async beforeEdit(tool, input) {
      tools.push(tool);
      // The before-state is late: as long as it is, the CLI must not run the tool.
      if (tool === "Bash") {
        seen.edits.push({ tool, input });
        seen.message({ type: "keep_alive" } as never);
        await gate.promise;
      }
      await turn.beforeEdit(tool, input);
    },
  });
  api.script(
    toolCall("Bash", { command: "echo made > by-bash.txt; rm edited.txt; echo 'one\ntwo' > edited.txt; echo $PWD" }),
    toolCall("Read", { file_path: `${workspace}/edited.txt` }),
    toolCall("Edit", { file_path: `${workspace}/edited.txt`, old_string: "two", new_string: "2" }),
    toolCall("Write", { file_path: `${workspace}/new.env`, content: "KEY=new\n" }),
    text("done"),
  );
  await claude.initialize({ hookEdits: true });
  await claude.prompt([{ type: "text", text: "work" }], { verbatim: true });
  await seen.until("Bash", () => seen.edits.length === 1);
  expect([...readTree(workspace)]).toEqual([...before]);
  gate.resolve();
  await seen.result();
  expect(tools).toEqual(["Bash", "Read", "Edit", "Write"]);
  const files = await turn.changes();
  expect(files?.map(({ status, path, ignored }) => `${status} ${path}${ignored ? " (ignored)" : ""}`)).toEqual([
    "added by-bash.txt",
    "modified edited.txt",
    "added new.env (ignored)",
  ]);
  expect(files?.[1]?.diff).toContain("-two\n+2\n");
  writeFileSync(`${workspace}/local.env`, "KEY=mine\n");
  if (!turn.record) throw new Error("no record");
  expect(await place.changes.undo(turn.record, { undoId: newTurnId() })).toMatchObject({
    applied: true,
    conflicts: [],
  });
  const expected = new Map([...before, ["local.env", "- KEY=mine\n"]]);
  expect([...readTree(workspace)].sort()).toEqual([...expected].sort());
  expect(readFileSync(`${workspace}/edited.txt`, "utf8")).toBe("one\ntwo\n");
  turn.close();
}, 120_000);
