// Server-sent events over fetch: unlike EventSource it tells why it failed, and that nothing has come for too long.

export interface ServerEvent { name: string; data: string }

/** Takes text as it comes and gives whole events (WHATWG HTML §9.2.6, as far as the service uses it). */
export class EventParser {
  #rest = '';
  #name = '';
  #data: string[] = [];

  push(text: string): ServerEvent[] {
    const events: ServerEvent[] = [];
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') {
        if (this.#data.length > 0) events.push({ name: this.#name || 'message', data: this.#data.join('\n') });
        this.#name = '';
        this.#data = [];
        continue;
      }
      const colon = line.indexOf(':');
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
      if (field === 'event') this.#name = value;
      else if (field === 'data') this.#data.push(value);
    }
    return events;
  }
}

/**
 * Reads a stream until it ends, is aborted, or is silent for `silence` milliseconds.
 * The response is handed over first, so that the caller can look at its status.
 */
export async function readEvents(
  url: string,
  abort: AbortController,
  silence: number,
  onResponse: (response: Response) => Promise<boolean>,
  onEvent: (event: ServerEvent) => void,
): Promise<void> {
  let watchdog = setTimeout(() => abort.abort(), silence);
  const alive = (): void => {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => abort.abort(), silence);
  };
  try {
    const response = await fetch(url, { headers: { Accept: 'text/event-stream' }, signal: abort.signal, cache: 'no-store' });
    if (!(await onResponse(response)) || !response.body) return;
    const parser = new EventParser();
    const decoder = new TextDecoder();
    for (const reader = response.body.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) return;
      alive();
      for (const event of parser.push(decoder.decode(value, { stream: true }))) onEvent(event);
    }
  } finally {
    clearTimeout(watchdog);
  }
}
