// Whether the line to the server is there, and what to do about it. Sans-IO: `now` comes in, actions come out.
import type { PerfMs } from './units';

/** Silence after which a probe is sent, and after which the line counts as lost: with a heartbeat and a frame it is shown within 1 s. */
export const PROBE_MS = 400;
export const LOST_MS = 800;

/** Any message from the server, on any path, is a sign of life. */
export class LineWatch {
  private heard: PerfMs | null = null;
  private probedFor: PerfMs | null = null;
  private pictured: PerfMs | null = null;
  private redialledFor: PerfMs | null = null;

  handleHeard(now: PerfMs): void { this.heard = now; }

  /** True once for each silence: send a ping now, so that a quiet line is told from a dead one in time. */
  pollProbe(now: PerfMs): boolean {
    if (this.heard === null || now - this.heard < PROBE_MS || this.probedFor === this.heard) return false;
    this.probedFor = this.heard;
    return true;
  }

  /** Since when the line is lost; null while it is there or was never there. */
  lostSince(now: PerfMs): PerfMs | null {
    return this.heard !== null && now - this.heard >= LOST_MS ? this.heard : null;
  }

  /** A picture that was shown came then. */
  handlePicture(came: PerfMs): void { if (this.lostSince(came) !== null) this.pictured = this.heard; }

  /**
   * True once for each silence in which pictures flow again: the network is back, and a fresh socket gets through long before
   * the retransmission timers of the old one, which have doubled all the while (RFC 6298 §5.5).
   */
  pollRedial(): boolean {
    if (this.pictured === null || this.pictured !== this.heard || this.redialledFor === this.heard) return false;
    this.redialledFor = this.heard;
    return true;
  }

  get everHeard(): boolean { return this.heard !== null; }
}

/** Waits between attempts: 0.25 s doubling to 1 s, so that a server that is back is noticed within a second. */
export class Backoff {
  private next = 250;
  delayMs(): number {
    const now = this.next;
    this.next = Math.min(1_000, this.next * 2);
    return now;
  }
  handleSuccess(): void { this.next = 250; }
}

/** Time given to an offer before it is made anew (half as much again for each that failed, to twice as much: a line may be long), and silence of an established path, probed, before it counts as gone. */
export const OFFER_MS = 5_000;
export const MEDIA_SILENT_MS = 1_500;
/** Silence of the path after which it is probed, and then how often: on a bad line one probe is lost, or its answer. */
export const MEDIA_PROBE_MS = 300, MEDIA_PROBE_AGAIN_MS = 100;
/** So many signs of life within a second: silence after them is no loss of a few packets. Pictures that are paused for the line leave it to a probe now and then. */
const LIVELY_SIGNS = 15, LIVELY_MS = 1_000;
/** Silence of an established path after which its way is looked for anew (ICE restart): the address may have changed, or what let it through. Earlier than a path is given up: pictures, voices and channels go on. */
export const MEDIA_ASTRAY_MS = 650;
/** And earlier where signalling was broken off meanwhile: a network that changes ends connections, one that pauses does not. Six pictures. */
export const MEDIA_BROKEN_MS = 200;
/** Silence of the path while signalling answers all the while: nothing but what lets UDP through can be gone, and only another path gets past that. Fifteen pictures. */
export const MEDIA_BLOCKED_MS = 500;
/** What comes by the path takes no longer than what came by the socket, and this much. */
const MEDIA_BEHIND_MS = 100;
/** A heartbeat that is later than this: it is the page that stood still, not the path. One that slept heard nothing at all. */
export const TICK_LATE_MS = 120;
const TICK_ASLEEP_MS = 3_000;
/** After a cut of everything the old way is most often there again within this long. */
export const MEDIA_SEEK_GRACE_MS = 300;
/** And how long a way that is looked for is given, from the server's answer on, before the path is made anew: two long round trips. */
export const MEDIA_FIND_MS = 1_000;
/** From the search on at most, however late its answer comes: it may be the answer that the line is too slow for. */
export const MEDIA_FIND_MAX_MS = 2_500;
/** When the line is back, the old path is given this long to speak again: a round trip, a keyframe and its way. */
export const MEDIA_GRACE_MS = 600;
/** A path that the server does not know is gone when it has been silent this long. */
export const MEDIA_FORGOTTEN_MS = 400;

/** What goes out is said to be lost when it has not arrived for so long, and to arrive when it has for so long: neither flickers. */
export const UNHEARD_MS = 500, HEARD_MS = 1_000;

export type VoicePath = 'none' | 'up' | 'cut';

/** When to make the media path anew. Signs of life: a frame shown or a message on a data channel. */
export class MediaWatch {
  private startedAt: PerfMs | null = null;
  private alive: PerfMs | null = null;
  private ended = false;
  private heardSince: PerfMs | null = null;
  private probedAt: PerfMs | null = null;
  private attempts = 0;
  private soughtFor: PerfMs | null = null;
  private soughtAt: PerfMs | null = null;
  private answeredAt: PerfMs | null = null;
  private brokenAt: PerfMs | null = null;
  private spoke: PerfMs | null = null;
  private ticked: PerfMs | null = null;
  private stoodMs = 0;
  private socketAnswered: PerfMs | null = null;
  /** The newest signs of life, oldest first. */
  private signs: PerfMs[] = [];
  private arrives = { now: false, since: 0 as PerfMs, said: true, ever: false };

  handleStart(now: PerfMs): void { this.startedAt = now; this.alive = null; this.ended = false; this.soughtAt = null; this.answeredAt = null; this.socketAnswered = null; this.signs = []; this.attempts += 1; }
  /** The server has answered this path, or the search for its way. */
  handleAnswer(now: PerfMs): void { this.answeredAt = now; }
  /**
   * `at`: when it came; of pictures that is told late by a page that paints late. Before the answer it is the path before this one that still shows a picture,
   * and what came before its way was looked for is no sign that it is found.
   */
  handleAlive(at: PerfMs): void {
    this.spoke = Math.max(this.spoke ?? -Infinity, at) as PerfMs;
    if (this.answeredAt === null || at < (this.soughtAt ?? -Infinity)) return;
    this.signs.push(at);
    if (this.signs.length > LIVELY_SIGNS) this.signs.shift();
    if (at < (this.alive ?? -Infinity)) return;
    this.alive = at;
    this.soughtAt = null;
    this.socketAnswered = null;
    this.stoodMs = 0;
    this.attempts = 0;
  }
  /** The server was heard by the socket. */
  handleSocket(now: PerfMs): void {
    if (this.probedAt !== null && this.alive !== null && this.probedAt > this.alive && now > this.probedAt) this.socketAnswered ??= now;
  }
  /** The page's heartbeat. */
  handleTick(now: PerfMs): void {
    const late = this.ticked === null ? 0 : now - this.ticked - TICK_LATE_MS;
    this.ticked = now;
    if (late > 0 && late < TICK_ASLEEP_MS) this.stoodMs += late;
  }
  handleEnd(): void { this.ended = true; }

  /** Signalling was broken off, not by this page: what was alive just before may have gone with it. */
  handleBroken(now: PerfMs): void { this.brokenAt = now; }

  /**
   * True when an established path that was lively has fallen silent while the server is heard beside it without a break: it is made anew at once, the new one
   * by whatever still gets through. A way that is looked for (ICE restart) would be left only when the old one has been silent for seconds.
   */
  pollBlocked(now: PerfMs, serverHeard: boolean): boolean {
    this.heardSince = serverHeard ? this.heardSince ?? now : null;
    if (this.ended || this.alive === null || this.soughtFor === this.alive || this.heardSince === null || this.heardSince > this.alive) return false;
    if (!this.wasLively(this.alive) || this.isBroken(this.alive) || this.socketAnswered === null || now - this.socketAnswered < MEDIA_BEHIND_MS) return false;
    return now - this.alive - this.stoodMs >= MEDIA_BLOCKED_MS;
  }

  private wasLively(alive: PerfMs): boolean {
    const oldest = this.signs[0];
    return oldest !== undefined && this.signs.length === LIVELY_SIGNS && alive - oldest <= LIVELY_MS;
  }

  /** What was on its way when it was broken off still comes a moment later. */
  private isBroken(alive: PerfMs): boolean { return this.brokenAt !== null && alive - this.brokenAt < MEDIA_PROBE_MS; }

  /** True once for each silence of an established path: its way should be looked for anew. */
  pollSeek(now: PerfMs, serverHeard: boolean): boolean {
    this.heardSince = serverHeard ? this.heardSince ?? now : null;
    if (this.ended || this.alive === null || this.soughtFor === this.alive || this.heardSince === null) return false;
    const broken = this.isBroken(this.alive);
    if (!broken && now - this.heardSince < MEDIA_SEEK_GRACE_MS) return false;
    if (now - this.alive < (broken ? MEDIA_BROKEN_MS : MEDIA_ASTRAY_MS)) return false;
    this.soughtFor = this.alive;
    this.soughtAt = now;
    return true;
  }

  /** True when the path should be made anew. `serverHeard`: signalling works, so an attempt can succeed. */
  pollRestart(now: PerfMs, serverHeard: boolean): boolean {
    this.heardSince = serverHeard ? this.heardSince ?? now : null;
    if (this.heardSince === null) return false;
    if (this.startedAt === null) return true;
    if (this.ended) return now - this.startedAt >= 250;
    if (now - this.heardSince < MEDIA_GRACE_MS) return false;
    if (this.soughtAt !== null) {
      const answered = this.answeredAt !== null && this.answeredAt >= this.soughtAt;
      const until = answered ? this.answeredAt as number + MEDIA_FIND_MS : this.soughtAt + MEDIA_FIND_MAX_MS;
      if (now < Math.min(until, this.soughtAt + MEDIA_FIND_MAX_MS)) return false;
    }
    if (now - this.startedAt < OFFER_MS * Math.min(2, 1 + Math.max(0, this.attempts - 1) / 2)) return this.alive !== null && now - this.alive >= MEDIA_SILENT_MS;
    return now - (this.alive ?? this.startedAt) >= MEDIA_SILENT_MS;
  }

  /** True when an established path has been silent and should be asked for a sign of life. */
  pollProbe(now: PerfMs): boolean {
    if (this.alive === null || now - this.alive < MEDIA_PROBE_MS) return false;
    if (this.probedAt !== null && now - this.probedAt < MEDIA_PROBE_AGAIN_MS && this.probedAt > this.alive) return false;
    this.probedAt = now;
    return true;
  }

  /**
   * The server does not know this path (any more): it is made anew at once, if it does not speak. `anew`: it is another server, or has
   * forgotten all; else it may only not know the path yet that is being made: over a long line that takes seconds.
   */
  handleForgotten(now: PerfMs, anew = false): void {
    if (this.alive === null && !anew) return;
    if (this.startedAt !== null && now - (this.alive ?? this.startedAt) >= MEDIA_FORGOTTEN_MS) this.ended = true;
  }

  /** Whether what goes out arrives, by the word of the server and of the path; before it ever did it is on its way up. */
  handleOutward(arrives: boolean, now: PerfMs): void {
    const was = this.arrives;
    if (!was.ever && !arrives) return;
    if (arrives !== was.now) was.since = now;
    was.now = arrives;
    if (!was.ever || now - was.since >= (arrives ? HEARD_MS : UNHEARD_MS)) was.said = arrives;
    was.ever = true;
  }

  /**
   * What voices can do: none while no path has ever spoken, cut when neither this path nor the one before it has spoken for so long,
   * nothing at all is heard of the server, or what goes out does not arrive there. Whoever talks must not believe that he is heard.
   */
  voicePath(now: PerfMs, lineLost: boolean): VoicePath {
    if (this.spoke === null) return 'none';
    return lineLost || !this.arrives.said || now - this.spoke >= MEDIA_SILENT_MS ? 'cut' : 'up';
  }

  /** Nothing has come by the path for longer than anything does where it is whole. */
  isQuiet(now: PerfMs): boolean { return this.alive !== null && now - this.alive >= MEDIA_PROBE_MS; }

  /** Whether what is drawn or cleared goes by a channel: it is open, and not silent while there is a socket, or it would wait in a path that is gone. */
  takes(open: boolean, socket: boolean, now: PerfMs): boolean { return open && !(socket && this.isQuiet(now)); }

  isAlive(now: PerfMs): boolean { return this.alive !== null && now - this.alive < MEDIA_SILENT_MS; }
}

/** Says once that the line is lost and once that it is back; never repeats itself. */
export class LineVoice {
  private saidLost = false;
  handleLine(lost: boolean): 'lost' | 'back' | null {
    if (lost === this.saidLost) return null;
    this.saidLost = lost;
    return lost ? 'lost' : 'back';
  }
}
