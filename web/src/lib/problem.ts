import { ApiError } from '../api/client';
import { i18n } from '../i18n/index.svelte';

/** A failed call in a sentence for the convener. */
export function sentence(error: unknown): string {
  const t = i18n.t;
  if (!(error instanceof ApiError)) return t.errInternal;
  if (error.status === 0) return t.errNetwork;
  if (error.status === 429) return t.errTooMany(i18n.wait(error.retryAfter ?? 1));
  if (error.status === 503) return t.errUnavailable;
  const first = error.fields[0];
  if (first) return t.errCodes[first.code] ?? t.errRefused;
  const known = t.errCodes[error.word];
  if (known) return known;
  if (error.status === 404) return t.errNotFound;
  if (error.status === 413) return t.errCodes['too_large'] ?? t.errRefused;
  return error.status >= 500 ? t.errInternal : t.errRefused;
}

/** The sentence beside one field, if the service refused it. */
export function fieldSentence(error: unknown, field: string): string | undefined {
  if (!(error instanceof ApiError)) return undefined;
  const found = error.fields.find((one) => one.field === field);
  return found && (i18n.t.errCodes[found.code] ?? i18n.t.errRefused);
}
