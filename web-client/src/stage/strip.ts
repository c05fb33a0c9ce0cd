// A strip above a picture, and a plate in the middle of a dead one. Written by hand: they change several times a second.
import type { Look } from '../core/glass';
import { iconElement } from '../design/icon';
import type { IconName } from '../gen/sprite';
import type { Texts } from '../i18n';
import { ageParts, LOOKS, skewText } from './looks';

export interface StripContent {
  readonly name: string;
  readonly look: Look;
  readonly ageMs: number | null;
  readonly uncertaintyMs: number;
  /** Of a picture that is not synchronised: how much older than the main feed; null: nobody knows. */
  readonly skewMs?: number | null;
}

const element = <K extends keyof HTMLElementTagNameMap>(tag: K, className: string): HTMLElementTagNameMap[K] => {
  const e = document.createElement(tag);
  e.className = className;
  return e;
};

const write = (e: HTMLElement, text: string): void => { if (e.textContent !== text) e.textContent = text; };

/** Name, state, age; the state is announced once when it changes, the numbers never. */
export class Strip {
  readonly root: HTMLElement;
  private readonly name = element('span', 'nm');
  private readonly tag = element('span', '');
  private readonly word = element('span', '');
  private readonly age = element('span', 'age');
  private readonly value = element('span', 'v');
  private readonly plusMinus = element('small', '');
  private readonly unit = element('small', '');
  private tagged = '';
  private measured = '';
  private readonly skew = element('span', 'num');

  constructor(kind: 'figcaption' | 'div', className: string, feed: string) {
    this.root = element(kind, className);
    this.root.dataset['testid'] = `strip-${feed}`;
    this.age.dataset['testid'] = 'age';
    this.tag.dataset['testid'] = 'state';
    this.age.setAttribute('aria-live', 'off');
    this.skew.setAttribute('aria-live', 'off');
    this.skew.dataset['testid'] = 'skew';
    this.age.append(this.value, this.plusMinus, this.unit);
    this.root.append(this.name, this.tag, this.age);
  }

  /** `ages`: also repaint the age; otherwise only when the state changed. True: its words or width changed, so perhaps its height. */
  update(content: StripContent, texts: Texts, ages: boolean): boolean {
    const words = LOOKS[content.look];
    const tagged = `${content.look} ${texts[words.word]}`;
    const changed = tagged !== this.tagged;
    write(this.name, content.name);
    if (changed) {
      this.tagged = tagged;
      this.tag.className = words.tag;
      this.tag.setAttribute('aria-live', words.live);
      this.word.textContent = texts[words.word];
      this.tag.replaceChildren(iconElement(words.icon), this.word, ...(content.look === 'unsynced' ? [this.skew] : []));
      this.root.dataset['look'] = content.look;
    }
    if (!changed && !ages) return false;
    const width = this.root.clientWidth;
    const measure = `${tagged} ${content.name} ${width}`;
    const again = measure !== this.measured && width > 0;
    const age = ageParts(content.look, content.ageMs, content.uncertaintyMs, texts);
    write(this.skew, skewText(content.skewMs ?? null, texts));
    write(this.value, age.value);
    write(this.plusMinus, age.plusMinus);
    write(this.unit, age.unit);
    this.age.classList.toggle('caution', age.caution);
    this.age.setAttribute('aria-label', `${texts.age_label} ${age.value} ${age.unit}`);
    if (again) {
      this.measured = measure;
      this.breakLines(width, texts[words.word], texts[words.short ?? words.word]);
    }
    return again;
  }

  /** One line where it fits with room for a longer age, else two: name and age, then state, in its short word if it must. Looked at only when the words or the
   * width change, so that the strip does not jump with its number. */
  private breakLines(width: number, word: string, short: string): void {
    this.root.classList.remove('two', 'lean');
    this.tag.classList.remove('wordless');
    write(this.word, word);
    const em = parseFloat(getComputedStyle(this.root).fontSize);
    const needed = this.name.scrollWidth + this.tag.offsetWidth + Math.max(this.age.offsetWidth, em * 4) + em * 2.6;
    this.root.classList.toggle('two', needed > width);
    const spills = (): boolean => needed > width && this.tag.scrollWidth > this.tag.clientWidth;
    // In a narrow tile the word may take two lines; a shorter one takes one.
    if (spills() || this.tag.offsetHeight > em * 2.2) write(this.word, short);
    if (spills()) this.tag.classList.add('wordless');
  }
}

/** Icon, word, one next step. */
export function plate(icon: IconName, word: string, next: string): HTMLElement {
  const root = element('div', 'plate');
  const text = element('span', '');
  text.textContent = word;
  const small = element('small', '');
  small.textContent = next;
  root.append(iconElement(icon), text, small);
  return root;
}

export { element, write };
