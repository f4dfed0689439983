/**
 * One WebSocket: its own session, what it watches, the requests it may cancel. Frames are carried out in the order in
 * which they came; a turn runs on when the socket goes, so that a page that reloads finds it again.
 *
 * Over 300 lines: one small state machine and its frames.
 */
import { assertNever, DaemonError, toDaemonError } from "../../errors.ts";
import type { Logger } from "../../log.ts";
import {
  assertNoMoreRights,
  type CodeRequest,
  toAgentModel,
  toDecision,
  toFiles,
  toSessionTurn,
} from "../../sessions/code-request.ts";
import type { EventFrame, Subscription } from "../../sessions/hub.ts";
import type { SessionRegistry } from "../../sessions/registry.ts";
import type { Session } from "../../sessions/session.ts";
import type { JsonObject } from "../../turn/message.ts";
import { parseFrame, toErrorFrame } from "./protocol.ts";
import type { ClientFrame } from "./schema.ts";

export interface ConnectionDeps {
  registry(): Promise<SessionRegistry>;
  /** Real paths that `context.files` never reads. */
  deniedPaths: readonly string[];
  log: Logger;
}

/** What a connection needs of its socket. */
export interface Socket {
  /** 0: dropped; -1: queued; else bytes. */
  send(text: string): number;
  bufferedBytes(): number;
  close(code: number, reason: string): void;
  /** Cuts it without the closing handshake, which one that does not read would never take part in. */
  terminate(): void;
}

type Frame<Type extends ClientFrame["type"]> = Extract<ClientFrame, { type: Type }>;

interface Watched {
  session: Session;
  subscription: Subscription;
  stopAnswering: (() => void) | undefined;
}

/** Unsent bytes past which a reader is too slow. A single larger frame passes when nothing else waits. */
const MAX_BUFFERED_BYTES = 4 * 1024 * 1024;
const MAX_SUBSCRIPTIONS = 32;
/** Frames that wait for the one that is carried out. */
const MAX_PENDING_FRAMES = 64;
/** Requests that can be cancelled by their id; older ones by their turn. */
const MAX_REMEMBERED_REQUESTS = 256;
/** Frames at once, and a second: a page that sends more is broken. */
const BURST_FRAMES = 200;
const FRAMES_PER_SECOND = 100;

export const CLOSE_POLICY = 1008;

export class Connection {
  private own: Session | undefined;
  private readonly watched = new Map<string, Watched>();
  private readonly requests = new Map<string, { session: Session; turnId: string }>();
  private tail: Promise<void> = Promise.resolve();
  private pendingFrames = 0;
  private waitingForRoom: (() => void)[] = [];
  private tokens = BURST_FRAMES;
  private refilledAt = performance.now();
  private open = true;

  constructor(
    private readonly deps: ConnectionDeps,
    private readonly socket: Socket,
    /** False for a program inside a session: an agent must not approve itself. */
    private readonly mayAnswer: boolean,
  ) {}

  /** Takes one text frame. Never throws. */
  receive(text: string): void {
    if (!this.open || !this.allowed()) return;
    let frame: ClientFrame;
    try {
      frame = parseFrame(text);
    } catch (error) {
      this.send(toErrorFrame(toDaemonError(error)));
      return;
    }
    if (frame.type === "ping") {
      this.send({ type: "pong", ...(frame.id === undefined ? {} : { id: frame.id }) });
      return;
    }
    const requestId = frame.type === "code_request" ? frame.id : undefined;
    if (this.pendingFrames >= MAX_PENDING_FRAMES) {
      this.send(toErrorFrame(new DaemonError("queue_full", "Too many frames wait. Send them one by one."), requestId));
      return;
    }
    this.pendingFrames++;
    this.tail = this.tail
      .then(() => this.carryOut(frame))
      .catch((error: unknown) => this.fail(error, requestId))
      .finally(() => {
        this.pendingFrames--;
      });
  }

  receiveBinary(): void {
    if (!this.open || !this.allowed()) return;
    this.send(toErrorFrame(new DaemonError("invalid_request", "Frames are JSON text; this one was binary.")));
  }

  tooLarge(maxBytes: number): void {
    if (!this.open || !this.allowed()) return;
    const message = `The frame is larger than ${maxBytes} bytes. Send less, or name files by their path.`;
    this.send(toErrorFrame(new DaemonError("payload_too_large", message)));
  }

  /** There is room again. */
  drained(): void {
    for (const resolve of this.waitingForRoom.splice(0)) resolve();
  }

  /** The socket is gone. What runs goes on. */
  closed(): void {
    this.open = false;
    for (const { subscription, stopAnswering } of this.watched.values()) {
      subscription.close();
      stopAnswering?.();
    }
    this.watched.clear();
    this.requests.clear();
    this.drained();
  }

  private async carryOut(frame: Exclude<ClientFrame, Frame<"ping">>): Promise<void> {
    if (!this.open) return;
    switch (frame.type) {
      case "code_request":
        return this.codeRequest(frame);
      case "cancel":
        return this.cancel(frame);
      case "permission_response":
        return this.answerPermission(frame);
      case "subscribe":
        return this.subscribe(frame);
      case "unsubscribe":
        return this.unsubscribe(frame.session_id);
      default:
        return assertNever(frame);
    }
  }

  private async codeRequest(frame: Frame<"code_request">): Promise<void> {
    const asked: CodeRequest = {
      text: frame.code,
      ...(frame.context?.files === undefined ? {} : { files: toFiles(frame.context.files) }),
      ...(frame.model === undefined ? {} : { model: toAgentModel(frame.model) }),
      ...(frame.permission_mode === undefined ? {} : { permissionMode: frame.permission_mode }),
      ...(frame.expand === undefined ? {} : { expand: frame.expand }),
      ...(frame.id === undefined ? {} : { requestId: frame.id }),
    };
    if (!this.mayAnswer) assertNoMoreRights(asked);
    if (frame.permissions === true) this.assertMayAnswer();
    const session = await this.sessionFor(frame);
    // Before the session is watched or anything runs: a file that cannot be read is this request's error alone.
    const place = { workspace: session.record.workspace, deniedPaths: this.deps.deniedPaths };
    const turn = await toSessionTurn(asked, place, new AbortController().signal);
    if (!this.open) return;
    this.watch(session, undefined, frame.permissions === true);
    const { turnId } = session.submit(turn);
    this.send({
      type: "code_accepted",
      session_id: session.id,
      turn_id: turnId,
      ...(frame.id === undefined ? {} : { request_id: frame.id }),
    });
    if (frame.id !== undefined) this.remember(frame.id, session, turnId);
  }

  private async sessionFor(frame: Frame<"code_request">): Promise<Session> {
    const registry = await this.deps.registry();
    if (frame.session_id !== undefined) return registry.require(frame.session_id);
    const { own } = this;
    if (own && own.status !== "closed") {
      if (frame.workspace === undefined) return own;
      const { workspace } = own.record;
      if (frame.workspace === workspace || (await registry.resolve(frame.workspace)) === workspace) return own;
    }
    this.own = await registry.create({
      workspace: frame.workspace,
      model: toAgentModel(frame.model),
      ...(frame.permission_mode === undefined ? {} : { permissionMode: frame.permission_mode }),
    });
    return this.own;
  }

  private async cancel(frame: Frame<"cancel">): Promise<void> {
    const { request_id: requestId, turn_id: turnId, session_id: sessionId } = frame;
    const known = requestId === undefined ? undefined : this.requests.get(requestId);
    if (requestId !== undefined && !known) throw notRunning();
    const session =
      known?.session ?? (sessionId === undefined ? this.own : await (await this.deps.registry()).require(sessionId));
    const target = known?.turnId ?? turnId;
    if (!session?.isRunning(target)) throw notRunning();
    // Not awaited: its end is an event, and the next frame must not wait for claude.
    void session.interrupt(target);
  }

  private async answerPermission(frame: Frame<"permission_response">): Promise<void> {
    this.assertMayAnswer();
    const { permission_id: id, session_id: sessionId } = frame;
    const decision = toDecision(frame);
    if (sessionId !== undefined) {
      (await (await this.deps.registry()).require(sessionId)).permissions.answer(id, decision);
      return;
    }
    const watched = [...this.watched.values()].map(({ session }) => session);
    const session = watched.find(({ permissions }) => permissions.pending.some((pending) => pending.id === id));
    const target = session ?? this.own ?? watched[0];
    if (!target) throw new DaemonError("not_found", "Name the prompt's session_id, or subscribe to it first.");
    target.permissions.answer(id, decision);
  }

  private async subscribe(frame: Frame<"subscribe">): Promise<void> {
    if (frame.permissions === true) this.assertMayAnswer();
    const session = await (await this.deps.registry()).require(frame.session_id);
    if (!this.open) return;
    // Again with another `after`: the client says where it stands.
    if (frame.after !== undefined) this.release(session.id);
    this.send({
      type: "subscribed",
      session_id: session.id,
      status: session.status,
      last_seq: session.hub.lastSeq,
      pending_permissions: session.permissions.pending.map((pending) => ({
        permission_id: pending.id,
        turn_id: pending.turnId,
        tool: pending.prompt.tool,
        input: pending.prompt.input,
        suggestions: pending.prompt.suggestions,
        expires_at: pending.expiresAt,
      })),
    });
    this.watch(session, frame.after, frame.permissions === true);
  }

  private async unsubscribe(sessionId: string): Promise<void> {
    this.release(sessionId);
    this.send({ type: "unsubscribed", session_id: sessionId });
  }

  private watch(session: Session, after: number | undefined, permissions: boolean): void {
    let watched = this.watched.get(session.id);
    if (!watched) {
      if (this.watched.size >= MAX_SUBSCRIPTIONS) {
        throw new DaemonError(
          "queue_full",
          `One connection can watch ${MAX_SUBSCRIPTIONS} sessions. Unsubscribe first.`,
        );
      }
      const subscription = session.hub.subscribe(
        {
          deliver: (event) => this.deliver(event),
          ready: () => this.room(),
          dropped: (reason) => this.dropped(session.id, reason),
        },
        after,
      );
      watched = { session, subscription, stopAnswering: undefined };
      this.watched.set(session.id, watched);
    }
    if (permissions) watched.stopAnswering ??= session.permissions.addAnswerer();
  }

  private release(sessionId: string): void {
    const watched = this.watched.get(sessionId);
    watched?.subscription.close();
    watched?.stopAnswering?.();
    this.watched.delete(sessionId);
  }

  private dropped(sessionId: string, reason: "slow" | "closed"): void {
    this.release(sessionId);
    if (reason === "slow") this.tooSlow();
  }

  private tooSlow(): void {
    this.deps.log.debug("a WebSocket reads too slowly and is cut");
    this.open = false;
    this.socket.terminate();
  }

  private deliver(event: EventFrame): boolean {
    if (!this.open) return false;
    const buffered = this.socket.bufferedBytes();
    if (buffered > 0 && buffered + event.text.length > MAX_BUFFERED_BYTES) return false;
    return this.socket.send(event.text) !== 0;
  }

  private room(): Promise<void> {
    if (this.socket.bufferedBytes() === 0) return Promise.resolve();
    return new Promise((resolve) => this.waitingForRoom.push(resolve));
  }

  private send(frame: JsonObject): void {
    if (!this.open) return;
    const text = JSON.stringify(frame);
    const buffered = this.socket.bufferedBytes();
    if (buffered > 0 && buffered + text.length > MAX_BUFFERED_BYTES) this.tooSlow();
    else if (this.socket.send(text) === 0) this.tooSlow();
  }

  private fail(thrown: unknown, requestId: string | undefined): void {
    const error = toDaemonError(thrown);
    if (error.code === "internal") this.deps.log.error("a frame failed", { problem: String(error.cause) });
    this.send(toErrorFrame(error, requestId));
  }

  private remember(requestId: string, session: Session, turnId: string): void {
    this.requests.set(requestId, { session, turnId });
    const oldest = this.requests.keys().next().value;
    if (this.requests.size > MAX_REMEMBERED_REQUESTS && oldest !== undefined) this.requests.delete(oldest);
  }

  /** A token bucket: one that floods is told why and closed. */
  private allowed(): boolean {
    const now = performance.now();
    const refill = ((now - this.refilledAt) / 1000) * FRAMES_PER_SECOND;
    this.tokens = Math.min(BURST_FRAMES, this.tokens + refill);
    this.refilledAt = now;
    if (this.tokens >= 1) {
      this.tokens--;
      return true;
    }
    this.send(toErrorFrame(new DaemonError("rate_limited", "Too many frames. Reconnect and send fewer.")));
    this.open = false;
    this.socket.close(CLOSE_POLICY, "Too many frames.");
    return false;
  }

  private assertMayAnswer(): void {
    if (this.mayAnswer) return;
    throw new DaemonError(
      "forbidden",
      "A program that runs inside a session cannot answer its own permission prompts.",
    );
  }
}

function notRunning(): DaemonError {
  return new DaemonError("not_found", "Nothing of that kind runs (any more).");
}
