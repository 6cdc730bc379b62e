// Chance that can be repeated: the same seed gives the same numbers on every machine.

/** A stream of numbers from a seed (sfc32, Chris Doty-Humphrey's PractRand). */
export function chance(seed) {
  let state = [0x9e3779b9, 0x243f6a88, 0xb7e15162, 0];
  for (const character of String(seed)) state[3] = Math.imul(state[3] ^ character.codePointAt(0), 0x01000193) >>> 0;
  const next = () => {
    let [a, b, c, d] = state;
    const sum = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + sum) | 0;
    state = [a, b, c, d];
    return (sum >>> 0) / 4294967296;
  };
  for (let round = 0; round < 16; round += 1) next();
  return {
    /** From `low` to below `high`. */
    between: (low, high) => low + next() * (high - low),
    /** A whole number from `low` to `high`, both included. */
    whole: (low, high) => low + Math.floor(next() * (high - low + 1)),
    /** One of a list. */
    one: (list) => list[Math.floor(next() * list.length)],
    /** True in `percent` of the cases. */
    percent: (percent) => next() * 100 < percent,
  };
}
