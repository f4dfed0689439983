/**
 * A scripted executable in place of `claude`, only for what the real one cannot be made to do on demand: crash on the
 * third line, write half a line, ignore SIGTERM. Everything else is tested with the real one.
 */
import { chmod } from "node:fs/promises";
import { createTmpDir } from "./tmp-dir.ts";

export interface FakeClaude extends AsyncDisposable {
  readonly path: string;
}

/**
 * Writes an executable whose body is a Bun script. In scope: `say(line)` writes a JSON line, `raw(text)` writes as it
 * stands, `lines()` iterates the parsed stdin lines, `args`, `hang()` never settles. `--version` answers by itself.
 */
export async function createFakeClaude(body: string, version = "2.1.330"): Promise<FakeClaude> {
  const directory = await createTmpDir("fake-claude-");
  const path = directory.join("claude");
  const script = `#!${process.execPath}
const args = process.argv.slice(2);
if (args.includes("--version")) { console.log("${version} (Claude Code)"); process.exit(0); }
const raw = (text) => require("node:fs").writeSync(1, text);
const say = (line) => raw(JSON.stringify(line) + "\\n");
const hang = () => new Promise(() => setInterval(() => {}, 1 << 30));
async function* lines() { for await (const line of console) if (line !== "") yield JSON.parse(line); }
${body}
`;
  await Bun.write(path, script);
  await chmod(path, 0o755);
  return { path, [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose]() };
}

/**
 * Body of a fake that answers `initialize` and then runs `onPrompt` (JavaScript, with `line` in scope) per message.
 * `models` is what it says it has, as the inside of an array.
 */
export function answeringFake(onPrompt: string, models = ""): string {
  return `for await (const line of lines()) {
  if (line.type === "control_request") {
    const response = { subtype: "success", request_id: line.request_id, response: { models: [${models}], account: {} } };
    say({ type: "control_response", response });
    continue;
  }
  if (line.type !== "user") continue;
  ${onPrompt}
}`;
}
