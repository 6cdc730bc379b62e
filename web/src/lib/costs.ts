// What the convener owes, by conference: the rated rows that he pays, corrections included.
import type { Charge } from '../api/types';

/** Sums in whole 1/10000 of the currency, so that nothing is lost in between; the result is in the currency's unit. */
export function costs(charges: Charge[]): { byConference: Map<string, number>; total: number; currency: string } {
  const parts = new Map<string, number>();
  let total = 0;
  for (const charge of charges) {
    if (charge.payer !== 'convener' || charge.status !== 'rated') continue;
    const amount = Math.round(Number(charge.gross) * 10_000);
    parts.set(charge.conference, (parts.get(charge.conference) ?? 0) + amount);
    total += amount;
  }
  return { byConference: new Map([...parts].map(([id, amount]) => [id, amount / 10_000])), total: total / 10_000, currency: charges[0]?.currency ?? 'EUR' };
}
