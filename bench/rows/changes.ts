/** `files_changed` on a large repository: runs bench/changes.ts, which tells itself. */
import { join } from "node:path";
import { atMost, type Row } from "../statistics.ts";

export async function changes(files: number): Promise<Row> {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "..", "changes.ts"), String(files)], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  const output = await new Response(child.stdout).text();
  await child.exited;
  const large = output.slice(output.indexOf(`${files} files`));
  const ratioOf = (name: string) => Number(new RegExp(`${name}.*: ([\\d.]+) x git status`).exec(large)?.[1]);
  const [without, one] = [ratioOf("turn without changes"), ratioOf("turn with one change")];
  const status = /git status ([\d.]+) ms/.exec(large)?.[1];
  return {
    what: `files_changed on ${files / 1000} k files`,
    target: "≤ 1.5 × `git status`",
    measured: `${without.toFixed(2)} × without changes, ${one.toFixed(2)} × with one, of ${status} ms`,
    verdict: atMost(Math.max(without, one), 1.5),
  };
}
