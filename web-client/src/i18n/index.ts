// Language: the browser's, or the one chosen in the address (?lang=ja|en). Nothing is kept on the terminal.
import { en } from './en';
import type { Texts } from './ja';
import { ja } from './ja';

export type Language = 'ja' | 'en';
export type { Texts };
export const CATALOGUE: Record<Language, Texts> = { ja, en };

export function languageOf(query: string, browser: readonly string[]): Language {
  const asked = new URLSearchParams(query).get('lang');
  if (asked === 'ja' || asked === 'en') return asked;
  return browser.some((l) => l.toLowerCase().startsWith('ja')) && !browser[0]?.toLowerCase().startsWith('en') ? 'ja' : 'en';
}

/** One of a pair of texts from the server; the other where it is empty. */
export function pick(language: Language, textJa: string, textEn: string): string {
  return language === 'ja' ? textJa || textEn : textEn || textJa;
}
