// What a screen reader hears. One polite and one assertive region; see `Announcer.svelte`.
// A sentence that waits is replaced by the newer one, so that a busy conference does not flood.

class Announcer {
  polite = $state.raw('');
  assertive = $state.raw('');
  #waiting: (() => string) | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #last = 0;

  /** Said at once: the result of the convener's own act. */
  say(text: string): void {
    // The same words twice are news too: a no-break space makes them another text.
    this.polite = this.polite === text ? `${text}\u00a0` : text;
  }

  /** Said at once and before everything else: the connection, the end. */
  alarm(text: string): void {
    this.assertive = this.assertive === text ? `${text}\u00a0` : text;
  }

  /** Said when some time has passed since the last such sentence; until then a newer one takes its place. */
  gather(text: () => string, every: number): void {
    this.#waiting = text;
    if (this.#timer !== undefined) return;
    const wait = Math.max(0, this.#last + every - Date.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#last = Date.now();
      const words = this.#waiting?.() ?? '';
      this.#waiting = undefined;
      if (words) this.say(words);
    }, wait);
  }

  /** Forgets what has not been said yet. */
  hush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#waiting = undefined;
  }
}

export const announcer = new Announcer();
