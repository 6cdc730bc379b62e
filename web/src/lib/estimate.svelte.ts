// What a conference would cost, asked for again when its people change; without an answer nothing is said.
import type { Estimate } from '../api/types';
import { i18n } from '../i18n/index.svelte';
import { Question } from './question';

export class EstimateView {
  found = $state.raw<Estimate>();
  #question = new Question(300);

  /** Asks; `refused` hears why there is no answer. */
  ask(look: () => Promise<Estimate>, refused: (error: unknown) => void = () => undefined): void {
    this.#question.ask(
      look,
      (found) => (this.found = found),
      (error) => {
        this.found = undefined;
        refused(error);
      },
    );
  }

  forget(): void {
    this.#question.forget();
    this.found = undefined;
  }

  /** The whole, in a sentence. */
  words = $derived.by(() => {
    const { found } = this;
    if (!found || found.unrated >= found.participants.length) return undefined;
    const minute = i18n.money(found.minute_gross, found.currency);
    const all = Number(found.connect_gross) > 0 ? i18n.t.estimate(minute, i18n.money(found.connect_gross, found.currency)) : i18n.t.estimateMinute(minute);
    return found.unrated > 0 ? `${all} ${i18n.t.estimateUnrated(found.unrated)}` : all;
  });

  /** What was spent today of what may be; nothing without a cap. */
  spent = $derived.by(() => {
    const { found } = this;
    return found?.daily_cap == null ? undefined : i18n.t.spentOf(i18n.money(found.spent_today, found.currency), i18n.money(found.daily_cap, found.currency));
  });
  reached = $derived(this.found?.daily_cap != null && Number(this.found.spent_today) >= Number(this.found.daily_cap));

  /** The price of a minute with the person at this place, the convener being the first. */
  priceAt = (place: number): string | undefined => {
    const { found } = this;
    const person = found?.participants[place];
    if (!found || !person) return undefined;
    return person.unrated ? i18n.t.noPrice : i18n.t.perMinute(i18n.price(person.minute_gross, found.currency));
  };
}
