/** A question that is asked when nothing has changed for a while; only the answer to the last one counts. */
export class Question {
  #asked = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly after: number) {}

  ask<T>(look: () => Promise<T>, answered: (found: T) => void, refused: (error: unknown) => void): void {
    this.forget();
    const mine = this.#asked;
    /** What was asked before is of no use any more. */
    const ifLast =
      <A>(act: (one: A) => void) =>
      (one: A): void => {
        if (mine === this.#asked) act(one);
      };
    this.#timer = setTimeout(() => void look().then(ifLast(answered), ifLast(refused)), this.after);
  }

  forget(): void {
    clearTimeout(this.#timer);
    this.#asked += 1;
  }
}
