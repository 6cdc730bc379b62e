// Waiting for a state, never for a guess.

/** A pause. */
export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Asks until `look` gives something; `undefined` when it does not come in time. A look that fails counts as nothing. */
export async function until(look, seconds, every = 200) {
  for (const end = Date.now() + seconds * 1000; ; ) {
    const found = await Promise.resolve().then(look).catch(() => undefined);
    if (found) return found;
    if (Date.now() > end) return undefined;
    await pause(every);
  }
}
