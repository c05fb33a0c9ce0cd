// What stands where a picture is not, or not yet: a sign, whose mark it is, and words. Never black, on which a mark would mean nothing.
import type { PictureState } from '../core/picture_ask';
import { iconElement } from '../design/icon';
import type { IconName } from '../gen/sprite';
import type { Texts } from '../i18n';
import { element } from './strip';

const SAID: Record<Exclude<PictureState, 'there'>, { readonly icon: IconName; readonly words: 'lost_coming' | 'lost_missing' }> = {
  coming: { icon: 'hourglass-medium-bold', words: 'lost_coming' },
  missing: { icon: 'image-broken-bold', words: 'lost_missing' },
};

export class Without {
  readonly root: HTMLElement;
  private said = '';

  constructor(className: string) {
    this.root = element('span', className);
    this.root.hidden = true;
  }

  /** `names`: who drew there; may be empty. */
  say(state: PictureState, names: string, texts: Texts): void {
    this.root.hidden = state === 'there';
    if (state === 'there') return;
    const { icon, words } = SAID[state];
    const said = `${state} ${names} ${texts[words]}`;
    if (said === this.said) return;
    this.said = said;
    const [who, what] = [element('b', ''), element('span', '')];
    who.textContent = names;
    what.textContent = texts[words];
    this.root.replaceChildren(iconElement(icon), who, what);
  }
}
