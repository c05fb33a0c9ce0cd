// The privacy curtain as this page has it: what the room pressed, and what the server says. Drawn here in the same turn as the press;
// lifted only when the server has lifted it. A press to draw outlives a line that is down.
import { create } from '@bufbuild/protobuf';
import type { Curtain, Store } from '../core/store';
import { captureNtp, unixMsFromNtp } from '../core/units';
import { CurtainSchema } from '../gen/signal_pb';
import type { CaseState, ClientMessage } from '../gen/signal_pb';

export interface CurtainWays {
  send(body: ClientMessage['body']): void;
  /** This page's microphone gives nothing, or again what it was asked for. */
  hush(hushed: boolean): void;
  /** Repaint every picture before this returns. */
  repaint(): void;
}

export class CurtainHand {
  private wish: boolean | null = null;
  private told: Curtain | null = null;

  constructor(private readonly store: Store, private readonly ways: CurtainWays) {}

  press(drawn: boolean): void {
    this.wish = drawn;
    this.apply();
    this.say(drawn);
  }

  handleWelcome(): void {
    // An old wish to lift may be older than somebody's press to draw: the room presses again.
    if (this.wish === true) this.say(true);
    else this.wish = null;
  }

  handleState(state: CaseState): void {
    if (this.wish === state.curtain) this.wish = null;
    this.told = state.curtainSince === 0n ? null : { drawn: state.curtain, sinceMs: unixMsFromNtp(captureNtp(state.curtainSince)), author: state.curtainAuthor };
    this.apply();
  }

  private apply(): void {
    const drawn = this.wish === true || (this.told?.drawn ?? false);
    const now = drawn && this.told?.drawn !== true ? { drawn, sinceMs: null, author: this.store.welcome.value?.author ?? 0 } : this.told;
    const before = this.store.curtain.value;
    if (before?.drawn === now?.drawn && before?.sinceMs === now?.sinceMs && before?.author === now?.author) return;
    if (this.store.screen.value === 'room') this.ways.hush(drawn);
    this.store.curtain.value = now;
    this.ways.repaint();
  }

  private say(drawn: boolean): void { this.ways.send({ case: 'curtain', value: create(CurtainSchema, { drawn }) }); }
}
