/** The property list as launchd reads it, through Python's parser of the same format. */
import { expect, test } from "bun:test";
import { renderPlist } from "../../src/service/plist.ts";
import { requires } from "../support/requires.ts";

const ODD_HOME = `/Users/a & b/<c>/"d"/'e'/ü`;
const plist = (home: string) =>
  renderPlist({
    label: "dev.claude-code-daemon",
    command: [`${home}/.local/bin/claude-code-daemon`, "start"],
    home,
    environment: { HOME: home, CLAUDE_CODE_DAEMON_SERVICE: "launchd" },
    logFile: `${home}/Library/Logs/claude-code-daemon/daemon.log`,
  });

requires("python")("it parses, and every value arrives as it was", () => {
  const read = "import plistlib,sys,json; json.dump(plistlib.loads(sys.stdin.buffer.read()), sys.stdout)";
  const result = Bun.spawnSync(["python3", "-c", read], { stdin: Buffer.from(plist(ODD_HOME)) });
  expect(result.stderr.toString()).toBe("");
  const logFile = `${ODD_HOME}/Library/Logs/claude-code-daemon/daemon.log`;
  expect(JSON.parse(result.stdout.toString())).toEqual({
    Label: "dev.claude-code-daemon",
    ProgramArguments: [`${ODD_HOME}/.local/bin/claude-code-daemon`, "start"],
    EnvironmentVariables: { HOME: ODD_HOME, CLAUDE_CODE_DAEMON_SERVICE: "launchd" },
    WorkingDirectory: ODD_HOME,
    RunAtLoad: true,
    KeepAlive: { SuccessfulExit: false },
    ThrottleInterval: 10,
    ExitTimeOut: 30,
    ProcessType: "Interactive",
    StandardOutPath: logFile,
    StandardErrorPath: logFile,
  });
});

test("a value that XML cannot hold is refused", () => {
  expect(() => plist("/Users/a\u0007")).toThrow("cannot stand in a property list");
});
