/**
 * The stand-in: the Messages API on loopback, well enough for the real `claude` CLI to work against it without account
 * and network. It answers by rule (answer.ts), keeps nothing and reads nothing but what it is sent.
 */
import { answerTo } from "./answer.ts";
import { estimateTokens, parseRequest } from "./request.ts";
import { encodeStream, encodeWhole, toWireAnswer } from "./wire.ts";

export interface StandIn {
  /** What `ANTHROPIC_BASE_URL` has to be. */
  readonly url: string;
  /** Stops listening and cuts what is under way. */
  close(): Promise<void>;
}

/** Histories with images stay far below this; the daemon's own bound on bodies comes first. */
const MAX_BODY_BYTES = 128 * 1024 * 1024;

/** Listens on a free port of 127.0.0.1. The caller closes it. */
export function startStandIn(): StandIn {
  let answered = 0;

  async function answer(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (request.method !== "POST" || !pathname.startsWith("/v1/messages")) {
      return failure(404, "not_found_error", "The stand-in of claude-code-daemon has the Messages API only.");
    }
    const raw = await request.text();
    if (pathname.endsWith("/count_tokens")) return Response.json({ input_tokens: estimateTokens(raw) });
    try {
      const asked = parseRequest(raw);
      answered += 1;
      const blocks = answerTo(asked, new Date());
      const { inputTokens, maxTokens } = asked;
      const wire = toWireAnswer(`msg_standin_${answered}`, asked.model, blocks, { inputTokens, maxTokens });
      if (!asked.stream) return Response.json(encodeWhole(wire));
      return new Response(encodeStream(wire), { headers: { "content-type": "text/event-stream" } });
    } catch (error) {
      return failure(400, "invalid_request_error", error instanceof Error ? error.message : "unreadable request");
    }
  }

  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    development: false,
    maxRequestBodySize: MAX_BODY_BYTES,
    fetch: answer,
  });
  return { url: `http://127.0.0.1:${server.port}`, close: () => server.stop(true) };
}

function failure(status: number, type: string, message: string): Response {
  return Response.json({ type: "error", error: { type, message } }, { status });
}

/** Plainly no key of anybody's. */
const STAND_IN_KEY = "sk-ant-stand-in-of-claude-code-daemon";

/** What would send claude elsewhere: other providers and logins, and proxies that loopback must not go through. */
const REDIRECTING =
  /^(ANTHROPIC_|CLAUDE_|AWS_|GOOGLE_|GCLOUD_|CLOUD_ML_|VERTEX_|AZURE_|(HTTPS?|ALL|NO)_PROXY$|(https?|all|no)_proxy$|XDG_)/;

/**
 * The environment in which `claude` talks to the stand-in and to nothing else.
 * @param base the user's environment: without its logins and providers it stays.
 * @param home a private directory for claude's settings and sessions: never the user's own, which holds a login.
 */
export function standInEnvironment(
  base: Readonly<Record<string, string | undefined>>,
  options: { url: string; home: string },
): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const [name, value] of Object.entries(base)) {
    if (value !== undefined && !REDIRECTING.test(name)) environment[name] = value;
  }
  return {
    ...environment,
    HOME: options.home,
    ANTHROPIC_BASE_URL: options.url,
    ANTHROPIC_API_KEY: STAND_IN_KEY,
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
    DISABLE_TELEMETRY: "1",
    DISABLE_ERROR_REPORTING: "1",
    DISABLE_AUTOUPDATER: "1",
  };
}
