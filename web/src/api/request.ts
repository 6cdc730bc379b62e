// Requests that are checked by the compiler against the service's own description of its API: address, parameters, body, answer.
import type { paths } from './schema';
import type { FieldError, Problem } from './types';

type Method = 'get' | 'post' | 'put' | 'patch' | 'delete';
/** An address of the API, without what all of them begin with. */
type Path = keyof paths extends infer K ? (K extends `/api/v1${infer P}` ? P : never) : never;
type Operation<P extends Path, M> = M extends keyof paths[`/api/v1${P}`] ? NonNullable<paths[`/api/v1${P}`][M]> : never;
/** What fills the places of an address, in their order. */
type Parts<P extends string> = P extends `${string}{${string}}${infer R}` ? [string, ...Parts<R>] : [];
type Content<T> = T extends { content: infer C } ? C[keyof C] : undefined;
type Answer<O> = O extends { responses: infer R }
  ? R extends { 200: infer T } ? Content<T> : R extends { 201: infer T } ? Content<T> : R extends { 202: infer T } ? Content<T> : undefined
  : never;
/** What may be null may be left out. */
type Given<T> = T extends object ? { [K in keyof T as null extends T[K] ? never : K]: T[K] } & { [K in keyof T as null extends T[K] ? K : never]?: T[K] } : T;
type Body<O> = O extends { requestBody?: infer B } ? Given<Content<NonNullable<B>>> : undefined;
type Parameters<O, K extends string> = O extends { parameters: infer P } ? (K extends keyof P ? P[K] : undefined) : undefined;
interface Options<O, P extends string> {
  parts?: Parts<P>;
  query?: Parameters<O, 'query'>;
  body?: Body<O>;
  /** The content type of a body that is text; CSV if not given. */
  type?: string;
}

/** Why a call did not succeed. `status` 0: the service was not reached. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    /** The stable word of the problem. */
    readonly word: string,
    readonly fields: FieldError[] = [],
    /** After how many seconds to try again, if the service said so. */
    readonly retryAfter?: number,
  ) {
    super(word);
  }
}

let onSignedOut: () => void = () => undefined;
/** What to do when the service says that nobody is signed in. */
export const whenSignedOut = (act: () => void): void => void (onSignedOut = act);
export const signedOut = (): void => onSignedOut();

/** Reads the problem document of an answer that is none. */
export async function problemOf(response: Response): Promise<ApiError> {
  const problem = (await response.json().catch(() => ({}))) as Partial<Problem>;
  const word = problem.type?.split(':').pop() ?? '';
  const after = Number(response.headers.get('Retry-After')) || undefined;
  if (response.status === 401 && word !== 'wrong_login') onSignedOut();
  return new ApiError(response.status, word, problem.errors ?? [], after);
}

/** Calls the service. A body that is text goes as CSV, everything else as JSON. */
export async function call<P extends Path, M extends Method>(method: M, path: P, options: Options<Operation<P, M>, P> = {}): Promise<Answer<Operation<P, M>>> {
  const parts: string[] = [...(options.parts ?? [])];
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries((options.query ?? {}) as Record<string, unknown>)) if (value !== undefined) query.set(key, String(value));
  const address = `/api/v1${path.replace(/\{\w+\}/g, () => encodeURIComponent(parts.shift() ?? ''))}` + (query.size > 0 ? `?${query.toString()}` : '');
  const { body } = options;
  let response: Response;
  try {
    response = await fetch(address, {
      method: method.toUpperCase(),
      headers: body === undefined ? {} : { 'Content-Type': typeof body === 'string' ? (options.type ?? 'text/csv') : 'application/json' },
      body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body),
    });
  } catch {
    throw new ApiError(0, 'network');
  }
  if (!response.ok) throw await problemOf(response);
  return (response.status === 204 ? undefined : await response.json()) as Answer<Operation<P, M>>;
}

/** A call that takes only what fills its address. */
export const to =
  <P extends Path, M extends Method>(method: M, path: P) =>
  (...parts: Parts<P>): Promise<Answer<Operation<P, M>>> =>
    call(method, path, { parts });

/** A call that takes what fills its address, and then a body. */
export const sends =
  <P extends Path, M extends Method>(method: M, path: P) =>
  (...given: [...parts: Parts<P>, body: Body<Operation<P, M>>]): Promise<Answer<Operation<P, M>>> =>
    call(method, path, { parts: given.slice(0, -1) as Parts<P>, body: given.at(-1) as Body<Operation<P, M>> });
