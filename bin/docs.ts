/** Rewrites the generated parts of docs/: `bun bin/docs.ts`. A test fails while they are out of date. */
import { renderCommandTable, renderExitCodeTable } from "../src/cli/document.ts";
import { createProgram } from "../src/cli/program.ts";
import { renderConfigTable } from "../src/config/document.ts";

/** Between `<!-- name -->` and `<!-- /name -->`. */
async function rewrite(file: string, parts: Readonly<Record<string, string>>): Promise<void> {
  const path = new URL(`../docs/${file}`, import.meta.url);
  let docs = await Bun.file(path).text();
  for (const [name, text] of Object.entries(parts)) {
    const between = new RegExp(`<!-- ${name} -->[\\s\\S]*?<!-- /${name} -->`);
    docs = docs.replace(between, () => `<!-- ${name} -->\n\n${text}\n\n<!-- /${name} -->`);
  }
  await Bun.write(path, docs);
}

const silent = { isTerminal: false, write: () => undefined };
const program = createProgram(
  {
    facts: { env: {}, platform: "linux", cwd: "/", userHome: "/", uid: 0 },
    stdout: silent,
    stderr: silent,
    stdinIsTerminal: false,
    readStdin: async () => "",
    name: "claude-code-daemon",
  },
  () => undefined,
);
await rewrite("configuration.md", { keys: renderConfigTable() });
await rewrite("commands.md", { commands: renderCommandTable(program), "exit codes": renderExitCodeTable() });
