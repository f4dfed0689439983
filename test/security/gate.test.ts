import { describe, expect, test } from "bun:test";
import { DaemonError } from "../../src/errors.ts";
import { decide, type GateDecision } from "../../src/security/gate.ts";
import { createGateRules, parseOrigin } from "../../src/security/rules.ts";

const rules = createGateRules({
  port: 8080,
  siblingPorts: [8081],
  hosts: ["dev.example.test"],
  origins: ["http://localhost:3000", "http://127.0.0.1:3000"],
  allowedOrigins: () => ["https://app.example"],
  proxies: ["10.0.0.9"],
  maxBodyBytes: 1024 * 1024,
});

interface Call {
  method?: string;
  host?: string | null;
  upgrade?: boolean;
  peer?: string;
  [header: string]: string | boolean | null | undefined;
}

function gate(call: Call = {}): GateDecision {
  const { method = "GET", host = "localhost:8080", upgrade = false, peer = "127.0.0.1", ...rest } = call;
  const headers = new Headers();
  if (host !== null) headers.set("host", host);
  for (const [name, value] of Object.entries(rest)) if (typeof value === "string") headers.set(name, value);
  return decide({ method, headers, upgrade, peerAddress: () => peer }, rules);
}

/** "pass", "preflight", or the code of the refusal. */
function outcome(call: Call): string {
  const decision = gate(call);
  return decision.kind === "refuse" ? decision.error.code : decision.kind;
}

describe("Host is exactly one of ours", () => {
  test.each([
    ["localhost:8080", "pass"],
    ["127.0.0.1:8080", "pass"],
    ["[::1]:8080", "pass"],
    ["LOCALHOST:8080", "pass"],
    ["dev.example.test:8080", "pass"],
    [null, "misdirected"],
    ["", "misdirected"],
    ["evil.com", "misdirected"],
    ["evil.com:8080", "misdirected"],
    ["localhost:8080, evil.com", "misdirected"],
    ["evil.com, localhost:8080", "misdirected"],
    ["0.0.0.0:8080", "misdirected"],
    ["127.1:8080", "misdirected"],
    ["2130706433:8080", "misdirected"],
    ["127.0.0.2:8080", "misdirected"],
    ["[::ffff:127.0.0.1]:8080", "misdirected"],
    ["localhost.:8080", "misdirected"],
    ["127.evil.com:8080", "misdirected"],
    ["localhost.evil.com:8080", "misdirected"],
    ["x.localhost:8080", "misdirected"],
    ["a.local:8080", "misdirected"],
    ["localhost:8080/x", "misdirected"],
    ["localhost:8080?x", "misdirected"],
    ["u@localhost:8080", "misdirected"],
    ["localhost:8080@evil", "misdirected"],
    ["localhost", "misdirected"],
    ["localhost:8081", "misdirected"],
    ["a", "misdirected"],
  ])("%p: %s", (host, expected) => expect(outcome({ host })).toBe(expected));
});

describe("forwarding headers only from configured proxies", () => {
  test.each([
    [{ "x-forwarded-for": "127.0.0.1" }, "invalid_request"],
    [{ "x-forwarded-host": "localhost:8080" }, "invalid_request"],
    [{ "x-forwarded-proto": "https" }, "invalid_request"],
    [{ "x-real-ip": "127.0.0.1" }, "invalid_request"],
    [{ forwarded: "for=127.0.0.1" }, "invalid_request"],
    [{ forwarded: "for=1.2.3.4", peer: "10.0.0.9" }, "pass"],
  ])("%j: %s", (call, expected) => expect(outcome(call)).toBe(expected));
});

describe("Origin is on the allow-list, exactly", () => {
  test.each([
    ["http://localhost:3000", "pass"],
    ["http://127.0.0.1:3000", "pass"],
    ["http://localhost:8080", "pass"],
    ["http://[::1]:8080", "pass"],
    ["http://localhost:8081", "pass"],
    ["https://app.example", "pass"],
    ["http://evil.com", "forbidden"],
    ["null", "forbidden"],
    ["", "forbidden"],
    ["*", "forbidden"],
    ["http://localhost:3000.evil.com", "forbidden"],
    ["http://evil.com#localhost:3000", "forbidden"],
    ["https://localhost:3000", "forbidden"],
    ["http://localhost:3001", "forbidden"],
    ["http://localhost:3000/", "forbidden"],
    ["http://localhost:3000, http://evil.com", "forbidden"],
    ["HTTP://LOCALHOST:3000", "forbidden"],
    ["chrome-extension://abcdef", "forbidden"],
    ["moz-extension://abcdef", "forbidden"],
    ["http://app.example", "forbidden"],
    ["https://app.example.evil.com", "forbidden"],
  ])("%p: %s", (origin, expected) => {
    expect(outcome({ origin })).toBe(expected);
    expect(outcome({ origin, upgrade: true })).toBe(expected);
    expect(outcome({ origin, method: "POST" })).toBe(expected);
    expect(outcome({ origin, method: "OPTIONS", "access-control-request-method": "POST" })).toBe(
      expected === "pass" ? "preflight" : expected,
    );
  });

  test("the refusal says which command allows it, and repeats nothing that is no origin", () => {
    const message = (origin: string) => {
      const decision = gate({ origin });
      return decision.kind === "refuse" ? decision.error.message : "";
    };
    expect(message("http://localhost:5173")).toContain("claude-code-daemon origin allow http://localhost:5173");
    expect(message("http://a;rm -rf ~")).not.toContain("rm -rf");
    expect(message("null")).not.toContain("origin allow");
  });
});

describe("a browser's request without Origin", () => {
  test.each([
    [{ "sec-fetch-site": "none" }, "pass"],
    [{ "sec-fetch-site": "same-origin" }, "pass"],
    [{ "sec-fetch-site": "none", method: "HEAD" }, "pass"],
    [{ "sec-fetch-site": "cross-site" }, "forbidden"],
    [{ "sec-fetch-site": "same-site" }, "forbidden"],
    [{ "sec-fetch-site": "anything" }, "forbidden"],
    [{ "sec-fetch-site": "none", method: "POST" }, "forbidden"],
    [{ "sec-fetch-site": "same-origin", method: "DELETE" }, "forbidden"],
    [{ "sec-fetch-site": "same-origin", upgrade: true }, "forbidden"],
    [{ "sec-fetch-mode": "cors", method: "POST" }, "pass"],
    [{ "sec-fetch-site": "cross-site", origin: "http://localhost:3000", method: "POST" }, "pass"],
  ])("%j: %s", (call, expected) => expect(outcome(call)).toBe(expected));
});

describe("bodies", () => {
  const page = { origin: "http://localhost:3000", method: "POST", "content-length": "10" };
  test.each([
    [{ ...page, "content-type": "application/json" }, "pass"],
    [{ ...page, "content-type": "application/json; charset=utf-8" }, "pass"],
    [{ ...page, "content-type": "Application/JSON;charset=UTF-8" }, "pass"],
    [{ ...page, "content-type": "text/plain" }, "unsupported_media_type"],
    [{ ...page, "content-type": "application/x-www-form-urlencoded" }, "unsupported_media_type"],
    [{ ...page, "content-type": "multipart/form-data; boundary=x" }, "unsupported_media_type"],
    [{ ...page, "content-type": "application/jsonx" }, "unsupported_media_type"],
    [{ ...page, "content-type": "text/plain; application/json" }, "unsupported_media_type"],
    [{ ...page, "content-type": "application/json; charset=utf-16" }, "unsupported_media_type"],
    [page, "unsupported_media_type"],
    [{ origin: page.origin, method: "POST", "transfer-encoding": "chunked" }, "unsupported_media_type"],
    [{ origin: page.origin, method: "POST", "content-length": "0" }, "pass"],
    [{ method: "POST", "content-length": "10", "content-type": "text/plain" }, "pass"],
    [{ method: "POST", "content-length": "10" }, "pass"],
    [{ method: "POST", "content-length": "1048576" }, "pass"],
    [{ method: "POST", "content-length": "1048577" }, "payload_too_large"],
    [{ method: "POST", "content-length": "99999999999" }, "payload_too_large"],
    [{ method: "POST", "content-length": "10", "content-encoding": "gzip" }, "pass"],
    [{ method: "POST", "content-length": "10", "content-encoding": "zstd" }, "pass"],
    [{ method: "POST", "content-length": "10", "content-encoding": "br" }, "unsupported_media_type"],
    [{ method: "POST", "content-length": "10", "content-encoding": "gzip, gzip" }, "unsupported_media_type"],
  ])("%j: %s", (call, expected) => expect(outcome(call)).toBe(expected));
});

test.each(["TRACE", "CONNECT", "PRI", "get"])("the method %s is refused with Allow", (method) => {
  const decision = gate({ method });
  expect(decision.kind === "refuse" && decision.error.code).toBe("method_not_allowed");
  expect(decision.kind === "refuse" && decision.error.detail.allow).toContain("POST");
});

describe("headers of the answer", () => {
  const every: Call[] = [
    {},
    { origin: "http://localhost:3000" },
    { origin: "http://evil.com" },
    { host: "evil.com" },
    { method: "OPTIONS", origin: "http://localhost:3000" },
    { method: "OPTIONS", origin: "http://evil.com" },
  ];
  test.each(every)("%j: hardened, never *, never credentials, never private network", (call) => {
    const { headers } = gate(call);
    expect(headers["x-content-type-options"]).toBe("nosniff");
    expect(headers["x-frame-options"]).toBe("DENY");
    expect(headers["cross-origin-resource-policy"]).toBe("same-origin");
    expect(headers.vary).toContain("origin");
    expect(headers["access-control-allow-origin"]).not.toBe("*");
    expect(headers["access-control-allow-credentials"]).toBeUndefined();
    expect(headers["access-control-allow-private-network"]).toBeUndefined();
  });
  test("an allowed page may read the answer, also a refusal; a foreign one gets no permission", () => {
    const origin = "http://localhost:3000";
    expect(gate({ origin }).headers["access-control-allow-origin"]).toBe(origin);
    expect(gate({ origin }).headers["access-control-expose-headers"]).toContain("x-request-id");
    const refused = gate({ origin, method: "POST", "content-length": "5", "content-type": "text/plain" });
    expect(refused.kind).toBe("refuse");
    expect(refused.headers["access-control-allow-origin"]).toBe(origin);
    expect(gate({ origin: "http://evil.com" }).headers["access-control-allow-origin"]).toBeUndefined();
    expect(gate({}).headers["access-control-allow-origin"]).toBeUndefined();
  });
  test("a preflight gets back the headers it asked for, if they are header names", () => {
    const origin = "http://localhost:3000";
    const ask = (wanted: string) =>
      gate({ method: "OPTIONS", origin, "access-control-request-headers": wanted }).headers[
        "access-control-allow-headers"
      ];
    expect(ask("authorization, x-stainless-os,content-type")).toBe("authorization, x-stainless-os,content-type");
    expect(ask("a: b")).toBeUndefined();
    expect(ask("x".repeat(5000))).toBeUndefined();
  });
});

describe("origins that people write", () => {
  test.each([
    ["http://localhost:5173", "http://localhost:5173"],
    ["http://localhost:5173/", "http://localhost:5173"],
    ["HTTPS://App.Example", "https://app.example"],
    ["https://app.example:443", "https://app.example"],
    ["chrome-extension://abcdef", "chrome-extension://abcdef"],
  ])("%s becomes %s", (text, expected) => expect(parseOrigin(text)).toBe(expected));
  test.each(["*", "null", "", "localhost:5173", "http://", "http://a/path", "http://a?x", "http://u@a", "file:///x"])(
    "%p is refused",
    (text) => expect(() => parseOrigin(text)).toThrow(DaemonError),
  );
  test("a trailing slash in the config does not lock its page out", () => {
    const made = createGateRules({ ...options, origins: ["http://localhost:5173/"] });
    expect(made.isOriginAllowed("http://localhost:5173")).toBe(true);
  });
});

const options = {
  port: 8080,
  siblingPorts: [],
  hosts: [],
  origins: [],
  allowedOrigins: () => [],
  proxies: [],
  maxBodyBytes: 1,
};
