import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, realpathSync, statSync, writeFileSync } from "node:fs";
import { runCli } from "../../src/cli/program.ts";
import { createTmpDir, type TmpDir } from "../support/tmp-dir.ts";

let home: TmpDir;
beforeEach(async () => {
  home = await createTmpDir();
});
afterEach(() => home[Symbol.asyncDispose]());

interface Ran {
  code: number;
  out: string;
  err: string;
}

async function run(
  words: string[],
  options: { env?: Record<string, string>; terminal?: boolean; stdin?: string } = {},
): Promise<Ran> {
  let [out, err] = ["", ""];
  const isTerminal = options.terminal === true;
  const code = await runCli(words, {
    facts: {
      env: { HOME: home.path, ...options.env },
      platform: "linux",
      cwd: home.path,
      userHome: home.path,
      uid: process.getuid?.() ?? 0,
    },
    stdout: {
      isTerminal,
      write: (text) => {
        out += text;
      },
    },
    stderr: {
      isTerminal,
      write: (text) => {
        err += text;
      },
    },
    stdinIsTerminal: false,
    readStdin: async () => options.stdin ?? "",
    name: "claude-code-daemon",
  });
  return { code, out, err };
}

describe("help and usage", () => {
  test("--help shows the commands, examples and exit codes", async () => {
    const { code, out } = await run(["--help"]);
    expect(code).toBe(0);
    for (const word of [
      "start",
      "status",
      "chat",
      "demo",
      "origin",
      "workspace",
      "config",
      "Examples:",
      "Exit codes:",
      "78",
    ]) {
      expect(out).toContain(word);
    }
  });
  test("start --help shows every flag of the config with its meaning", async () => {
    const { out } = await run(["start", "--help"]);
    for (const flag of ["--host", "--port", "--websocket-port", "--claude", "--workspace", "--log-level", "--json"]) {
      expect(out).toContain(flag);
    }
  });
  test("--version is one line", async () => {
    const { code, out } = await run(["--version"]);
    expect(code).toBe(0);
    expect(out).toMatch(/^\S+\n$/);
  });
  test.each([[["nonsense"]], [["start", "--nonsense"]], [["origin", "allow"]], [[]]])(
    "%j is a wrong use: 64",
    async (words) => {
      const { code, out, err } = await run(words);
      expect(code).toBe(64);
      expect(out + err).not.toContain("    at ");
    },
  );
  test("help [command] is --help", async () => {
    for (const words of [[], ["session"], ["session", "show"]]) {
      const { code, out } = await run(["help", ...words]);
      expect(code).toBe(0);
      expect(out).toBe((await run([...words, "--help"])).out);
      expect(out).toContain(`Usage: ${["claude-code-daemon", ...words].join(" ")} `);
    }
  });
  test("a wrong use says where to read how", async () => {
    expect((await run(["session", "foo"])).err).toContain("See: claude-code-daemon session --help");
    expect((await run(["origin", "allow"])).err).toContain("See: claude-code-daemon origin allow --help");
  });
  test("a wrong command is one line with a suggestion", async () => {
    const { err } = await run(["statu"]);
    expect(err).toContain("claude-code-daemon: unknown command 'statu'");
    expect(err).toContain("status");
  });
});

describe("origin", () => {
  test("allow, list, revoke", async () => {
    expect((await run(["origin", "allow", "http://localhost:5173/"])).out).toContain("Allowed http://localhost:5173");
    expect((await run(["origin", "allow", "http://localhost:5173"])).out).toContain("allowed already");
    const list = JSON.parse((await run(["origin", "list", "--json"])).out);
    expect(list).toEqual({
      allowed: ["http://localhost:5173"],
      configured: ["http://localhost:3000", "http://127.0.0.1:3000"],
    });
    expect((await run(["origin", "revoke", "http://localhost:5173"])).code).toBe(0);
    expect((await run(["origin", "list"])).out).not.toContain("5173");
  });
  test("the file is private", async () => {
    await run(["origin", "allow", "http://localhost:5173"]);
    const path = home.join(".config", "claude-code-daemon", "origins.json");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(JSON.parse(readFileSync(path, "utf8"))).toEqual(["http://localhost:5173"]);
  });
  test.each(["*", "null", "localhost:5173", "http://a/b"])("%p cannot be allowed", async (origin) => {
    const { code, err } = await run(["origin", "allow", origin]);
    expect(code).toBe(64);
    expect(err.trim().split("\n")).toHaveLength(1);
  });
  test("revoking what the config allows says where that is", async () => {
    const { code, err } = await run(["origin", "revoke", "http://localhost:3000"]);
    expect(code).toBe(1);
    expect(err).toContain("config.toml");
  });
});

describe("workspace", () => {
  test("add keeps the real path; list and remove", async () => {
    mkdirSync(home.join("app"));
    const real = realpathSync(home.join("app"));
    expect((await run(["workspace", "add", "app"])).out).toContain(`Added ${real}`);
    expect((await run(["workspace", "list"])).out).toBe(`${real}\n`);
    expect(JSON.parse((await run(["workspace", "list", "--json"])).out)).toEqual({ added: [real], configured: [] });
    expect((await run(["workspace", "remove", "app"])).code).toBe(0);
    expect((await run(["workspace", "list", "--json"])).out).toContain('"added": []');
  });
  test("one that is no directory is refused", async () => {
    writeFileSync(home.join("file"), "");
    expect((await run(["workspace", "add", "file"])).code).toBe(64);
    expect((await run(["workspace", "add", "nowhere"])).code).toBe(64);
  });
  test("opening the whole home is pointed out", async () => {
    expect((await run(["workspace", "add", "."])).err).toContain("your own settings and keys");
  });
});

describe("config", () => {
  test("show gives each value with its source", async () => {
    const { out } = await run(["config", "show"], { env: { PORT: "9000" } });
    expect(out).toMatch(/^port = 9000 +# environment PORT$/m);
    expect(out).toMatch(/^host = "127.0.0.1" +# default$/m);
    const json = JSON.parse((await run(["config", "show", "--json"], { env: { PORT: "9000" } })).out);
    expect(json.port).toEqual({ value: 9000, source: "environment PORT" });
  });
  test("a bad value is one line that names its source, and 78", async () => {
    const { code, err } = await run(["config", "show"], { env: { PORT: "web" } });
    expect(code).toBe(78);
    expect(err).toBe(
      'claude-code-daemon: port is "web" (environment PORT), but it must be a whole number from 0 to 65535.\n',
    );
  });
  test("an unknown key warns and stops nothing", async () => {
    mkdirSync(home.join(".config", "claude-code-daemon"), { recursive: true });
    writeFileSync(home.join(".config", "claude-code-daemon", "config.toml"), "prot = 1\n");
    const { code, err } = await run(["config", "show"]);
    expect(code).toBe(0);
    expect(err).toContain('there is no key "prot"');
  });
  test("path shows where everything is", async () => {
    expect((await run(["config", "path"])).out).toContain(home.join(".local", "state", "claude-code-daemon"));
  });
});

describe("the running daemon's commands", () => {
  test("without a daemon: 69 and how to start one", async () => {
    for (const words of [["status"], ["chat", "hi"]]) {
      const { code, err } = await run(words, { env: { PORT: "1" } });
      expect(code).toBe(69);
      expect(err).toContain("claude-code-daemon start");
      expect(err).toContain("CLAUDE_CODE_DAEMON_PORT");
    }
  });

  test("status --json says so on stdout, too", async () => {
    const { code, out } = await run(["status", "--json"], { env: { PORT: "1" } });
    expect(code).toBe(69);
    expect(JSON.parse(out)).toEqual({ url: "http://127.0.0.1:1", status: "not_running" });
  });

  test("--port beats CLAUDE_CODE_DAEMON_PORT, that the running daemon's own address, and that PORT and the config", async () => {
    const state = home.join(".local/state/claude-code-daemon");
    mkdirSync(state, { recursive: true });
    const urlFor = async (words: string[], env: Record<string, string>) =>
      JSON.parse((await run(["status", "--json", ...words], { env })).out).url;
    const everything = { CLAUDE_CODE_DAEMON_PORT: "2", PORT: "4" };
    const write = (pid: number) =>
      writeFileSync(`${state}/daemon.json`, JSON.stringify({ pid, url: "http://127.0.0.1:3", startedAt: "now" }));
    write(process.pid);
    expect(await urlFor(["--port", "1"], everything)).toBe("http://127.0.0.1:1");
    expect(await urlFor([], everything)).toBe("http://127.0.0.1:2");
    expect(await urlFor([], { PORT: "4" })).toBe("http://127.0.0.1:3");
    expect(await urlFor([], { CLAUDE_CODE_DAEMON_PORT: "0" })).toBe("http://127.0.0.1:3");
    // Left over from a daemon that was killed.
    const gone = Bun.spawn(["true"]);
    await gone.exited;
    write(gone.pid);
    expect(await urlFor([], { PORT: "4" })).toBe("http://127.0.0.1:4");
    expect((await run(["status", "--port", "0"])).code).toBe(64);
  });

  interface Fake {
    port: string;
    bodies: unknown[];
    stop(): Promise<void>;
  }
  function fake(answer: (path: string) => Response): Fake {
    const bodies: unknown[] = [];
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: async (request) => {
        if (request.method === "POST") bodies.push(await request.json());
        return answer(new URL(request.url).pathname);
      },
    });
    return { port: String(server.port), bodies, stop: () => server.stop(true) };
  }
  const chunks = (...texts: string[]) =>
    new Response(
      [...texts.map((text) => JSON.stringify({ choices: [{ delta: { content: text } }] })), "[DONE]"]
        .map((data) => `data: ${data}\n\n`)
        .join(""),
    );

  test("chat shows what the agent does on lines of its own at a terminal, and leaves a piped answer alone", async () => {
    const frames = [
      { choices: [{ delta: { content: "I write it." } }] },
      { claude_code: { activity: { type: "tool_start", name: "Write" } } },
    ].map((frame) => `data: ${JSON.stringify(frame)}\n\n`);
    const daemon = fake(() => new Response(`${frames.join("")}data: [DONE]\n\n`));
    try {
      const piped = await run(["chat", "x"], { env: { PORT: daemon.port } });
      expect([piped.out, piped.err]).toEqual(["I write it.\n", "· Write\n"]);
      const shown = await run(["chat", "x"], { env: { PORT: daemon.port, NO_COLOR: "1" }, terminal: true });
      expect([shown.out, shown.err]).toEqual(["I write it.", "\n· Write\n"]);
    } finally {
      await daemon.stop();
    }
  });

  test("chat streams the answer, and works where the person stands", async () => {
    const daemon = fake(() => chunks("Hel", "lo"));
    try {
      const { code, out } = await run(["chat", "say", "hello"], { env: { PORT: daemon.port } });
      expect(code).toBe(0);
      expect(out).toBe("Hello\n");
      expect(daemon.bodies).toEqual([
        {
          model: "claude-code",
          messages: [{ role: "user", content: "say hello" }],
          stream: true,
          claude_code: { workspace: home.path },
        },
      ]);
    } finally {
      await daemon.stop();
    }
  });
  test("a chat model is sent no workspace, and the prompt may come from stdin", async () => {
    const daemon = fake(() => chunks("ok"));
    try {
      await run(["chat", "-m", "sonnet"], { env: { PORT: daemon.port }, stdin: "from stdin\n" });
      expect(daemon.bodies).toEqual([
        { model: "sonnet", messages: [{ role: "user", content: "from stdin\n" }], stream: true },
      ]);
    } finally {
      await daemon.stop();
    }
  });
  test("at a terminal, control characters of the answer are shown, not obeyed; in a pipe they pass", async () => {
    const daemon = fake(() => chunks("a\u001b]0;title\u0007b\nc\u202ed"));
    try {
      const shown = await run(["chat", "hi"], { env: { PORT: daemon.port }, terminal: true });
      expect(shown.out).toBe("a\\u001b]0;title\\u0007b\nc\\u202ed\n");
      const piped = await run(["chat", "hi"], { env: { PORT: daemon.port } });
      expect(piped.out).toBe("a\u001b]0;title\u0007b\nc\u202ed\n");
    } finally {
      await daemon.stop();
    }
  });
  test("an answer that is cut off is a failure", async () => {
    const daemon = fake(() => new Response('data: {"choices":[{"delta":{"content":"half"}}]}\n\n'));
    try {
      const { code, err } = await run(["chat", "hi"], { env: { PORT: daemon.port } });
      expect(code).toBe(69);
      expect(err).toContain("cut off");
    } finally {
      await daemon.stop();
    }
  });
  test("status refuses to believe another program on the port", async () => {
    const other = fake(() => Response.json({ status: "ok" }));
    try {
      const { code, err } = await run(["status"], { env: { PORT: other.port } });
      expect(code).toBe(69);
      expect(err).toContain("is not claude-code-daemon");
    } finally {
      await other.stop();
    }
  });
});

test("where no service manager answers, `service` says why and what to do instead, and changes nothing", async () => {
  const { code, err } = await run(["service", "install"], { env: { PATH: "/nowhere" } });
  expect(code).toBe(69);
  expect(err).toContain("Run it yourself instead: claude-code-daemon start");
  expect(readdirSync(home.path)).toEqual([]);
});
