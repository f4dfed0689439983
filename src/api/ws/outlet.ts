/** Both bounds of one WebSocket: what may wait for its reader, and how many frames its writer may send. */
import type { Logger } from "../../log.ts";
import type { EventFrame } from "../../sessions/hub.ts";
import type { JsonObject } from "../../turn/message.ts";

/** What a connection needs of its socket. */
export interface Socket {
  /** 0: dropped; -1: queued; else bytes. */
  send(text: string): number;
  bufferedBytes(): number;
  close(code: number, reason: string): void;
  /** Cuts it without the closing handshake, which one that does not read would never take part in. */
  terminate(): void;
}

/** Unsent bytes past which a reader is too slow. A single larger frame passes when nothing else waits. */
const MAX_BUFFERED_BYTES = 4 * 1024 * 1024;
/** Frames at once, and a second: a page that sends more is broken. */
const BURST_FRAMES = 200;
const FRAMES_PER_SECOND = 100;

/** What goes out. Nothing is sent once it is closed; a reader that is too slow is cut. */
export class Outlet {
  private waitingForRoom: (() => void)[] = [];
  private isOpen = true;

  constructor(
    private readonly socket: Socket,
    private readonly log: Logger,
  ) {}

  get open(): boolean {
    return this.isOpen;
  }

  send(frame: JsonObject): void {
    if (this.isOpen && !this.fits(JSON.stringify(frame))) this.tooSlow();
  }

  /** False where the reader is too slow for this event. */
  deliver(event: EventFrame): boolean {
    return this.isOpen && this.fits(event.text);
  }

  /** Settles when nothing waits, or nobody is there to wait for. */
  room(): Promise<void> {
    if (this.socket.bufferedBytes() === 0) return Promise.resolve();
    return new Promise((resolve) => this.waitingForRoom.push(resolve));
  }

  /** There is room again. */
  drained(): void {
    for (const resolve of this.waitingForRoom.splice(0)) resolve();
  }

  tooSlow(): void {
    this.log.debug("a WebSocket reads too slowly and is cut");
    this.isOpen = false;
    this.socket.terminate();
  }

  close(code: number, reason: string): void {
    this.isOpen = false;
    this.socket.close(code, reason);
  }

  /** The socket has been closed by somebody else. */
  gone(): void {
    this.isOpen = false;
    this.drained();
  }

  private fits(text: string): boolean {
    const buffered = this.socket.bufferedBytes();
    if (buffered > 0 && buffered + text.length > MAX_BUFFERED_BYTES) return false;
    return this.socket.send(text) !== 0;
  }
}

/** A token bucket for what comes in. */
export class FrameBudget {
  private tokens = BURST_FRAMES;
  private refilledAt = performance.now();

  /** False where there were too many. */
  take(): boolean {
    const now = performance.now();
    const refill = ((now - this.refilledAt) / 1000) * FRAMES_PER_SECOND;
    this.tokens = Math.min(BURST_FRAMES, this.tokens + refill);
    this.refilledAt = now;
    if (this.tokens < 1) return false;
    this.tokens--;
    return true;
  }
}
