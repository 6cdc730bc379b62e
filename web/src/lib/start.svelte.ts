import { api } from '../api/client';
import type { Conference } from '../api/types';
import { sentence } from './problem';
import { router } from './router.svelte';

/** Why the start of a conference did not succeed: told on the conference's own page, which opens in between. */
class StartTrouble {
  #id = '';
  #words = $state.raw<string>();

  at(id: string, words: string): void {
    this.#id = id;
    this.#words = words;
  }

  of = (id: string): string | undefined => (this.#id === id ? this.#words : undefined);
  clear(): void {
    this.#words = undefined;
  }
}

export const startTrouble = new StartTrouble();

/** Starts a conference that was just made, and opens its page. */
export async function begin({ id }: Conference): Promise<void> {
  await api.start(id).catch((error: unknown) => startTrouble.at(id, sentence(error)));
  router.go(`/conferences/${id}`);
}
