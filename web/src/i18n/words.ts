// From the words as data (`sl.json`, `en.json`) to what the page says. `{0}` is what is put in; `{0|…|…}` chooses the form that goes with a number,
// in the order one, two, few, many, other, as far as the language has them: Slovene four (1, 2, 3–4, the rest, by the last two digits), English two.
import type { Messages } from './messages';

export type Texts = { [key: string]: string | string[] | Texts };
const ORDER: Intl.LDMLPluralRule[] = ['zero', 'one', 'two', 'few', 'many', 'other'];

/** The words of a language: sentences without places as text, those with places as functions. */
export function spoken(language: string, texts: Texts): Messages {
  const rules = new Intl.PluralRules(language);
  const forms = rules.resolvedOptions().pluralCategories;
  const order = ORDER.filter((form) => forms.includes(form));
  const fill = (text: string, given: (string | number)[]): string =>
    text.replace(/\{(\d+)(?:\|([^}]*))?\}/g, (_, place: string, counted: string | undefined) => {
      const value = given[Number(place)] ?? '';
      return counted === undefined ? String(value) : (counted.split('|')[order.indexOf(rules.select(Number(value)))] ?? '');
    });
  const one = (text: Texts[string]): unknown => {
    if (typeof text !== 'string') return Array.isArray(text) ? text : Object.fromEntries(Object.entries(text).map(([key, value]) => [key, one(value)]));
    return /\{\d/.test(text) ? (...given: (string | number)[]) => fill(text, given) : text;
  };
  return one(texts) as Messages;
}
