/**
 * Which processes are worth booting ahead of need: decided from what was asked for lately, nothing else. Pure state, no
 * processes; `pool.ts` boots and hands them out.
 */
import { CryptoHasher } from "bun";
import type { ProcessNeed } from "./contracts.ts";
import { canonicalJson } from "./history-hash.ts";

/** A spare to keep. Initialized ones are faster and serve one profile only. */
export interface SpareProfile {
  key: string;
  need: ProcessNeed;
  initialize: boolean;
}

export interface SparePolicy {
  /** Uninitialized chat processes: each serves any new chat. */
  chatSpares: number;
  /** Initialized processes kept for profiles that come again and again. */
  profileSpares: number;
  /** A profile not asked for this long is forgotten. */
  recentMs: number;
}

interface Seen {
  need: ProcessNeed;
  count: number;
  at: number;
}

/** Profiles remembered at most; the least recently seen is forgotten first. */
const MAX_REMEMBERED = 32;
/** A system prompt must have come this often before a process is kept for it alone. */
const MIN_REPEATS = 2;
/** Longest system prompt (with tools) for which a spare is kept: it is held in memory for that long. */
const MAX_PROFILE_CHARS = 200_000;

/** Spares never resume, and never carry a chosen session id: only such needs can be served by one. */
export function canUseSpare(need: ProcessNeed): boolean {
  const { launch } = need;
  return launch.resume === undefined && launch.sessionId === undefined && launch.answerInterrupted !== true;
}

/** Two needs with one key can be served by the same uninitialized process. A chat's model is set late. */
export function launchKey(need: ProcessNeed): string {
  const { model, ...launch } = need.launch;
  return canonicalJson({ ...launch, model: launch.kind === "chat" ? null : (model ?? null) } as never);
}

/** A digest: system prompts and tools may be large, and every process carries its key. */
export function initializeKey(need: ProcessNeed): string {
  return new CryptoHasher("sha256").update(canonicalJson(need.initialize as never)).digest("base64url");
}

function sizeOf({ initialize }: ProcessNeed): number {
  const tools = initialize.clientTools === undefined ? 0 : JSON.stringify(initialize.clientTools).length;
  return (initialize.systemPrompt?.length ?? 0) + (initialize.appendSystemPrompt?.length ?? 0) + tools;
}

export class RecentProfiles {
  /** In the order in which they were last seen. */
  private readonly seen = new Map<string, Seen>();
  /** The model of the last chat: a spare that has it already need not be told. */
  private chatModel: string | undefined;

  constructor(private readonly policy: SparePolicy) {}

  note(need: ProcessNeed, at: number): void {
    if (!canUseSpare(need)) return;
    if (need.launch.kind === "chat") this.chatModel = need.launch.model;
    if (sizeOf(need) > MAX_PROFILE_CHARS) return;
    const key = `${need.launch.kind} ${need.launch.model ?? ""} ${launchKey(need)} ${initializeKey(need)}`;
    const count = (this.seen.get(key)?.count ?? 0) + 1;
    this.seen.delete(key);
    this.seen.set(key, { need, count, at });
    for (const oldest of this.seen.keys()) {
      if (this.seen.size <= MAX_REMEMBERED) break;
      this.seen.delete(oldest);
    }
  }

  /** What should stand ready, most useful first. `chat` is the launch of an uninitialized chat process. */
  wanted(now: number, chat: ProcessNeed): SpareProfile[] {
    for (const [key, entry] of this.seen) if (now - entry.at > this.policy.recentMs) this.seen.delete(key);
    const profiles: SpareProfile[] = [];
    const launch = this.chatModel === undefined ? chat.launch : { ...chat.launch, model: this.chatModel };
    for (let index = 0; index < this.policy.chatSpares; index++) {
      profiles.push({ key: `chat ${index}`, need: { ...chat, launch }, initialize: false });
    }
    let initialized = 0;
    for (const [key, entry] of [...this.seen].reverse()) {
      if (initialized >= this.policy.profileSpares) break;
      // An agent's workspace is worth a process from its first use: its first prompt is the slowest of all.
      if (entry.need.launch.kind === "chat" && entry.count < MIN_REPEATS) continue;
      profiles.push({ key, need: entry.need, initialize: true });
      initialized += 1;
    }
    return profiles;
  }
}
