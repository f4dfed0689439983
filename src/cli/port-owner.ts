/** Which program listens on a port of this machine, as far as this user may know (Linux: /proc). */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

export interface PortOwner {
  /** Undefined where the process is another user's. */
  pid: number | undefined;
  /** The process's own name. */
  name: string | undefined;
  uid: number;
}

const LISTENING = "0A";

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** The sockets that listen on the port: inode and owner. */
function listeners(port: number): { inode: string; uid: number }[] {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return ["/proc/net/tcp", "/proc/net/tcp6"].flatMap((table) =>
    read(table)
      .split("\n")
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter(([, local = "", , state]) => local.endsWith(wanted) && state === LISTENING)
      .map((fields) => ({ uid: Number(fields[7]), inode: fields[9] ?? "" })),
  );
}

function holds(pid: string, sockets: ReadonlySet<string>): boolean {
  try {
    const directory = `/proc/${pid}/fd`;
    return readdirSync(directory).some((fd) => {
      try {
        return sockets.has(readlinkSync(`${directory}/${fd}`));
      } catch {
        return false; // closed meanwhile
      }
    });
  } catch {
    return false; // another user's, or gone
  }
}

/** Undefined where nothing listens there, or this system has no /proc. */
export function portOwner(port: number): PortOwner | undefined {
  const found = listeners(port);
  const [first] = found;
  if (!first) return undefined;
  const sockets = new Set(found.map(({ inode }) => `socket:[${inode}]`));
  const pid = readdirSync("/proc").find((entry) => /^\d+$/.test(entry) && holds(entry, sockets));
  const name = pid === undefined ? undefined : read(`/proc/${pid}/comm`).trim();
  return { pid: pid === undefined ? undefined : Number(pid), name, uid: first.uid };
}
