import { describe, expect, it } from 'vitest';
import { CATALOGUE, languageOf, pick } from './index';
import type { Texts } from './index';

describe('the catalogues', () => {
  const { ja, en } = CATALOGUE;
  it('have the same keys', () => { expect(Object.keys(en).sort()).toEqual(Object.keys(ja).sort()); });
  it('leave nothing empty but the words that a language places elsewhere', () => {
    for (const texts of [ja, en]) expect((Object.keys(texts) as (keyof Texts)[]).filter((k) => texts[k] === '' && k !== 'end_left_before')).toEqual([]);
  });
  it('keep to the words of the screens', () => {
    for (const text of Object.values(ja)) expect(text).not.toMatch(/指導医|術野をクリア|監視|コントロール|エラー|！/);
    for (const text of Object.values(en)) expect(text).not.toMatch(/\berror\b|!/i);
  });
});

describe('the language', () => {
  it('is the one in the address, else the browser’s', () => {
    expect(languageOf('?lang=en', ['ja'])).toBe('en');
    expect(languageOf('?lang=xx', ['ja-JP', 'en'])).toBe('ja');
    expect(languageOf('', ['en-GB', 'ja'])).toBe('en');
    expect(languageOf('', ['fr'])).toBe('en');
  });
  it('takes the other text where one is missing', () => {
    expect(pick('ja', '', 'Field')).toBe('Field');
    expect(pick('en', '術野', '')).toBe('術野');
  });
});
