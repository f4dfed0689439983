/**
 * A user's life with the service on a whole computer: Debian with a real systemd as PID 1, logins by ssh, `./install.sh`
 * from a clone, the real claude on a scripted API. Every test begins with what the one before it left.
 *
 * Over 300 lines: one life, told in order.
 */
import { afterAll, expect } from "bun:test";
import { createGate, message, textBlock, toolCall } from "../../support/api-reply.ts";
import { requires } from "../../support/requires.ts";
import { bootComputer, type Computer } from "./machine.ts";

const NEEDS = ["linux", "root", "computer", "registry"] as const;
/** The longest are the installations: a build each, and downloads of 150 MB for the first. */
const TIMEOUT_MS = 400_000;
const HOME = "/home/alice";
const DAEMON = `${HOME}/.local/bin/claude-code-daemon`;
const PROJECT = `${HOME}/project`;
const UNIT = "claude-code-daemon.service";
const CLONE = `${HOME}/claude-code-daemon`;
/** Everything on the computer's disk, but for what the system itself writes. */
const LIST_FILES = `find / -xdev \\( -path /var/log -o -path /var/lib/systemd -o -path '*/.git' \\) -prune -o -print | sort`;

let booting: Promise<Computer> | undefined;
const computer = () => {
  booting ??= bootComputer();
  return booting;
};
afterAll(async () => {
  await (await booting)?.[Symbol.asyncDispose]();
});

const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
const at = (path: string) => `http://127.0.0.1:8080${path}`;

/** A request from inside the computer; status 0 where nobody listens. */
async function call(path: string, body?: object): Promise<{ status: number; body: string }> {
  const post = body === undefined ? "" : `-H 'content-type: application/json' -d ${quote(JSON.stringify(body))}`;
  const { stdout } = await (await computer()).root(`curl -s -m 60 -w '\\n%{http_code}' ${post} ${at(path)}`);
  const end = stdout.lastIndexOf("\n");
  return { status: Number(stdout.slice(end + 1)), body: stdout.slice(0, end) };
}

const answers = async () => (await call("/v1/health")).status === 200;
const untilAnswers = async () => (await computer()).until(`curl -fs -m 10 -o /dev/null ${at("/v1/health")}`);
const claudeInUse = async (): Promise<string> => JSON.parse((await call("/v1/health")).body).claude.path;
const service = async (words: string) => (await computer()).alice(`${DAEMON} service ${words}`);
const property = async (name: string) =>
  (await computer()).said(`systemctl --user show --property=${name} --value ${UNIT}`);
/** Alice's manager, asked by root. */
const ASK_MANAGER = "runuser -u alice -- env XDG_RUNTIME_DIR=/run/user/1000 systemctl --user";
/** Pids of claude processes that the daemon started. */
const CLAUDES = "pgrep -u alice -f '/claude( |$).*--input-format'";

interface AgentAnswer {
  text: string;
  session: string;
}

async function askAgent(content: string): Promise<AgentAnswer> {
  const { status, body } = await call("/v1/chat/completions", {
    model: "claude-code",
    messages: [{ role: "user", content }],
  });
  expect({ status, body }).toMatchObject({ status: 200 });
  const { choices, claude_code } = JSON.parse(body);
  return { text: choices[0].message.content, session: claude_code.session_id };
}

async function continueSession(session: string, prompt: string): Promise<string> {
  const { status, body } = await call(`/v1/code/session/${session}/turns`, { prompt });
  expect({ status, body }).toMatchObject({ status: 200 });
  return body;
}

async function install(words = ""): Promise<string> {
  const { exitCode, stderr } = await (await computer()).alice(`cd ${CLONE} && ./install.sh ${words}`);
  expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
  return stderr;
}

const life = (title: string, body: () => Promise<void>) => requires(...NEEDS)(title, body, TIMEOUT_MS);

life("a new user with sh, git and curl installs it from a clone", async () => {
  const { alice, said, root, refused } = await computer();
  expect(await alice("command -v node npm bun claude")).toMatchObject({ stdout: "" });
  await said("git config --global user.email alice@localhost && git config --global user.name Alice");
  await said(`cp -r /shared/sources ${CLONE} && cd ${CLONE} && git init -q && git add -A && git commit -qm one`);
  await root(`${LIST_FILES} >/var/log/before`);
  expect(await install()).toContain("The service is installed and answers at http://127.0.0.1:8080 (systemd:");
  // Nobody called home.
  expect(refused).toEqual([]);
});

life("her login comes along when she says so, and an agent may work where she says", async () => {
  const { alice } = await computer();
  const login = "ANTHROPIC_API_KEY=sk-ant-fake-for-tests ANTHROPIC_BASE_URL=http://127.0.0.1:9999";
  const given = await alice(
    `mkdir ${PROJECT}; ${DAEMON} workspace add ${PROJECT}; ` +
      `${login} ${DAEMON} service install --env ANTHROPIC_API_KEY --env ANTHROPIC_BASE_URL`,
  );
  expect(given).toMatchObject({ exitCode: 0 });
});

life("it ends with her last session and is there at the next login", async () => {
  const { login, until } = await computer();
  await until("! pgrep -u alice");
  expect(await answers()).toBe(false);
  await using session = login("echo in; cat");
  await session.shown("in");
  await untilAnswers();
  expect(JSON.parse((await call("/v1/health")).body).claude.logged_in).toBe(true);
});

/** From here on alice is logged in. */
let stayed: Awaited<ReturnType<Computer["login"]>> | undefined;
afterAll(async () => {
  await stayed?.[Symbol.asyncDispose]();
});

life("the agent's tools and the sandbox for code work inside the service", async () => {
  const { api, login, root } = await computer();
  stayed = login("echo in; cat");
  await stayed.shown("in");
  await untilAnswers();
  api.script(toolCall("Write", { file_path: `${PROJECT}/written.txt`, content: "by the agent" }), message([]));
  await askAgent("write a file");
  expect((await root(`stat -c '%U %a' ${PROJECT}/written.txt; cat ${PROJECT}/written.txt`)).stdout).toBe(
    "alice 644\nby the agent",
  );
  const code = `console.log(6 * 7, require("fs").existsSync("${PROJECT}"))`;
  const run = await call("/v1/code/execute", { language: "javascript", code });
  expect(JSON.parse(run.body)).toMatchObject({ exit_code: 0, sandboxed: true, stdout: "42 false\n" });
});

life("killed in the middle of a turn it comes back, no claude is left over, and the session goes on", async () => {
  const { api, root, until } = await computer();
  const { session } = await askAgent("remember the word heron");
  const silent = createGate();
  api.script(message([silent]));
  const cut = call(`/v1/code/session/${session}/turns`, { prompt: "and now something long" });
  await api.waitFor(({ body }) => JSON.stringify(body.messages.at(-1)).includes("something long"));
  const claudes = (await root(CLAUDES)).stdout.trim().split("\n");
  const daemon = await property("MainPID");
  await root(`kill -9 ${daemon}`);
  expect((await cut).status).toBe(0);
  await until(`! kill -0 ${daemon} 2>/dev/null`);
  await untilAnswers();
  silent.open();
  expect(await property("NRestarts")).toBe("1");
  const left = await root(`for pid in ${claudes.join(" ")}; do kill -0 $pid 2>/dev/null && echo $pid; done`);
  expect({ claudes: claudes.length > 0, left: left.stdout }).toEqual({ claudes: true, left: "" });

  expect((await call(`/v1/code/session/${session}/turns`)).body).toContain('"status":"interrupted"');
  await continueSession(session, "which word?");
  const asked = await api.waitFor(({ body }) => JSON.stringify(body.messages.at(-1)).includes("which word?"));
  expect(JSON.stringify(asked.body.messages)).toContain("heron");
});

life("hung, the watchdog brings it back", async () => {
  const { said, root, until } = await computer();
  const override = `${HOME}/.config/systemd/user/${UNIT}.d`;
  await said(`mkdir -p ${override} && printf '[Service]\\nWatchdogSec=2\\n' >${override}/test.conf`);
  await said(`systemctl --user daemon-reload && ${DAEMON} service restart`);
  const daemon = await property("MainPID");
  await root(`kill -STOP ${daemon}`);
  await until(`! kill -0 ${daemon} 2>/dev/null`);
  await untilAnswers();
  await said(`rm -r ${override} && systemctl --user daemon-reload && ${DAEMON} service restart`);
  expect((await service("logs -n 60")).stdout).toContain("Watchdog timeout");
});

life("claude is updated in place, the old version taken away, and no request fails", async () => {
  const { said } = await computer();
  const versions = `${HOME}/.local/share/claude/versions`;
  await said(
    `mkdir -p ${versions} && cp "$(readlink -f ~/.local/bin/claude)" ${versions}/1 && cp ${versions}/1 ${versions}/2 && ` +
      `ln -sfn ${versions}/1 ~/.local/bin/claude && ${DAEMON} service restart`,
  );
  expect(await claudeInUse()).toBe(`${versions}/1`);
  await said(`ln -sfn ${versions}/2 ~/.local/bin/claude && rm ${versions}/1`);
  for (const content of ["one", "two", "three", "four"]) {
    const { status, body } = await call("/v1/chat/completions", {
      model: "haiku",
      messages: [{ role: "user", content }],
    });
    expect({ status, body }).toEqual({ status: 200, body: expect.stringContaining(`echo: ${content}`) });
  }
  expect(await claudeInUse()).toBe(`${versions}/2`);
});

life("claude is found wherever installers put it, under the bare PATH of a service", async () => {
  const { said, root } = await computer();
  const environment = `${HOME}/.config/claude-code-daemon/service.env`;
  const real = await said("readlink -f ~/.local/bin/claude");
  await said(`cp ${environment} ~/kept.env && mv ~/.local/bin/claude ~/kept.claude && : >${environment}`);
  const inHome = [
    ...[".local/bin", ".claude/local", ".npm-global/bin", ".bun/bin", ".volta/bin", ".local/share/pnpm", ".asdf/shims"],
    ...[".nvm/versions/node/v22.9.0/bin", ".local/share/fnm/node-versions/v22.9.0/installation/bin"],
    ".local/share/mise/shims",
  ].map((place) => `${HOME}/${place}`);
  const places = [...inHome, "/usr/local/bin", "/home/linuxbrew/.linuxbrew/bin"];
  const found: string[] = [];
  for (const place of places) {
    const restart = `${ASK_MANAGER} reset-failed ${UNIT}; ${ASK_MANAGER} restart ${UNIT}`;
    const there = await root(
      `test -d ${place} && echo yes; mkdir -p ${place} && mv ${real} ${place}/claude; ${restart}`,
    );
    found.push(await claudeInUse());
    await root(
      `mv ${place}/claude ${real}${there.stdout === "" ? ` && rmdir -p --ignore-fail-on-non-empty ${place}` : ""}`,
    );
  }
  // A prefix of npm's own that only an interactive shell knows of.
  await said(`mkdir -p ~/odd/bin && mv ${real} ~/odd/bin/claude && cp ~/.bashrc ~/kept.bashrc`);
  await said(`echo 'PATH=$PATH:$HOME/odd/bin' >>~/.bashrc && ${DAEMON} service restart`);
  found.push(await claudeInUse());
  await said(`mv ~/odd/bin/claude ${real} && mv ~/kept.bashrc ~/.bashrc && rm -r ~/odd`);
  await said(`mv ~/kept.claude ~/.local/bin/claude && mv ~/kept.env ${environment} && ${DAEMON} service restart`);
  expect(found).toEqual([...places, `${HOME}/odd/bin`].map((place) => `${place}/claude`));
});

life("status, stop, start, restart and logs do what they say; Ctrl-C ends logs -f", async () => {
  const { login } = await computer();
  expect(await service("status")).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("active (running)") });
  expect(await service("stop")).toMatchObject({ exitCode: 0 });
  expect(await answers()).toBe(false);
  expect(await service("status")).toMatchObject({ exitCode: 69, stdout: expect.stringContaining("inactive (dead)") });
  expect(await service("start")).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("It answers at") });
  await using terminal = login(`${DAEMON} service logs -f -n 5`, { terminal: true });
  await terminal.shown("claude is ready");
  const before = terminal.output().length;
  expect(await service("restart")).toMatchObject({ exitCode: 0 });
  await terminal.shown(/Stopped [\s\S]*Started /);
  expect(terminal.output().length).toBeGreaterThan(before);
  terminal.type("\u0003");
  expect(await terminal.exited).toBe(0);
  const logs = await service("logs -n 20");
  expect(logs).toMatchObject({ exitCode: 0, stderr: "", stdout: expect.stringContaining('msg="claude is ready"') });
  expect(await property("MainPID")).not.toBe("0");
});

life("a stop lets the running turn finish, and leaves nothing running", async () => {
  const { api, root, until } = await computer();
  const { session } = await askAgent("hello");
  const gate = createGate();
  api.script(message([textBlock(["the ", gate, "end"])]));
  const turn = continueSession(session, "take your time");
  await gate.reached;
  const daemon = await property("MainPID");
  const stopped = service("stop");
  await until(`${ASK_MANAGER} is-active ${UNIT} | grep -qx deactivating`);
  gate.open();
  expect(await turn).toContain("the end");
  expect(await stopped).toMatchObject({ exitCode: 0 });
  expect((await root(`${CLAUDES}; kill -0 ${daemon} 2>/dev/null && echo daemon`)).stdout).toBe("");
  expect(await service("start")).toMatchObject({ exitCode: 0 });
});

life("it outlives a reload and an update of the manager itself", async () => {
  const { said, until } = await computer();
  const daemon = await property("MainPID");
  await said("systemctl --user daemon-reload && systemctl --user daemon-reexec");
  await until(`${ASK_MANAGER} is-active -q ${UNIT}`);
  expect(await property("MainPID")).toBe(daemon);
  expect(await answers()).toBe(true);
});

life("a taken port is said by status and doctor, and is not hammered", async () => {
  const { root, alice, until } = await computer();
  await service("stop");
  await root("systemd-run -q --unit=squatter socat TCP4-LISTEN:8080,bind=127.0.0.1,fork,reuseaddr SYSTEM:cat");
  await until("curl -s -m 1 127.0.0.1:8080; [ $? != 7 ]");
  const start = await service("start");
  expect(start).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("Port 8080 is taken on 127.0.0.1.") });
  expect((await alice(`${DAEMON} doctor`)).stdout).toContain("port 8080 is taken");
  await until(`${ASK_MANAGER} is-failed -q ${UNIT}`);
  expect(Number(await property("NRestarts"))).toBeLessThanOrEqual(5);
  const status = await service("status");
  expect(status.exitCode).toBe(69);
  expect(status.stdout).toContain("why: Port 8080 is taken");
  expect(status.stdout).toContain("It is not tried again by itself: claude-code-daemon service start");
  await root("systemctl stop squatter");
  expect(await service("start")).toMatchObject({ exitCode: 0 });
});

life("where she may not read the journal she is told so, and still told why it does not start", async () => {
  const { said, root } = await computer();
  const config = `${HOME}/.config/claude-code-daemon/config.toml`;
  const keep = "/etc/systemd/journald.conf.d/test.conf";
  await root(`mkdir -p ${keep.replace(/[^/]+$/, "")} && printf '[Journal]\\nStorage=volatile\\n' >${keep}`);
  await root("mv /var/log/journal /var/log/kept && systemctl restart systemd-journald");
  expect(await service("restart")).toMatchObject({ exitCode: 0 });
  expect(await service("logs")).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("systemd-journal") });
  await said(`echo 'port = "many"' >${config}`);
  expect(await service("restart")).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("port") });
  const status = await service("status");
  expect(status.stdout).toMatch(/^why: .*port/m);
  await said(`rm ${config}`);
  await root(
    `rm -r ${keep.replace(/[^/]+$/, "")} && mv /var/log/kept /var/log/journal && systemctl restart systemd-journald`,
  );
  expect(await service("start")).toMatchObject({ exitCode: 0 });
});

life("an update with a newer state file, and the way back, keep the sessions", async () => {
  const { said, api } = await computer();
  const { session } = await askAgent("remember the word plover");
  const before = await said(`${DAEMON} --version`);
  const step = "s|^];|  `CREATE TABLE later (x)`,\\n];|";
  await said(`cd ${CLONE} && sed -i '${step}' src/store/migrations.ts && git commit -qam newer`);
  await install();
  const newer = await said(`${DAEMON} --version`);
  expect(newer).not.toBe(before);
  expect(JSON.parse((await call("/v1/health")).body).version).toBe(newer);
  expect(await said(`${DAEMON} session list`)).toContain(session);
  await continueSession(session, "and the word ibis");

  await said(`cd ${CLONE} && git checkout -q HEAD~1`);
  await install();
  expect(JSON.parse((await call("/v1/health")).body).version).toBe(before);
  expect(await said(`${DAEMON} session list`)).toContain(session);
  await continueSession(session, "both words?");
  const asked = await api.waitFor(({ body }) => JSON.stringify(body.messages.at(-1)).includes("both words?"));
  expect(JSON.stringify(asked.body.messages)).toMatch(/plover.*ibis/);
});

life("a state file that an older daemon cannot use stops it once, and says so", async () => {
  const { said } = await computer();
  const state = `${HOME}/.local/state/claude-code-daemon/daemon.sqlite`;
  const bun = `${HOME}/.cache/claude-code-daemon/bun-*/bun`;
  const set = (version: number, from: number) =>
    said(
      `${bun} -e 'const d = new (require("bun:sqlite").Database)("${state}"); d.run("PRAGMA user_version=${version}"); d.run("PRAGMA application_id=${from}")'`,
    );
  await service("stop");
  await set(99, 99);
  expect(await service("start")).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("a newer version") });
  expect(`${await property("ActiveState")} ${await property("ExecMainStatus")} ${await property("NRestarts")}`).toBe(
    "failed 78 0",
  );
  expect((await service("status")).stdout).toContain("why: The daemon's state was written by a newer version");
  await set(3, 2);
  expect(await service("start")).toMatchObject({ exitCode: 0 });
});

life("with lingering it is there after a reboot, before anybody logs in", async () => {
  const { root, reboot } = await computer();
  const asked = await service("install --linger");
  // Debian's minimum has no polkit, so only root may; elsewhere users may for themselves.
  if (asked.exitCode !== 0) expect(asked.stderr).toContain("sudo loginctl enable-linger");
  await root("loginctl enable-linger alice");
  expect((await service("status")).stdout).toContain("It starts with the machine");
  await reboot();
  expect((await root("loginctl list-sessions --no-legend")).stdout).toBe("");
  await untilAnswers();
  // What was logged before is still there.
  expect((await service("logs -n 1000")).stdout).toContain("Watchdog timeout");
  await root("loginctl disable-linger alice");
});

life("uninstalled, only what it names is left", async () => {
  const { root, alice, until } = await computer();
  const { exitCode, stderr } = await alice(`cd ${CLONE} && ./install.sh --uninstall`);
  expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
  expect(await answers()).toBe(false);
  await until("! pgrep -u alice");
  await root(`${LIST_FILES} >/var/log/after`);
  const left = (await root("comm -13 /var/log/before /var/log/after")).stdout.trim().split("\n");
  const named = [`${HOME}/.config/claude-code-daemon`, `${HOME}/.local/state/claude-code-daemon`];
  for (const path of named) expect(stderr).toContain(`Left in place: ${path}`);
  const claudes = [".claude", ".claude.json", ".local/bin/claude", ".local/share/claude", ".local/state/claude"];
  // Installed because there was none; it is hers now.
  claudes.push(".local/share/claude-code");
  const kept = [...named, PROJECT, ...claudes.map((path) => `${HOME}/${path}`)];
  const everybodys = ["cache", "config", "local", "local/bin", "local/share", "local/state"].map(
    (path) => `${HOME}/.${path}`,
  );
  const unexpected = left.filter(
    (path) =>
      !everybodys.includes(path) &&
      !kept.some((one) => path === one || path.startsWith(`${one}/`)) &&
      !path.startsWith("/var/tmp/systemd-private-"),
  );
  expect(unexpected).toEqual([]);
});
