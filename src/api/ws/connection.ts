/**
 * One WebSocket: its own session, what it watches, the requests it may cancel. Frames are carried out in the order in
 * which they came; a turn runs on when the socket goes, so that a page that reloads finds it again.
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
import type { Subscription } from "../../sessions/hub.ts";
import type { SessionRegistry } from "../../sessions/registry.ts";
import type { Session } from "../../sessions/session.ts";
import { FrameBudget, Outlet, type Socket } from "./outlet.ts";
import { parseFrame, toErrorFrame } from "./protocol.ts";
import type { ClientFrame } from "./schema.ts";

export interface ConnectionDeps {
  registry(): Promise<SessionRegistry>;
  /** Real paths that `context.files` never reads. */
  deniedPaths: readonly string[];
  log: Logger;
}

type Frame<Type extends ClientFrame["type"]> = Extract<ClientFrame, { type: Type }>;

interface Watched {
  session: Session;
  subscription: Subscription;
  stopAnswering: (() => void) | undefined;
}

const MAX_SUBSCRIPTIONS = 32;
/** Frames that wait for the one that is carried out. */
const MAX_PENDING_FRAMES = 64;
/** Requests that can be cancelled by their id; older ones by their turn. */
const MAX_REMEMBERED_REQUESTS = 256;
export const CLOSE_POLICY = 1008;

export class Connection {
  private own: Session | undefined;
  private readonly watched = new Map<string, Watched>();
  private readonly requests = new Map<string, { session: Session; turnId: string }>();
  private tail: Promise<void> = Promise.resolve();
  private pendingFrames = 0;
  private readonly budget = new FrameBudget();
  private readonly outlet: Outlet;

  constructor(
    private readonly deps: ConnectionDeps,
    socket: Socket,
    /** False for a program inside a session: an agent must not approve itself. */
    private readonly mayAnswer: boolean,
  ) {
    this.outlet = new Outlet(socket, deps.log);
  }

  /** Takes one text frame. Never throws. */
  receive(text: string): void {
    if (!this.outlet.open || !this.allowed()) return;
    let frame: ClientFrame;
    try {
      frame = parseFrame(text);
    } catch (error) {
      this.outlet.send(toErrorFrame(toDaemonError(error)));
      return;
    }
    if (frame.type === "ping") {
      this.outlet.send({ type: "pong", ...(frame.id === undefined ? {} : { id: frame.id }) });
      return;
    }
    const requestId = frame.type === "code_request" ? frame.id : undefined;
    if (this.pendingFrames >= MAX_PENDING_FRAMES) {
      const error = new DaemonError("queue_full", "Too many frames wait. Send them one by one.");
      this.outlet.send(toErrorFrame(error, requestId));
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
    if (!this.outlet.open || !this.allowed()) return;
    this.outlet.send(toErrorFrame(new DaemonError("invalid_request", "Frames are JSON text; this one was binary.")));
  }

  tooLarge(maxBytes: number): void {
    if (!this.outlet.open || !this.allowed()) return;
    const message = `The frame is larger than ${maxBytes} bytes. Send less, or name files by their path.`;
    this.outlet.send(toErrorFrame(new DaemonError("payload_too_large", message)));
  }

  /** There is room again. */
  drained(): void {
    this.outlet.drained();
  }

  /** The socket is gone. What runs goes on. */
  closed(): void {
    this.outlet.gone();
    for (const { subscription, stopAnswering } of this.watched.values()) {
      subscription.close();
      stopAnswering?.();
    }
    this.watched.clear();
    this.requests.clear();
  }

  private async carryOut(frame: Exclude<ClientFrame, Frame<"ping">>): Promise<void> {
    if (!this.outlet.open) return;
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
    if (!this.outlet.open) return;
    this.watch(session, undefined, frame.permissions === true);
    const { turnId } = session.submit(turn);
    this.outlet.send({
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
    const asks = ({ permissions }: Session) => permissions.pending.some((pending) => pending.id === id);
    const target = watched.find(asks) ?? this.own ?? watched[0];
    if (!target) throw new DaemonError("not_found", "Name the prompt's session_id, or subscribe to it first.");
    target.permissions.answer(id, decision);
  }

  private async subscribe(frame: Frame<"subscribe">): Promise<void> {
    if (frame.permissions === true) this.assertMayAnswer();
    const session = await (await this.deps.registry()).require(frame.session_id);
    if (!this.outlet.open) return;
    // Again with another `after`: the client says where it stands.
    if (frame.after !== undefined) this.release(session.id);
    this.outlet.send({
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

  private unsubscribe(sessionId: string): void {
    this.release(sessionId);
    this.outlet.send({ type: "unsubscribed", session_id: sessionId });
  }

  private watch(session: Session, after: number | undefined, permissions: boolean): void {
    let watched = this.watched.get(session.id);
    if (!watched) {
      if (this.watched.size >= MAX_SUBSCRIPTIONS) {
        const message = `One connection can watch ${MAX_SUBSCRIPTIONS} sessions. Unsubscribe first.`;
        throw new DaemonError("queue_full", message);
      }
      const subscription = session.hub.subscribe(
        {
          deliver: (event) => this.outlet.deliver(event),
          ready: () => this.outlet.room(),
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
    if (reason === "slow") this.outlet.tooSlow();
  }

  private fail(thrown: unknown, requestId: string | undefined): void {
    const error = toDaemonError(thrown);
    if (error.code === "internal") this.deps.log.error("a frame failed", { problem: String(error.cause) });
    this.outlet.send(toErrorFrame(error, requestId));
  }

  private remember(requestId: string, session: Session, turnId: string): void {
    this.requests.set(requestId, { session, turnId });
    const oldest = this.requests.keys().next().value;
    if (this.requests.size > MAX_REMEMBERED_REQUESTS && oldest !== undefined) this.requests.delete(oldest);
  }

  /** One that floods is told why and closed. */
  private allowed(): boolean {
    if (this.budget.take()) return true;
    this.outlet.send(toErrorFrame(new DaemonError("rate_limited", "Too many frames. Reconnect and send fewer.")));
    this.outlet.close(CLOSE_POLICY, "Too many frames.");
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
