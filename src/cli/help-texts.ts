/** What `--help` says of each command beside its options: how it is called, how it ends, where to read on. */

export interface HelpText {
  /** Command lines without the program's name, each with what it is for. */
  examples: readonly (readonly [line: string, meaning: string])[];
  /** Exit codes beside 0 and 64 (used wrongly); a text stands in for the code's general meaning. */
  exits?: readonly (number | readonly [code: number, meaning: string])[];
  /** Below docs/. */
  docs: string;
}

const NOT_RUNNING = [69, "no daemon answers"] as const;
const NO_MANAGER = [69, "no service manager answers here"] as const;
const BAD_CONFIG = 78;

/** By the words of the command; the empty key is the program itself. */
export const HELP_TEXTS: Readonly<Record<string, HelpText>> = {
  "": {
    examples: [
      ["start", "work in this directory, on http://127.0.0.1:8080"],
      ["start --port 9000 --workspace ~/app", "elsewhere, for another directory"],
      ["demo", "try it without account and network"],
      ['chat "What is in this directory?"', "ask from the terminal"],
      ["doctor", "what is wrong, and the command that mends it"],
    ],
    exits: [1, 69, 70, 73, 75, 77, 78, 130],
    docs: "commands.md",
  },
  start: {
    examples: [
      ["start", "agents work in this directory"],
      ["start --workspace ~/a --workspace ~/b", "in these; the first is the default"],
      ["start --port 0 --json", "on a free port, which is printed"],
    ],
    exits: [[75, "the port is taken, or another daemon of yours runs"], 70, 78],
    docs: "configuration.md",
  },
  status: {
    examples: [
      ["status", "for a person"],
      ["status --json", "for a script"],
      ["status --port 9000", "of the daemon on that port"],
    ],
    exits: [[69, "no daemon answers, or it cannot run turns"]],
    docs: "api.md",
  },
  doctor: {
    examples: [
      ["doctor", "look at everything"],
      ["doctor --json", "the findings for a script or a report"],
    ],
    exits: [[1, "something is wrong (a FAULT)"]],
    docs: "commands.md",
  },
  chat: {
    examples: [
      ['chat "Write a test for src/a.ts"', "the agent works in this directory"],
      ["chat -m sonnet hello", "the bare chat model: no tools, no files"],
      ["chat", "a conversation (at a terminal), else the prompt is read from stdin"],
    ],
    exits: [NOT_RUNNING, 75, 77, 130],
    docs: "conversations.md",
  },
  demo: {
    examples: [
      ["demo", "on http://127.0.0.1:8080"],
      ["demo --port 9000", "beside a running daemon"],
      ["demo --workspace ~/app", "let it write there"],
    ],
    exits: [[75, "the port is taken"], 78],
    docs: "installation.md",
  },
  session: {
    examples: [
      ["session list", "what is open"],
      ["session show ses_0123456789abcdefghijklmn", "one of them"],
    ],
    exits: [NOT_RUNNING],
    docs: "sessions.md",
  },
  "session list": {
    examples: [
      ["session list", "what is open"],
      ["session list --all -n 100", "closed ones too"],
      ["session list --terminal", "begun with claude itself"],
    ],
    exits: [NOT_RUNNING],
    docs: "sessions.md",
  },
  "session show": {
    examples: [
      ["session show ses_0123456789abcdefghijklmn", "its last turns"],
      ["session show -f ses_0123456789abcdefghijklmn", "and what happens now"],
    ],
    exits: [
      [1, "there is no such session"],
      [69, "no daemon answers, or it stopped while you followed"],
    ],
    docs: "sessions.md",
  },
  "session stop": {
    examples: [
      ["session stop ses_0123456789abcdefghijklmn", "interrupt its turn"],
      ["session stop --close ses_0123456789abcdefghijklmn", "and let it take no more"],
    ],
    exits: [[1, "there is no such session"], NOT_RUNNING],
    docs: "sessions.md",
  },
  origin: {
    examples: [
      ["origin allow http://localhost:5173", "a web app under development"],
      ["origin list", "who may"],
    ],
    docs: "security.md",
  },
  "origin allow": {
    examples: [["origin allow http://localhost:5173", "no restart is needed"]],
    docs: "security.md",
  },
  "origin revoke": {
    examples: [["origin revoke http://localhost:5173", "no restart is needed"]],
    exits: [[1, "it was not on the list"]],
    docs: "security.md",
  },
  "origin list": {
    examples: [
      ["origin list", "those of the list and of the config"],
      ["origin list --json", "for a script"],
    ],
    exits: [BAD_CONFIG],
    docs: "security.md",
  },
  workspace: {
    examples: [
      ["workspace add ~/app", "let agents work there"],
      ["workspace list", "where they may"],
    ],
    docs: "security.md",
  },
  "workspace add": {
    examples: [
      ["workspace add", "this directory"],
      ["workspace add ~/app", "another one"],
    ],
    docs: "security.md",
  },
  "workspace remove": {
    examples: [["workspace remove ~/app", "the files in it stay"]],
    exits: [[1, "it was not on the list"]],
    docs: "security.md",
  },
  "workspace list": {
    examples: [
      ["workspace list", "those of the list and of the config"],
      ["workspace list --json", "for a script"],
    ],
    exits: [BAD_CONFIG],
    docs: "security.md",
  },
  service: {
    examples: [
      ["service install", "from now on it starts by itself"],
      ["service status", "whether it runs"],
      ["service logs -f", "watch what it logs"],
    ],
    exits: [NO_MANAGER],
    docs: "service.md",
  },
  "service install": {
    examples: [
      ["service install", "when you log in"],
      ["service install --linger", "when the machine starts"],
      ["service install --env ANTHROPIC_API_KEY", "with the login of this shell"],
    ],
    exits: [[1, "the manager refused, or the daemon does not come up"], NO_MANAGER, 78],
    docs: "service.md",
  },
  "service uninstall": {
    examples: [["service uninstall", "it says what is left"]],
    exits: [[1, "the manager refused"], NO_MANAGER],
    docs: "service.md",
  },
  "service start": {
    examples: [["service start", "waits until it answers"]],
    exits: [[1, "it is not installed, or does not come up"], NO_MANAGER],
    docs: "service.md",
  },
  "service stop": {
    examples: [["service stop", "running turns may finish first"]],
    exits: [[1, "it is not installed, or the manager refused"], NO_MANAGER],
    docs: "service.md",
  },
  "service restart": {
    examples: [["service restart", "after a change of config.toml"]],
    exits: [[1, "it is not installed, or does not come up"], NO_MANAGER],
    docs: "service.md",
  },
  "service status": {
    examples: [
      ["service status", "for a person"],
      ["service status --json", "for a script"],
    ],
    exits: [[69, "it does not run, or no service manager answers here"]],
    docs: "service.md",
  },
  "service logs": {
    examples: [
      ["service logs", "the last 100 lines"],
      ["service logs -f -n 0", "only what comes"],
    ],
    exits: [NO_MANAGER],
    docs: "service.md",
  },
  logs: {
    examples: [
      ["logs", "the last 100 lines"],
      ["logs -f", "and what comes"],
    ],
    exits: [NO_MANAGER],
    docs: "service.md",
  },
  config: {
    examples: [
      ["config show", "what is in force here"],
      ["config path", "where to change it"],
    ],
    docs: "configuration.md",
  },
  "config show": {
    examples: [
      ["config show", "each value with its source"],
      ["config show --json", "for a script"],
    ],
    exits: [BAD_CONFIG],
    docs: "configuration.md",
  },
  "config path": {
    examples: [
      ["config path", "for a person"],
      ["config path --json", "for a script"],
    ],
    exits: [BAD_CONFIG],
    docs: "configuration.md",
  },
  completion: {
    examples: [
      ["completion bash", "used by this line in ~/.bashrc: source <(claude-code-daemon completion bash)"],
      ["completion zsh", "the same in ~/.zshrc, after compinit"],
      ["completion fish", "written to ~/.config/fish/completions/claude-code-daemon.fish"],
    ],
    docs: "commands.md",
  },
};
