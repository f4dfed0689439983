/**
 * Structured logs: `key=value` lines on stderr. No timestamps under systemd (journald adds them), no prompt text above
 * `debug`, and no raw control character ever (log injection, terminal escapes).
 */

export const LOG_LEVELS = ["error", "warn", "info", "debug"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Logger {
  error(text: string, fields?: LogFields): void;
  warn(text: string, fields?: LogFields): void;
  info(text: string, fields?: LogFields): void;
  debug(text: string, fields?: LogFields): void;
  /** A logger that adds these fields to every line. */
  child(fields: LogFields): Logger;
  /** Guards work that only a debug line needs. */
  enabled(level: LogLevel): boolean;
}

export interface LoggerOptions {
  level: LogLevel;
  /** Prefix each line with an ISO time; off under systemd. */
  timestamps: boolean;
  /** Prefix each line with its priority as journald takes it off again: `journalctl -p err` finds errors. */
  priorities?: boolean;
  write?: (line: string) => void;
}

/** syslog's numbers. */
export const LOG_PRIORITIES: Readonly<Record<LogLevel, number>> = { error: 3, warn: 4, info: 6, debug: 7 };

/** Longest value written; the rest is cut with an ellipsis. */
const MAX_VALUE_CHARS = 2000;

/** JSON quoting, plus the control and line-separator characters that JSON leaves alone. */
function quote(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\u009f\u2028\u2029\u202a-\u202e]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function encodeValue(value: string | number | boolean): string {
  if (typeof value !== "string") return String(value);
  const cut = value.length > MAX_VALUE_CHARS ? `${value.slice(0, MAX_VALUE_CHARS)}…` : value;
  return /^[\w./:@+-]+$/.test(cut) ? cut : quote(cut);
}

export function createLogger(options: LoggerOptions, fields: LogFields = {}): Logger {
  const threshold = LOG_LEVELS.indexOf(options.level);
  const write = options.write ?? ((line: string) => void process.stderr.write(line));
  const enabled = (level: LogLevel) => LOG_LEVELS.indexOf(level) <= threshold;
  const log = (level: LogLevel) => (text: string, extra?: LogFields) => {
    if (!enabled(level)) return;
    let line = options.priorities ? `<${LOG_PRIORITIES[level]}>` : "";
    line += options.timestamps ? `time=${new Date().toISOString()} ` : "";
    line += `level=${level} msg=${quote(text)}`;
    for (const [key, value] of Object.entries({ ...fields, ...extra })) {
      if (value !== undefined) line += ` ${key}=${encodeValue(value)}`;
    }
    write(`${line}\n`);
  };
  return {
    error: log("error"),
    warn: log("warn"),
    info: log("info"),
    debug: log("debug"),
    child: (more) => createLogger(options, { ...fields, ...more }),
    enabled,
  };
}
