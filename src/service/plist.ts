/** The launchd agent as a property list. Pure. */
import { DaemonError } from "../errors.ts";

export interface PlistOptions {
  label: string;
  command: readonly string[];
  home: string;
  /** Not secret: launchd wants the file readable by everybody. */
  environment: Readonly<Record<string, string>>;
  logFile: string;
}

type Value = string | number | boolean | readonly Value[] | { readonly [key: string]: Value };

/** XML 1.0 has no way to write most control characters. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
const UNWRITABLE = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/;

function escapeXml(text: string): string {
  if (UNWRITABLE.test(text)) {
    throw new DaemonError("invalid_request", `${JSON.stringify(text)} cannot stand in a property list of launchd.`, {
      detail: { exit: 78 },
    });
  }
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function renderValue(value: Value, indent: string): string {
  if (typeof value === "string") return `${indent}<string>${escapeXml(value)}</string>`;
  if (typeof value === "number") return `${indent}<integer>${value}</integer>`;
  if (typeof value === "boolean") return `${indent}<${value}/>`;
  if (Array.isArray(value)) {
    return [`${indent}<array>`, ...value.map((item) => renderValue(item, `${indent}\t`)), `${indent}</array>`].join(
      "\n",
    );
  }
  const entries = Object.entries(value).flatMap(([key, item]) => [
    `${indent}\t<key>${escapeXml(key)}</key>`,
    renderValue(item, `${indent}\t`),
  ]);
  return [`${indent}<dict>`, ...entries, `${indent}</dict>`].join("\n");
}

/**
 * Kept alive after a failure only: a daemon that ends with 0 stays down, and under launchd it also ends with 0 where a
 * person must correct something. Interactive, because the background class slows down the agents' work.
 */
export function renderPlist(options: PlistOptions): string {
  const dictionary = {
    Label: options.label,
    ProgramArguments: options.command,
    EnvironmentVariables: options.environment,
    WorkingDirectory: options.home,
    RunAtLoad: true,
    KeepAlive: { SuccessfulExit: false },
    ThrottleInterval: 10,
    ExitTimeOut: 30,
    ProcessType: "Interactive",
    StandardOutPath: options.logFile,
    StandardErrorPath: options.logFile,
  };
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
${renderValue(dictionary, "")}
</plist>
`;
}
