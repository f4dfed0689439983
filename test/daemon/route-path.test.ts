import { expect, test } from "bun:test";
import { routePath, splitUrl } from "../../src/daemon/route-path.ts";

test.each([
  ["/", "/"],
  ["//", "/"],
  ["/v1/chat/completions", "/v1/chat/completions"],
  ["/v1/chat/completions/", "/v1/chat/completions"],
  ["//v1//chat///completions", "/v1/chat/completions"],
  ["/chat/completions", "/v1/chat/completions"],
  ["/v1/v1/chat/completions", "/v1/chat/completions"],
  ["/v1/v1/v1/models", "/v1/models"],
  ["/models", "/v1/models"],
  ["/models/claude-code:opus", "/v1/models/claude-code:opus"],
  ["/responses", "/v1/responses"],
  ["/messages/count_tokens", "/v1/messages/count_tokens"],
  ["/v1/api/chat", "/api/chat"],
  ["/v1//api/tags", "/api/tags"],
  ["/api/chat", "/api/chat"],
  ["/api//chat/", "/api/chat"],
  ["/modelsx", "/modelsx"],
  ["/chat", "/chat"],
  ["/health", "/health"],
  ["/v1/models/a%2Fb", "/v1/models/a%2Fb"],
  ["/V1/models", "/V1/models"],
])("%s is routed as %s", (path, expected) => expect(routePath(path)).toBe(expected));

test.each([
  ["http://localhost:8080/v1/models?x=/y", "localhost:8080", { path: "/v1/models", query: "?x=/y" }],
  ["http://[::1]:8080/", "[::1]:8080", { path: "/", query: "" }],
  ["http://localhost:8080/a#b?c", "localhost:8080", { path: "/a", query: "#b?c" }],
  ["/err", "localhost:8080", undefined],
  ["http://a/x/y", "localhost:8080", undefined],
  ["http://localhost:8080", "localhost:8080", undefined],
])("%s on %s", (url, host, expected) => expect(splitUrl(url, host)).toEqual(expected));
