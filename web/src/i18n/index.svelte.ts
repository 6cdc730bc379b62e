import en from './en.json?url';
import type { Messages } from './messages';
import sl from './sl.json?url';
import { spoken, type Texts } from './words';

export type Language = 'sl' | 'en';
/** The words are data: a browser loads those of the languages that it shows, and no others. */
const sources: Record<Language, string> = { sl, en };

async function load(language: Language): Promise<Messages> {
  const answer = await fetch(sources[language]);
  if (!answer.ok) throw new Error(`the words of ${language}: ${answer.status}`);
  return spoken(language, (await answer.json()) as Texts);
}
const locales: Record<Language, string> = { sl: 'sl-SI', en: 'en-GB' };
const KEY = 'sklic.language';

export const isLanguage = (value: unknown): value is Language => value === 'sl' || value === 'en';

/** The language of the page, its words, and numbers and times in its form. */
class I18n {
  language = $state.raw<Language>(firstLanguage());
  #words = $state.raw<Partial<Record<Language, Messages>>>({});
  timeZone = $state.raw<string | undefined>(undefined);
  /** The words: `i18n.t.signIn`. */
  t = $derived(this.#words[this.language] as Messages);

  #formats = $derived.by(() => {
    const format = (options: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat(locales[this.language], { timeZone: this.timeZone, ...options });
    return {
      time: format({ hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }),
      seconds: format({ hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' }),
      date: format({ day: 'numeric', month: this.language === 'sl' ? 'numeric' : 'short', year: 'numeric' }),
      month: format({ month: 'long', year: 'numeric' }),
      long: format({ weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' }),
      collator: new Intl.Collator(locales[this.language], { sensitivity: 'base', numeric: true }),
    };
  });

  /** Shows a language as soon as its words are here; before the first call there is nothing to show. */
  async show(language: Language): Promise<void> {
    if (!this.#words[language]) this.#words = { ...this.#words, [language]: await load(language) };
    this.language = language;
  }

  async choose(language: Language): Promise<void> {
    await this.show(language);
    try {
      localStorage.setItem(KEY, language);
    } catch {
      // A browser that keeps nothing still switches.
    }
  }

  time = (at: string | number | Date): string => this.#formats.time.format(new Date(at));
  seconds = (at: string | number | Date): string => this.#formats.seconds.format(new Date(at));
  date = (at: string | number | Date): string => this.#formats.date.format(new Date(at));
  month = (at: Date): string => this.#formats.month.format(at);
  longDate = (at: string | number | Date): string => this.#formats.long.format(new Date(at));
  dateTime = (at: string | number | Date): string => `${this.date(at)}, ${this.time(at)}`;
  weekday = (day: Date): string => new Intl.DateTimeFormat(locales[this.language], { weekday: 'long', timeZone: 'UTC' }).format(day);
  compare = (a: string, b: string): number => this.#formats.collator.compare(a, b);

  /** An amount, given as decimal text. */
  money = (amount: string | number, currency: string): string =>
    new Intl.NumberFormat(locales[this.language], { style: 'currency', currency }).format(Number(amount));

  /** A price, given as decimal text, with all the decimals that it has. */
  price = (amount: string | number, currency: string): string =>
    new Intl.NumberFormat(locales[this.language], { style: 'currency', currency, maximumFractionDigits: 4 }).format(Number(amount));
  number = (text: string | number): string => new Intl.NumberFormat(locales[this.language], { maximumFractionDigits: 4 }).format(Number(text));

  /** Some seconds from now, in words. */
  wait = (seconds: number): string => (seconds < 90 ? this.t.inSeconds(seconds) : this.t.inMinutes(Math.ceil(seconds / 60)));
}

function firstLanguage(): Language {
  try {
    const kept = localStorage.getItem(KEY);
    if (isLanguage(kept)) return kept;
  } catch {
    // Not kept: the browser's language decides.
  }
  return typeof navigator !== 'undefined' && !navigator.language.startsWith('sl') ? 'en' : 'sl';
}

/** Whether the language was chosen in this browser, so that the account's does not replace it. */
export const languageWasChosen = (): boolean => {
  try {
    return localStorage.getItem(KEY) !== null;
  } catch {
    return false;
  }
};

export const i18n = new I18n();

/** The words of the language that is shown: `t.signIn`. What shows them changes with the language. */
export const t = new Proxy({} as Messages, { get: (_, name: keyof Messages) => i18n.t[name] });
