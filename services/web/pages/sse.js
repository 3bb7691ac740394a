// Server-sent events over fetch, because EventSource cannot send an Authorization header.

const WAIT_FIRST_MS = 500;
const WAIT_MAX_MS = 15_000;
/** A stream that says nothing for this long is taken for dead; the server sends a comment every 15 s. */
const SILENCE_MAX_MS = 45_000;
/** The longest line that is kept; a server that sends more is not speaking this protocol. */
export const LINE_CHARS_MAX = 1 << 20;

/** Text in, events out. Pure: pieces may be cut anywhere. */
export class SseParser {
  #rest = '';
  #type = '';
  #data = [];
  #ended = false;
  /** The id of the last event that had one. */
  lastId = null;

  /** The events that this piece completes: `{id, type, data}`. */
  push(piece) {
    // A carriage return at the end of a piece may be half of a line end whose other half opens the next one.
    const text = this.#rest + (this.#ended && piece.startsWith('\n') ? piece.slice(1) : piece);
    this.#ended = text.endsWith('\r');
    const lines = text.split(/\r\n|\n|\r/);
    this.#rest = lines.pop();
    if (this.#rest.length > LINE_CHARS_MAX) throw new RangeError('a line of the event stream is too long');
    return lines.map((line) => this.#line(line)).filter((event) => event !== null);
  }

  #line(line) {
    if (line === '') {
      const event = this.#data.length > 0 ? { id: this.lastId, type: this.#type || 'message', data: this.#data.join('\n') } : null;
      this.#type = '';
      this.#data = [];
      return event;
    }
    const colon = line.indexOf(':');
    if (colon === 0) return null;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') this.#data.push(value);
    else if (field === 'event') this.#type = value;
    else if (field === 'id' && !value.includes('\0')) this.lastId = value;
    return null;
  }
}

/**
 * Follows a stream until `signal` ends it, and comes back after every break, from the event it saw last.
 * `onState` hears `live`, `waiting` or `refused` (the server will not have us; there is no second try).
 */
export async function follow({ url, headers, onEvent, onState, signal }) {
  let lastId = null;
  let failures = 0;
  while (!signal.aborted) {
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), SILENCE_MAX_MS);
    try {
      const answer = await fetch(url, {
        headers: { accept: 'text/event-stream', ...headers, ...(lastId === null ? {} : { 'last-event-id': lastId }) },
        cache: 'no-store',
        signal: AbortSignal.any([signal, silence.signal]),
      });
      if (answer.status === 401 || answer.status === 403) return onState('refused');
      if (!answer.ok) throw new Error(`the event stream answered ${answer.status}`);
      onState('live');
      const parser = new SseParser();
      parser.lastId = lastId;
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let read = await reader.read(); !read.done; read = await reader.read()) {
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), SILENCE_MAX_MS);
        for (const event of parser.push(read.value)) {
          failures = 0;
          lastId = event.id ?? lastId;
          onEvent(event);
        }
      }
    } catch {
      // Every break is answered alike: wait a little, then ask again from the last event.
    } finally {
      clearTimeout(timer);
    }
    if (signal.aborted) return undefined;
    onState('waiting');
    await pause(waitAfter(failures, Math.random()), signal);
    failures += 1;
  }
  return undefined;
}

/** The wait after `failures` breaks in a row; `chance` in [0, 1) spreads many pages over a restart. */
export function waitAfter(failures, chance) {
  return Math.round(Math.min(WAIT_MAX_MS, WAIT_FIRST_MS * 2 ** Math.min(failures, 10)) * (1 - 0.3 * chance));
}

function pause(milliseconds, signal) {
  return new Promise((done) => {
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener('abort', () => (clearTimeout(timer), done()), { once: true });
  });
}
