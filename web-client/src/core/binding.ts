// One hand, one pen, one case: the pages of one browser hold the pen for exactly one case. Sans-IO: `handle` what the others
// said, `pollWords` what they must hear. Taking the pen here lays it down there; nothing else moves it.
import type { PerfMs } from './units';

/** A page that opens asks where the pen is, and takes it when nobody answers. Whoever had it and answers late has it back. */
export const ASK_MS = 250;

/**
 * `case`: what the pen is held for; `where`: that case in words. `taken`: the greater wins, then the greater case, so that two never both
 * hold it. A person's taking is its time, Unix ms: the newest wins. Taken because nobody answered, it is less than any person's, and the earliest wins.
 */
export interface PenWord { readonly kind: 'who' | 'held' | 'take' | 'gone'; readonly case: string; readonly where: string; readonly taken: number }

/** here: held for this page's case, perhaps by another page of it too. there: for another case, in words; empty: nobody holds it. */
export type PenPlace = { readonly kind: 'asking' } | { readonly kind: 'here' } | { readonly kind: 'there'; readonly where: string };

export class PenBinding {
  place: PenPlace = { kind: 'asking' };
  private taken = Number.NEGATIVE_INFINITY;
  private readonly says: PenWord[] = [];
  private asked: PerfMs | null = null;

  constructor(readonly caseId: string, private readonly where: string) {}

  start(now: PerfMs): void {
    this.asked = now;
    this.say('who');
  }

  /** A person takes the pen on this page. */
  take(wallMs: number): void {
    this.hold(Math.max(this.taken + 1, wallMs));
  }

  handle(word: PenWord): void {
    switch (word.kind) {
      case 'who':
        if (this.place.kind === 'here') this.say('held');
        return;
      case 'held':
      case 'take': {
        const theirs = word.taken > this.taken || (word.taken === this.taken && word.case >= this.caseId);
        if (this.place.kind === 'here' && !theirs) return this.say('held');
        if (word.taken < this.taken) return;
        this.taken = word.taken;
        if (word.case === this.caseId) this.place = { kind: 'here' };
        else this.place = { kind: 'there', where: word.where };
        return;
      }
      // It is not taken up by itself: whoever comes back to this page must mean it.
      case 'gone':
        if (this.place.kind === 'here' && word.case === this.caseId) this.say('held');
        else if (this.place.kind === 'there') this.place = { kind: 'there', where: '' };
        return;
    }
  }

  handleTimeout(now: PerfMs, wallMs: number): void {
    if (this.place.kind === 'asking' && this.asked !== null && now - this.asked >= ASK_MS) this.hold(-wallMs);
  }

  leave(): void { if (this.place.kind === 'here') this.say('gone'); }

  pollWords(): PenWord[] { return this.says.splice(0); }

  private hold(taken: number): void {
    this.taken = taken;
    this.place = { kind: 'here' };
    this.say('take');
  }

  private say(kind: PenWord['kind']): void { this.says.push({ kind, case: this.caseId, where: this.where, taken: this.taken }); }
}
