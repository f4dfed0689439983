import { describe, expect, test } from "bun:test";
import { type ConfigSources, resolveConfig } from "../../src/config/load.ts";
import { configKeys } from "../../src/config/schema.ts";
import { DaemonError } from "../../src/errors.ts";

function sources(over: { flags?: ConfigSources["flags"]; env?: Record<string, string>; file?: string }): ConfigSources {
  return {
    flags: over.flags ?? {},
    facts: { env: over.env ?? {}, cwd: "/home/u/project" },
    home: "/home/u",
    ...(over.file === undefined
      ? {}
      : { file: { path: "/home/u/.config/claude-code-daemon/config.toml", text: over.file } }),
  };
}

function failure(over: Parameters<typeof sources>[0]): DaemonError {
  try {
    resolveConfig(sources(over));
  } catch (error) {
    if (error instanceof DaemonError) return error;
    throw error;
  }
  throw new Error("it was accepted");
}

function sourceOf(loaded: ReturnType<typeof resolveConfig>, name: string): string | undefined {
  return loaded.settings.find((setting) => setting.key.name === name)?.source;
}

describe("precedence", () => {
  const file = "port = 1001";
  const env = { CLAUDE_CODE_DAEMON_PORT: "1002", PORT: "1003" };

  test("the default holds where nothing else is said", () => {
    const loaded = resolveConfig(sources({}));
    expect(loaded.config.port).toBe(8080);
    expect(loaded.config.host).toBe("127.0.0.1");
    expect(sourceOf(loaded, "port")).toBe("default");
    expect(loaded.warnings).toEqual([]);
  });
  test("the file beats the default", () => {
    const loaded = resolveConfig(sources({ file }));
    expect(loaded.config.port).toBe(1001);
    expect(sourceOf(loaded, "port")).toBe("file /home/u/.config/claude-code-daemon/config.toml");
  });
  test("plain PORT beats the file", () => {
    const loaded = resolveConfig(sources({ file, env: { PORT: "1003" } }));
    expect(loaded.config.port).toBe(1003);
    expect(sourceOf(loaded, "port")).toBe("environment PORT");
  });
  test("our own variable beats plain PORT", () => {
    expect(resolveConfig(sources({ file, env })).config.port).toBe(1002);
  });
  test("a flag beats them all", () => {
    const loaded = resolveConfig(sources({ file, env, flags: { port: "1004" } }));
    expect(loaded.config.port).toBe(1004);
    expect(sourceOf(loaded, "port")).toBe("flag --port");
  });
  test("an empty variable counts as unset", () => {
    expect(resolveConfig(sources({ env: { PORT: "", CLAUDE_CODE_DAEMON_LOG_LEVEL: "" } })).config.port).toBe(8080);
  });
});

describe("values", () => {
  test("nested keys, lists, tables and switches come from the file", () => {
    const { config } = resolveConfig(
      sources({
        file: `
          [claude]
          pass_env = ["MY_TOKEN"]
          [models]
          sampling = "forward"
          aliases = { "gpt-4o" = "sonnet" }
          [limits]
          queue_wait_seconds = 7
          [permissions]
          allow_bypass = true
        `,
      }),
    );
    expect(config.claude.passEnv).toEqual(["MY_TOKEN"]);
    expect(config.models.sampling).toBe("forward");
    expect(config.models.aliases).toEqual({ "gpt-4o": "sonnet" });
    expect(config.limits.queueWaitSeconds).toBe(7);
    expect(config.permissions.allowBypass).toBe(true);
  });
  test("the same from variables", () => {
    const { config } = resolveConfig(
      sources({
        env: {
          CLAUDE_CODE_DAEMON_CLAUDE_PASS_ENV: "A, B",
          CLAUDE_CODE_DAEMON_MODELS_ALIASES: "gpt-4o=sonnet,o3=opus",
          CLAUDE_CODE_DAEMON_PERMISSIONS_ALLOW_BYPASS: "yes",
          CLAUDE_CODE_DAEMON_CLAUDE: "/opt/claude",
        },
      }),
    );
    expect(config.claude.passEnv).toEqual(["A", "B"]);
    expect(config.models.aliases).toEqual({ "gpt-4o": "sonnet", o3: "opus" });
    expect(config.permissions.allowBypass).toBe(true);
    expect(config.claude.path).toBe("/opt/claude");
  });
  test("paths: ~ is the home, relative ones count from the working directory", () => {
    const { config } = resolveConfig(sources({ flags: { workspace: ["sub/../app", "~/other"], claude: "./claude" } }));
    expect(config.workspaces.roots).toEqual(["/home/u/project/app", "/home/u/other"]);
    expect(config.claude.path).toBe("/home/u/project/claude");
  });
  test("a relative path in the file is refused: it would depend on where the daemon starts", () => {
    expect(failure({ file: '[claude]\npath = "bin/claude"' }).message).toContain("absolute path");
  });
  test("the result is frozen, down to its lists", () => {
    const { config } = resolveConfig(sources({}));
    expect(Object.isFrozen(config)).toBe(true);
    expect(Object.isFrozen(config.limits)).toBe(true);
    expect(Object.isFrozen(config.origins)).toBe(true);
  });
  test("__proto__ in the file pollutes nothing", () => {
    const loaded = resolveConfig(sources({ file: "[__proto__]\npolluted = true\n[limits.__proto__]\nbody_mib = 1" }));
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
    expect(loaded.config.limits.bodyMib).toBe(32);
  });
});

describe("a bad value stops the start and names its source", () => {
  test.each([
    [{ env: { PORT: "http" } }, 'port is "http" (environment PORT), but it must be a whole number from 0 to 65535.'],
    [{ flags: { port: "70000" } }, "port is 70000 (flag --port), but it must be a whole number from 0 to 65535."],
    [{ flags: { port: "-1" } }, 'port is "-1" (flag --port), but it must be a whole number from 0 to 65535.'],
    [{ flags: { host: "0.0.0.0" } }, 'host is "0.0.0.0" (flag --host), but it must be 127.0.0.1, localhost or ::1.'],
    [
      { file: '[log]\nlevel = "loud"' },
      'log.level is "loud" (file /home/u/.config/claude-code-daemon/config.toml, line 2), but it must be one of error, warn, info, debug.',
    ],
    [
      { env: { CLAUDE_CODE_DAEMON_EXEC_ENABLED: "maybe" } },
      'exec.enabled is "maybe" (environment CLAUDE_CODE_DAEMON_EXEC_ENABLED), but it must be true or false.',
    ],
    [{ file: 'origins = "http://a"' }, "it must be a list of texts"],
    [{ file: "limits = 3" }, "[limits] must be a section"],
    [{ env: { CLAUDE_CODE_DAEMON_MODELS_ALIASES: "sonnet" } }, "name=value pairs"],
    [{ file: "port = 1\nport = 2" }, "is not valid TOML"],
    [{ file: "port = \nhost = 1" }, "is not valid TOML: Missing value"],
  ])("%j", (over, message) => {
    const error = failure(over as Parameters<typeof sources>[0]);
    expect(error.message).toContain(message);
    expect(error.detail.exit).toBe(78);
  });
});

test("unknown keys and variables warn, each with its place, and stop nothing", () => {
  const { warnings } = resolveConfig(
    sources({
      file: "prot = 1\n[limits]\nqueue = 3\n[nonsense]\na = 1",
      env: { CLAUDE_CODE_DAEMON_PROT: "1", OTHER: "1" },
    }),
  );
  expect(warnings).toEqual([
    '/home/u/.config/claude-code-daemon/config.toml: there is no key "prot"; it has no effect.',
    '/home/u/.config/claude-code-daemon/config.toml: there is no key "limits.queue"; it has no effect.',
    '/home/u/.config/claude-code-daemon/config.toml: there is no key "nonsense"; it has no effect.',
    "environment: there is no variable CLAUDE_CODE_DAEMON_PROT; it has no effect.",
  ]);
});

test("every key has a default that passes its own check, a description and an environment name of its own", () => {
  const seen = new Set<string>();
  for (const key of configKeys()) {
    expect(key.description.length).toBeGreaterThan(10);
    expect(key.schema.default).toBeDefined();
    for (const name of key.env) {
      expect(seen.has(name)).toBe(false);
      seen.add(name);
    }
  }
  const lines = configKeys().flatMap((key) => {
    const value = JSON.stringify(key.schema.default);
    return value === "{}" ? [] : [`${key.name} = ${value}`];
  });
  expect(resolveConfig(sources({ file: lines.join("\n") })).warnings).toEqual([]);
});
