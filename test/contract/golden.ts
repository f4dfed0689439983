/**
 * Golden cases of a format: `<case>.request.json` is posted, `<case>.events.jsonl` played, and what comes back must be
 * `<case>.golden.txt` byte for byte. Both kinds of answer are pinned: whole first, then streamed. After a change that
 * is meant, delete the golden files and run the test: it writes them anew and fails once, so that they are read.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Glob } from "bun";
import type { FormatDeps } from "../../src/api/shared/format.ts";
import type { TurnEvent } from "../../src/turn/events.ts";
import { createDeps, createScriptedRunner, type Served, serve } from "./scripted-runner.ts";

export interface GoldenOptions {
  name: string;
  /** Absolute folder of the cases. */
  folder: string;
  path: string;
  headers?: Record<string, string>;
  mount(deps: FormatDeps): { handle(request: Request): Response | Promise<Response> };
}

export function describeGolden(options: GoldenOptions): void {
  describe(`${options.name}: golden cases`, () => {
    const runner = createScriptedRunner();
    let served: Served;
    beforeAll(() => {
      served = serve(options.mount(createDeps(runner)));
    });
    afterAll(() => served.stop());
    for (const file of [...new Glob("*.request.json").scanSync(options.folder)].sort()) {
      const name = file.replace(".request.json", "");
      test(name, async () => {
        const base = `${options.folder}/${name}`;
        const request = (await Bun.file(`${base}.request.json`).json()) as Record<string, unknown>;
        const lines = (await Bun.file(`${base}.events.jsonl`).text()).trim().split("\n");
        runner.play(() => lines.map((line) => JSON.parse(line) as TurnEvent));
        const got: string[] = [];
        for (const stream of [false, true]) {
          const response = await fetch(served.url + options.path, {
            method: "POST",
            headers: { "content-type": "application/json", ...options.headers },
            body: JSON.stringify({ ...request, stream }),
          });
          const body = await response.text();
          got.push(`${response.status} ${response.headers.get("content-type")}\n\n`);
          got.push(stream ? body : `${JSON.stringify(JSON.parse(body), null, 1)}\n\n`);
        }
        const golden = Bun.file(`${base}.golden.txt`);
        if (!(await golden.exists())) {
          await golden.write(got.join(""));
          throw new Error(`${name}.golden.txt was missing and is written now: read it, then run again`);
        }
        expect(got.join("")).toBe(await golden.text());
      });
    }
  });
}
