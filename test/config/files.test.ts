import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensurePrivateDirectory, writeFileAtomic } from "../../src/config/files.ts";
import { openListFile } from "../../src/config/list-file.ts";
import { loadConfig } from "../../src/config/load.ts";
import { resolvePaths } from "../../src/config/paths.ts";

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "ccd-config-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const uid = process.getuid?.() ?? 0;
const modeOf = (path: string) => statSync(path).mode & 0o777;

describe("paths", () => {
  const resolve = (env: Record<string, string>, platform: NodeJS.Platform = "linux", userHome?: string) =>
    resolvePaths({ env, platform, userHome });

  test("XDG defaults on Linux", () => {
    const paths = resolve({ HOME: "/home/u" });
    expect(paths.configFile).toBe("/home/u/.config/claude-code-daemon/config.toml");
    expect(paths.stateDirectory).toBe("/home/u/.local/state/claude-code-daemon");
  });
  test("on macOS the state is in Application Support, the config stays XDG", () => {
    const paths = resolve({ HOME: "/Users/u" }, "darwin");
    expect(paths.configFile).toBe("/Users/u/.config/claude-code-daemon/config.toml");
    expect(paths.stateDirectory).toBe("/Users/u/Library/Application Support/claude-code-daemon");
  });
  test("absolute XDG values count, relative ones are ignored", () => {
    expect(resolve({ HOME: "/h", XDG_STATE_HOME: "/s", XDG_CONFIG_HOME: "rel" }).stateDirectory).toBe(
      "/s/claude-code-daemon",
    );
    expect(resolve({ HOME: "/h", XDG_CONFIG_HOME: "./rel" }).configDirectory).toBe("/h/.config/claude-code-daemon");
  });
  test("without HOME the user database answers; without either there is a clear refusal", () => {
    expect(resolve({}, "linux", "/home/db").home).toBe("/home/db");
    expect(resolve({ HOME: "relative" }, "linux", "/home/db").home).toBe("/home/db");
    expect(() => resolve({})).toThrow("Set it and start again");
  });
});

describe("the state directory", () => {
  test("is made with 0700, whatever the umask, and tightened when it was wider", () => {
    const path = join(root, "deep", "state");
    const before = process.umask(0);
    try {
      ensurePrivateDirectory(path, uid);
      expect(modeOf(path)).toBe(0o700);
      chmodSync(path, 0o755);
      ensurePrivateDirectory(path, uid);
      expect(modeOf(path)).toBe(0o700);
    } finally {
      process.umask(before);
    }
  });
  test("a symlink is refused", () => {
    mkdirSync(join(root, "real"));
    symlinkSync(join(root, "real"), join(root, "state"));
    expect(() => ensurePrivateDirectory(join(root, "state"), uid)).toThrow("is a symbolic link");
  });
  test("a file is refused", () => {
    writeFileSync(join(root, "state"), "");
    expect(() => ensurePrivateDirectory(join(root, "state"), uid)).toThrow("is not a directory");
  });
  test("another user's directory is refused", () => {
    mkdirSync(join(root, "state"));
    expect(() => ensurePrivateDirectory(join(root, "state"), uid + 1)).toThrow("belongs to another user");
  });
});

test("an atomic write is private, replaces the whole file and leaves nothing behind", () => {
  const path = join(root, "file");
  writeFileSync(path, "a much longer old text", { mode: 0o644 });
  writeFileAtomic(path, "new");
  expect(readFileSync(path, "utf8")).toBe("new");
  expect(modeOf(path)).toBe(0o600);
  expect(readdirSync(root)).toEqual(["file"]);
});

describe("list files", () => {
  test("another opener's change is seen at the next use", () => {
    const path = join(root, "config", "origins.json");
    const [daemon, command] = [openListFile(path), openListFile(path)];
    expect(daemon.entries()).toEqual([]);
    expect(command.add("https://a")).toBe(true);
    expect(command.add("https://a")).toBe(false);
    expect(daemon.entries()).toEqual(["https://a"]);
    expect(command.add("https://b")).toBe(true);
    expect(command.remove("https://a")).toBe(true);
    expect(command.remove("https://a")).toBe(false);
    expect(daemon.entries()).toEqual(["https://b"]);
    expect(modeOf(path)).toBe(0o600);
    rmSync(path);
    expect(daemon.entries()).toEqual([]);
  });
  test("a broken file allows nothing, says so, and is not overwritten", () => {
    const path = join(root, "origins.json");
    writeFileSync(path, '{"not": "a list"}', { mode: 0o600 });
    const list = openListFile(path);
    expect(list.entries()).toEqual([]);
    expect(list.problem()).toContain("it must be a JSON list of texts");
    expect(() => list.add("https://a")).toThrow("is not used");
    expect(readFileSync(path, "utf8")).toBe('{"not": "a list"}');
  });
  test("a file that others may write allows nothing", () => {
    const path = join(root, "origins.json");
    writeFileSync(path, '["https://evil.example"]');
    chmodSync(path, 0o666);
    expect(openListFile(path).entries()).toEqual([]);
  });
});

describe("the config file", () => {
  const load = (env: Record<string, string>) => {
    const facts = { env: { HOME: root, ...env }, platform: "linux" as const, cwd: root, userHome: root, uid };
    return loadConfig({ flags: {}, facts, paths: resolvePaths(facts) });
  };
  test("a missing one is fine, a missing one that was named is not", () => {
    expect(load({}).config.port).toBe(8080);
    expect(() => load({ CLAUDE_CODE_DAEMON_CONFIG: join(root, "nowhere.toml") })).toThrow("cannot be read");
  });
  test("it is read", () => {
    mkdirSync(join(root, ".config", "claude-code-daemon"), { recursive: true });
    writeFileSync(join(root, ".config", "claude-code-daemon", "config.toml"), "port = 4321");
    expect(load({}).config.port).toBe(4321);
  });
  test("one that everybody may write is refused: it names what is executed", () => {
    const path = join(root, "open.toml");
    writeFileSync(path, "port = 4321");
    chmodSync(path, 0o666);
    expect(() => load({ CLAUDE_CODE_DAEMON_CONFIG: path })).toThrow("chmod o-w");
  });
});
