/**
 * Whether a caller is a program that runs inside one of our sessions: an agent must not approve itself. The peer's socket
 * is found in /proc/net, its holder among the processes that carry our mark.
 *
 * Not found: a process that threw its environment away and left the tree. It is one user, and out of reach (docs/security.md).
 */
import { readdir, readFile, readlink } from "node:fs/promises";
import { listDescendants, listMarked } from "../claude/descendants.ts";

export interface Peer {
  address: string;
  port: number;
}

export interface Connected {
  peer: Peer;
  /** Port of ours that the peer is connected to. */
  localPort: number;
}

/** Hex of an address as /proc/net/tcp{,6} writes it: 32-bit words in host order (little endian on all we run on). */
function hexAddress(address: string): string | undefined {
  if (address === "::1") return "00000000000000000000000001000000";
  const plain = address.replace(/^::ffff:/, "");
  const parts = plain.split(".").map(Number);
  if (parts.length !== 4 || parts.some((part) => !Number.isInteger(part) || part < 0 || part > 255)) return undefined;
  return parts
    .reverse()
    .map((part) => part.toString(16).toUpperCase().padStart(2, "0"))
    .join("");
}

const hexPort = (port: number) => port.toString(16).toUpperCase().padStart(4, "0");

/** The inode of the peer's own end of the connection; undefined where the kernel does not tell. */
async function inodeOf(peer: Peer, localPort: number): Promise<string | undefined> {
  const address = hexAddress(peer.address);
  if (address === undefined) return undefined;
  for (const table of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    const text = await readFile(table, "latin1").catch(() => "");
    for (const line of text.split("\n")) {
      const fields = line.trim().split(/\s+/);
      const [local = "", remote = ""] = [fields[1], fields[2]];
      if (!local.endsWith(`${address}:${hexPort(peer.port)}`) || !remote.endsWith(`:${hexPort(localPort)}`)) continue;
      return fields[9];
    }
  }
  return undefined;
}

async function holds(pid: number, inode: string): Promise<boolean> {
  const wanted = `socket:[${inode}]`;
  const entries = await readdir(`/proc/${pid}/fd`).catch(() => []);
  for (const entry of entries) {
    if ((await readlink(`/proc/${pid}/fd/${entry}`).catch(() => "")) === wanted) return true;
  }
  return false;
}

/**
 * `marker` is on everything that this daemon starts. True also where it cannot be told (no /proc, an unknown peer): what hangs on it is refused then. Reads a few hundred
 * files of /proc, so it is for the rare requests that answer prompts or choose rights.
 */
export async function isInsideSession(
  caller: Connected | undefined,
  marker: { name: string; value: string },
): Promise<boolean> {
  if (!caller) return true;
  const inode = await inodeOf(caller.peer, caller.localPort);
  if (inode === undefined || inode === "0") return true;
  const ours = [...(await listDescendants(process.pid)), ...(await listMarked(marker.name, marker.value))];
  for (const pid of new Set(ours.map((entry) => entry.pid))) if (await holds(pid, inode)) return true;
  return false;
}
