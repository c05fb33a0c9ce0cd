// Icons, from one sprite that is put into the page once.
import type { IconName } from '../gen/sprite';
import { SPRITE } from '../gen/sprite';

const SVG = 'http://www.w3.org/2000/svg';

export function installSprite(into: HTMLElement): void {
  const parsed = new DOMParser().parseFromString(SPRITE, 'image/svg+xml').documentElement;
  parsed.setAttribute('aria-hidden', 'true');
  parsed.setAttribute('class', 'sprite');
  into.prepend(document.importNode(parsed, true));
}

export function iconElement(name: IconName): SVGSVGElement {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'i');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `#i-${name}`);
  svg.append(use);
  return svg;
}
