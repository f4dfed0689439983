/** The keys as a Markdown table, for docs/configuration.md. */
import { type ConfigKey, configKeys } from "./schema.ts";

function shown(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? "`[]`" : value.map((item) => `\`${item}\``).join(", ");
  if (typeof value === "object") return "`{}`";
  return value === "" ? "(empty)" : `\`${String(value)}\``;
}

function row(key: ConfigKey): string {
  const names = key.env.map((name) => `\`${name}\``).join(", ");
  const flag = key.flag === undefined ? "" : `\`--${key.flag}\`, `;
  const cells = [`\`${key.name}\``, shown(key.schema.default), key.description, flag + names];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}

/** Deterministic; a test compares it with the docs. */
export function renderConfigTable(): string {
  const head = ["| key | default | meaning | flag, environment |", "| --- | --- | --- | --- |"];
  return [...head, ...configKeys().map(row)].join("\n");
}
