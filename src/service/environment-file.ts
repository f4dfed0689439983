/**
 * `service.env`: what the service knows of the user's shell. Written as systemd's EnvironmentFile reads it, one
 * `NAME="value"` a line; under launchd the daemon reads it itself.
 */

const HEADER = `# What claude-code-daemon's service has from your shell. \`claude-code-daemon service install\` writes it again;
# lines with names of your own stay. Restart the service after a change: claude-code-daemon service restart
`;

const LINE = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/;

/** Line breaks cannot be told apart from the end of a value everywhere: such a variable is left out. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is left out
const UNWRITABLE = /[\u0000-\u001f\u007f]/;

/** `previous` is the text of the file before: its lines with other names are kept as they are. */
export function renderEnvironmentFile(values: Readonly<Record<string, string>>, previous = ""): string {
  const own = Object.entries(values).filter(([, value]) => !UNWRITABLE.test(value));
  const lines = own.map(
    ([name, value]) => `${name}="${value.replaceAll(/["\\`$]/g, (character) => `\\${character}`)}"`,
  );
  const kept = previous.split("\n").filter((line) => {
    const name = LINE.exec(line)?.[1];
    return name !== undefined && !Object.hasOwn(values, name);
  });
  return `${HEADER}${[...lines, ...kept].join("\n")}\n`;
}

/** The values of such a file. Lines that are not `NAME=value` are passed over. */
export function parseEnvironmentFile(text: string): Record<string, string> {
  const values: Record<string, string> = {};
  for (const line of text.split("\n")) {
    const [, name, raw] = LINE.exec(line.trim()) ?? [];
    if (name === undefined || raw === undefined) continue;
    const quoted = /^"((?:[^"\\]|\\.)*)"$/.exec(raw)?.[1];
    const single = /^'([^']*)'$/.exec(raw)?.[1];
    values[name] = quoted?.replaceAll(/\\(["\\`$])/g, "$1") ?? single ?? raw;
  }
  return values;
}
