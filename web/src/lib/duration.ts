/** Seconds from one moment to another. */
export const between = (from: string, to: string): number => (Date.parse(to) - Date.parse(from)) / 1000;

/** Seconds as a clock: `0:07`, `12:41`, `1:02:03`. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  const rest = String(whole % 60).padStart(2, '0');
  return hours ? `${hours}:${String(minutes).padStart(2, '0')}:${rest}` : `${minutes}:${rest}`;
}

/** Seconds in words of units: `47 min 39 s`. */
export function span(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const parts: string[] = [];
  if (whole >= 3600) parts.push(`${Math.floor(whole / 3600)} h`);
  if (whole >= 60) parts.push(`${Math.floor(whole / 60) % 60} min`);
  parts.push(`${whole % 60} s`);
  return parts.join(' ');
}
