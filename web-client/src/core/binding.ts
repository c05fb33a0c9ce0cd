// One hand, one pen, one case: among the pages of one browser exactly one holds the pen. Sans-IO: `handle` what the others
// said, `say` what they must hear. Taking the pen here lays it down there; nothing else moves it.
import type { PerfMs } from './units';

/** A page that opens asks who holds the pen, and takes it when nobody answers. */
export const ASK_MS = 250;

/** `take` and `held` name the page; the newer taking wins, then the greater name, so that two never both hold it. */
export interface PenWord { readonly kind: 'who' | 'held' | 'take' | 'gone'; readonly page: string; readonly case: string; readonly taken: number }

export type PenPlace = { readonly kind: 'asking' } | { readonly kind: 'here' } | { readonly kind: 'there'; readonly case: string };

export class PenBinding {
  place: PenPlace = { kind: 'asking' };
  private taken = 0;
  private readonly says: PenWord[] = [];
  private asked: PerfMs | null = null;

  /** `page`: a name no other page has. `where`: the case's own words, for the others. */
  constructor(private readonly page: string) {}
  where = '';

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
    if (word.page === this.page) return;
    switch (word.kind) {
      case 'who':
        if (this.place.kind === 'here') this.say('held');
        return;
      case 'held':
      case 'take': {
        const theirs = word.taken > this.taken || (word.taken === this.taken && word.page > this.page);
        if (this.place.kind === 'here' && !theirs) return this.say('held');
        this.taken = Math.max(this.taken, word.taken);
        this.place = { kind: 'there', case: word.case };
        return;
      }
      // It is not taken up by itself: whoever comes back to this page must mean it.
      case 'gone':
        if (this.place.kind === 'there') this.place = { kind: 'there', case: '' };
        return;
    }
  }

  handleTimeout(now: PerfMs, wallMs: number): void {
    if (this.place.kind === 'asking' && this.asked !== null && now - this.asked >= ASK_MS) this.take(wallMs);
  }

  leave(): void { if (this.place.kind === 'here') this.say('gone'); }

  pollWords(): PenWord[] { return this.says.splice(0); }

  private say(kind: PenWord['kind']): void { this.says.push({ kind, page: this.page, case: this.where, taken: this.taken }); }
}
