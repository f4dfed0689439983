/**
 * What systemd is told (sd_notify): ready, alive, stopping. One datagram a message, by libc, because neither Bun nor
 * Node has datagrams on Unix sockets. Loaded only where systemd asks for it.
 */
import { ptr } from "bun:ffi";
import type { HostFacts } from "../config/environment.ts";
import type { Logger } from "../log.ts";
import { openLibc } from "./libc.ts";

export interface Notifier {
  /** It listens and claude was checked: `systemctl start` returns. */
  ready(): void;
  /** It drains; systemd waits this long before it kills. */
  stopping(withinMs: number): void;
}

const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000;
const MSG_NOSIGNAL = 0x4000;
/** Of `sun_path`, the final NUL included. */
const MAX_PATH_BYTES = 108;

/** `struct sockaddr_un`; a leading `@` stands for the NUL of an abstract name, whose length counts. */
export function socketAddress(path: string): Uint8Array | undefined {
  const abstract = path.startsWith("@");
  const bytes = Buffer.from(abstract ? `\0${path.slice(1)}` : `${path}\0`);
  if ((!abstract && !path.startsWith("/")) || bytes.length > MAX_PATH_BYTES) return undefined;
  const address = new Uint8Array(2 + bytes.length);
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(bytes, 2);
  return address;
}

function openSender(address: Uint8Array): (text: string) => boolean {
  const symbols = {
    socket: { args: ["i32", "i32", "i32"], returns: "i32" },
    sendto: { args: ["i32", "ptr", "u64", "i32", "ptr", "u32"], returns: "i64" },
  } as const;
  const { socket, sendto } = openLibc(symbols);
  // Open for the rest of the process's life.
  const descriptor = socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0);
  return (text) => {
    const bytes = Buffer.from(text);
    return sendto(descriptor, ptr(bytes), bytes.length, MSG_NOSIGNAL, ptr(address), address.length) >= 0n;
  };
}

/** Of a failure's text: one line in `systemctl status`. */
const MAX_STATUS_CHARS = 1000;

/** Why it ends, kept by systemd until the next start (`StatusText`): it is there where no journal can be read. */
export function tellFailure(env: HostFacts["env"], text: string): void {
  const address = env.NOTIFY_SOCKET === undefined ? undefined : socketAddress(env.NOTIFY_SOCKET);
  if (address === undefined) return;
  try {
    openSender(address)(`STATUS=${text.replaceAll(/\s+/g, " ").slice(0, MAX_STATUS_CHARS)}`);
  } catch {
    // It is in the log too.
  }
}

/** Half of what systemd allows, as it advises. */
function watchdogMs(env: HostFacts["env"], pid: number): number | undefined {
  const { WATCHDOG_USEC: allowed, WATCHDOG_PID: meant } = env;
  if (allowed === undefined || !/^\d{4,15}$/.test(allowed)) return undefined;
  if (meant !== undefined && meant !== String(pid)) return undefined;
  return Number(allowed) / 2000;
}

/**
 * Undefined where nobody listens for it. Keeps the watchdog quiet from here on for as long as the event loop turns.
 * Never throws: a daemon that cannot tell still works, until systemd loses patience.
 */
export function openNotifier(env: HostFacts["env"], log: Logger): Notifier | undefined {
  const address = env.NOTIFY_SOCKET === undefined ? undefined : socketAddress(env.NOTIFY_SOCKET);
  if (address === undefined) return undefined;
  let send: (text: string) => boolean;
  try {
    send = openSender(address);
  } catch (error) {
    log.error("systemd cannot be told that the daemon is ready", { reason: String(error) });
    return undefined;
  }
  const tell = (text: string) => {
    if (!send(text)) log.warn("systemd did not take a message", { text });
  };
  const everyMs = watchdogMs(env, process.pid);
  if (everyMs !== undefined) setInterval(() => tell("WATCHDOG=1"), everyMs).unref();
  return {
    ready: () => tell("READY=1"),
    stopping: (withinMs) => tell(`STOPPING=1\nEXTEND_TIMEOUT_USEC=${Math.ceil(withinMs * 1000)}`),
  };
}
