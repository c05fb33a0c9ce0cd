// One hand, one pen, one case: the pages of one browser hold the pen for exactly one case. Sans-IO: `handle` what the others
// said, `pollWords` what they must hear. Taking the pen here lays it down there; nothing else moves it.
import type { PerfMs } from './units';

/** A page that opens asks where the pen is, and takes it when nobody answers. */
export const ASK_MS = 250;

/** `case`: what the pen is held for; `where`: that case in words. The newer taking wins, then the greater case, so that two never both hold it. */
export interface PenWord { readonly kind: 'who' | 'held' | 'take' | 'gone'; readonly case: string; readonly where: string; readonly taken: number }

/** here: held for this page's case, perhaps by another page of it too. there: for another case, in words; empty: nobody holds it. */
export type PenPlace = { readonly kind: 'asking' } | { readonly kind: 'here' } | { readonly kind: 'there'; readonly where: string };

export class PenBinding {
  place: PenPlace = { kind: 'asking' };
  private taken = 0;
  private readonly says: PenWord[] = [];
  private asked: PerfMs | null = null;

  constructor(readonly caseId: string, private readonly where: string) {}

  start(now: PerfMs): void {
    this.asked = now;
    this.say('who');
  }

  /** A person takes the pen on this page. */
  take(wallMs: number): void {
    this.taken = Math.max(this.taken + 1, wallMs);
    this.place = { kind: 'here' };
    this.say('take');
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
    if (this.place.kind === 'asking' && this.asked !== null && now - this.asked >= ASK_MS) this.take(wallMs);
  }

  leave(): void { if (this.place.kind === 'here') this.say('gone'); }

  pollWords(): PenWord[] { return this.says.splice(0); }

  private say(kind: PenWord['kind']): void { this.says.push({ kind, case: this.caseId, where: this.where, taken: this.taken }); }
}
