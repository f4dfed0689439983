/** Who was refused can be found out afterwards, and cannot be used to fill the disk. */
import { describe, expect, test } from "bun:test";
import { createRefusals } from "../../src/daemon/refusals.ts";
import { DaemonError } from "../../src/errors.ts";
import { createLogger } from "../../src/log.ts";
import { startTestDaemon } from "./harness.ts";

const REFUSED = /^.*request refused.*$/gm;

describe("on a daemon", () => {
  test("a refused page is one line that names it and the command that allows it, and is counted", async () => {
    await using server = await startTestDaemon({ flags: { "log-level": "warn" } });
    const call = (headers: Record<string, string>) => fetch(`${server.daemon.url}/v1/models`, { headers });
    for (let time = 0; time < 5; time++) expect((await call({ origin: "http://localhost:5173" })).status).toBe(403);
    expect((await call({ host: "rebound.example" })).status).toBe(421);
    expect((await call({ "x-forwarded-for": "10.0.0.1" })).status).toBe(400);
    expect((await call({ "sec-fetch-site": "cross-site" })).status).toBe(403);

    const lines = server.log().match(REFUSED) ?? [];
    expect(lines).toHaveLength(4);
    expect(lines[0]).toContain("reason=origin_not_allowed method=GET origin=http://localhost:5173");
    expect(lines[0]).toContain("claude-code-daemon origin allow http://localhost:5173");
    expect(lines[1]).toContain("reason=misdirected method=GET host=rebound.example untold=4");

    const health = (await (await fetch(`${server.daemon.url}/v1/health`)).json()) as { refused: unknown };
    expect(health.refused).toMatchObject({
      total: 8,
      by_reason: { origin_not_allowed: 5, misdirected: 1, unknown_proxy: 1, cross_site: 1 },
      last: { reason: "cross_site" },
    });
    const metrics = await (await fetch(`${server.daemon.url}/metrics`)).text();
    expect(metrics).toContain('claude_code_daemon_refused_total{reason="origin_not_allowed"} 5');
  });

  test("what a page put into its origin is neither a log line nor a terminal's command", async () => {
    await using server = await startTestDaemon();
    await server.raw(
      `GET / HTTP/1.1\r\nHost: localhost:${server.port}\r\nOrigin: http://a" level=error\u009b2J\r\nConnection: close\r\n\r\n`,
    );
    const [line = ""] = server.log().match(REFUSED) ?? [];
    expect(line).toContain("reason=origin_not_allowed");
    expect(line).not.toMatch(/[\u0080-\u009f]/);
    expect(line).toContain('origin="http://a\\" level=error');
  });
});

describe("ever new origins", () => {
  test("fill at most 20 lines in ten minutes; the next one says how many were left out", () => {
    let clock = 0;
    let written = "";
    const log = createLogger({
      level: "warn",
      timestamps: false,
      write: (line) => {
        written += line;
      },
    });
    const refusals = createRefusals({ log, now: () => clock });
    const refuse = (origin: string) =>
      refusals.add(
        new Request("http://localhost/", { headers: { origin } }),
        new DaemonError("forbidden", "no", { detail: { reason: "origin_not_allowed" } }),
      );
    for (let number = 0; number < 1000; number++) refuse(`http://${number}.example`);
    expect(written.match(REFUSED)).toHaveLength(20);
    clock = 9 * 60_000;
    refuse("http://late.example");
    expect(written.match(REFUSED)).toHaveLength(20);
    clock = 10 * 60_000;
    refuse("http://0.example");
    expect(written.match(REFUSED)).toHaveLength(21);
    expect(written).toEndWith("untold=981 message=no\n");
    expect(refusals.facts().byReason).toEqual({ origin_not_allowed: 1002 });
  });
});
