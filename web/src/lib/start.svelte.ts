/** Why the start of a conference did not succeed: told on the conference's own page, which opens in between. */
class StartTrouble {
  #id = '';
  #words = $state<string>();

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
