/** Random trees and random work in them: what is told equals a full comparison, and undo brings every byte back. */
import { expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import fc from "fast-check";
import { toRaw } from "../../src/workspace/paths.ts";
import { rawPathOf } from "../../src/workspace/restore.ts";
import { bytes, createPlace, git, linkTo, newTurnId, readTree, write } from "./tree.ts";

const directories = ["", "a/", "a/b/", "c/", "build/", toRaw("ü/")];
const names = ["x", "y.txt", "-dash", "new\nline", toRaw("ünï"), "no-utf8-\xff", "t.log", 'quo"te', ":colon", " blank"];
const path = fc.tuple(fc.constantFrom(...directories), fc.constantFrom(...names)).map((parts) => parts.join(""));
const rules = fc.constantFrom("*.log\n", "build/\n", "x\n!x\n", "/a\n", "*\n!.gitignore\n!*.txt\n", "");
const content = fc.constantFrom("", "one\n", "two\n", "one\ntwo\nthree\nfour\n", "\0binary", "caf\xe9\r\n", "no end");

type Action =
  | { kind: "write"; path: string; content: string }
  | { kind: "rules"; directory: string; content: string }
  | { kind: "delete" | "chmod" | "sneak" | "toDirectory"; path: string }
  | { kind: "rename"; path: string; to: string }
  | { kind: "link"; path: string; to: string }
  | { kind: "wipe" | "directoryLink"; directory: string };

const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("write" as const), path, content }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("rules" as const),
      directory: fc.constantFrom(...directories),
      content: rules,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom("delete" as const, "chmod" as const, "sneak" as const, "toDirectory" as const),
      path,
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("rename" as const), path, to: path }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("link" as const),
      path,
      // Out of the workspace, but to nothing that a step could change.
      to: fc.constantFrom("x", "../../nowhere", "/nowhere/at/all", "\xff"),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom("wipe" as const, "directoryLink" as const),
      directory: fc.constantFrom("a", "a/b", "c", "build"),
    }),
  },
);

/** Does it if it can be done; a shell command may fail, too. */
function act(root: string, step: Action): unknown {
  const at = (path: string) => bytes(`${root}/${path}`);
  try {
    switch (step.kind) {
      case "write":
        return write(root, step.path, step.content);
      case "rules":
        return write(root, `${step.directory}.gitignore`, step.content);
      case "delete":
        return rmSync(at(step.path));
      case "chmod": {
        // Through a link this would change the machine.
        const before = lstatSync(at(step.path));
        return before.isFile() ? chmodSync(at(step.path), before.mode ^ 0o111) : undefined;
      }
      case "sneak": {
        // The same size, and the time put back: only the inode's own change time tells.
        const before = lstatSync(at(step.path));
        if (!before.isFile()) return;
        const old = readFileSync(at(step.path));
        writeFileSync(
          at(step.path),
          old.map((byte) => (byte === 0x6f ? 0x30 : byte)),
        );
        return utimesSync(at(step.path), before.atime, before.mtime);
      }
      case "toDirectory":
        rmSync(at(step.path));
        return write(root, `${step.path}/inside`, "inside\n");
      case "rename":
        mkdirSync(bytes(dirname(`${root}/${step.to}`)), { recursive: true });
        return renameSync(at(step.path), at(step.to));
      case "link":
        return linkTo(root, step.path, step.to);
      case "wipe":
        return rmSync(at(step.directory), { recursive: true });
      case "directoryLink":
        rmSync(at(step.directory), { recursive: true });
        return linkTo(root, step.directory, "elsewhere");
    }
  } catch {
    // Nothing there, or something in the way.
    return undefined;
  }
}

const KINDS = ["plain", "repository", "dirty repository", "below a repository"] as const;

/** What git shows of the workspace: tracked or not ignored. */
function visible(workspace: string, top: string, scratch: string): Set<string> {
  const rest = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "."];
  const flags = existsSync(`${top}/.git`) ? [] : ["--git-dir", scratch, "--work-tree", workspace];
  return new Set(
    git(workspace, ...flags, ...rest)
      .toString("latin1")
      .split("\0")
      .slice(0, -1),
  );
}

/** Everything of the user's git directory, times included. */
function gitState(top: string): string[] {
  const lines: string[] = [];
  const walk = (at: string) => {
    for (const name of readdirSync(at).sort()) {
      const path = `${at}/${name}`;
      const found = lstatSync(path, { bigint: true });
      lines.push(`${path} ${found.size} ${found.mtimeNs} ${found.ctimeNs} ${found.ino}`);
      if (found.isDirectory()) walk(path);
    }
  };
  if (existsSync(`${top}/.git`)) walk(`${top}/.git`);
  return lines;
}

test("whatever is done to whatever tree, the list is what really changed, and undo and its undo restore every byte", async () => {
  await using place = await createPlace();
  const scratch = place.directory.join("scratch");
  mkdirSync(scratch);
  git(scratch, "init", "--bare", "-q", ".");
  let run = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...KINDS),
      fc.array(action, { minLength: 3, maxLength: 14 }),
      fc.array(action, { maxLength: 4 }),
      fc.array(fc.array(action, { minLength: 1, maxLength: 10 }), { minLength: 1, maxLength: 2 }),
      async (kind, initial, uncommitted, turns) => {
        const top = place.directory.join(`run-${++run}`);
        const workspace = kind === "below a repository" ? `${top}/sub` : top;
        mkdirSync(workspace, { recursive: true });
        for (const step of initial) act(workspace, step);
        if (kind !== "plain") {
          git(top, "init", "-q", ".");
          git(top, "add", "-A");
          git(top, "commit", "-q", "--allow-empty", "-m", "initial");
        }
        if (kind === "dirty repository") for (const step of uncommitted) act(workspace, step);
        for (const steps of turns) {
          const userGit = gitState(top);
          const before = readTree(workspace);
          const shownBefore = visible(workspace, top, scratch);
          const turn = await place.turn(workspace);
          for (const step of steps) act(workspace, step);
          const after = readTree(workspace);
          const shownAfter = visible(workspace, top, scratch);
          const files = await turn.changes();
          expect(turn.record?.notice).toBeUndefined();

          const expected = new Map<string, string>();
          for (const name of new Set([...before.keys(), ...after.keys()])) {
            const [old, now] = [before.get(name), after.get(name)];
            // What took the place of a directory that was seen is told, ignored or not.
            if (
              old === undefined &&
              [...shownBefore].some((shown) => before.has(shown) && shown.startsWith(`${name}/`))
            ) {
              expected.set(name, "added");
              continue;
            }
            if (old === now || !(shownBefore.has(name) || shownAfter.has(name))) continue;
            // Ignored before, and not to be seen now: not ours to tell.
            if (!shownBefore.has(name) && now === undefined) continue;
            const status = now === undefined ? "deleted" : old === undefined ? "added" : "modified";
            // It was there but ignored: only its age may tell, so both words are right.
            expected.set(name, !shownBefore.has(name) && old !== undefined ? "?" : status);
          }
          const seen = new Map<string, string>();
          for (const change of turn.record?.paths ?? []) {
            const name = rawPathOf(change);
            const status =
              change.after.kind === "absent" ? "deleted" : change.before.kind === "absent" ? "added" : "modified";
            seen.set(name, expected.get(name) === "?" ? "?" : status);
          }
          expect([...seen].sort()).toEqual([...expected].sort());
          // The list says the same, a renamed file in one entry.
          const listed = (files ?? []).flatMap(({ path, previousPath }) =>
            previousPath === undefined ? [path] : [path, previousPath],
          );
          expect(listed.sort()).toEqual((turn.record?.paths ?? []).map(({ path }) => path).sort());

          const record = turn.record;
          if (record !== undefined && ![...expected.values()].includes("?")) {
            const restored = new Map(after);
            for (const name of expected.keys()) {
              const old = before.get(name);
              if (old === undefined) restored.delete(name);
              else restored.set(name, old);
            }
            // A file became a directory with ignored files in it: those are not the turn's to delete.
            const told = new Set(expected.keys());
            const foreign = [...after.keys()].filter((name) => !told.has(name));
            if ([...told].some((name) => before.has(name) && foreign.some((other) => other.startsWith(`${name}/`)))) {
              const refused = await place.changes.undo(record, { undoId: newTurnId() });
              expect(refused).toMatchObject({ applied: false, conflicts: [{ reason: "unsafe" }] });
              expect([...readTree(workspace)].sort()).toEqual([...after].sort());
              continue;
            }
            const preview = await place.changes.undo(record, { undoId: newTurnId(), dryRun: true });
            expect(preview.conflicts).toEqual([]);
            expect([...readTree(workspace)].sort()).toEqual([...after].sort());
            const undone = await place.changes.undo(record, { undoId: newTurnId() });
            expect(undone.conflicts).toEqual([]);
            expect([...readTree(workspace)].sort()).toEqual([...restored].sort());
            expect(undone.files).toEqual(preview.files);
            if (undone.record) {
              const again = await place.changes.undo(undone.record, { undoId: newTurnId() });
              expect(again.conflicts).toEqual([]);
              expect([...readTree(workspace)].sort()).toEqual([...after].sort());
            }
          }
          turn.close();
          expect(gitState(top)).toEqual(userGit);
        }
        rmSync(top, { recursive: true });
      },
    ),
    { numRuns: Number(process.env.PROPERTY_RUNS ?? 25), endOnFailure: false },
  );
}, 120_000);
