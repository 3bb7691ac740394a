// The public API, as far as the dashboard needs it.

const TIMEOUT_MS = 20_000;

/** What the API answered instead of what was asked for. `status` 0 means that no answer came. */
export class Problem extends Error {
  constructor(status, { title, detail, code, request_id: requestId, errors } = {}) {
    super(detail || title || (status === 0 ? 'the server does not answer' : `the server answered ${status}`));
    this.status = status;
    this.code = code ?? null;
    this.requestId = requestId ?? null;
    this.errors = errors ?? [];
  }

  static parse(status, text) {
    try {
      return new Problem(status, JSON.parse(text));
    } catch {
      return new Problem(status);
    }
  }
}

export class Api {
  #base;
  #key;

  constructor(base, key) {
    this.#base = base;
    this.#key = key;
  }

  get headers() {
    return { authorization: `Bearer ${this.#key}` };
  }

  url(path, query = {}) {
    const url = new URL(path, this.#base);
    for (const [name, value] of Object.entries(query)) {
      if (value !== null && value !== undefined && value !== '') url.searchParams.set(name, value);
    }
    return url;
  }

  assets(cursor, limit) {
    return this.#ask('GET', '/v1/assets', { cursor, limit });
  }

  asset(id) {
    return this.#ask('GET', `/v1/assets/${id}`);
  }

  remove(id) {
    return this.#ask('DELETE', `/v1/assets/${id}`);
  }

  retry(id) {
    return this.#ask('POST', `/v1/assets/${id}/retry`);
  }

  /** Gives an asset captions in `lang`: a WebVTT or SRT file. */
  giveCaptions(id, lang, file) {
    return this.#ask('PUT', `/v1/assets/${id}/captions/${encodeURIComponent(lang)}`, {}, this.headers, file);
  }

  removeCaptions(id, lang) {
    return this.#ask('DELETE', `/v1/assets/${id}/captions/${encodeURIComponent(lang)}`);
  }

  /** The files of an asset's rungs, with URLs that work for a while. */
  downloads(id) {
    return this.#ask('GET', `/v1/assets/${id}/downloads`);
  }

  askDownload(id, rung) {
    return this.#ask('POST', `/v1/assets/${id}/downloads`, {}, this.headers, JSON.stringify({ rung }));
  }

  removeDownload(id, rung) {
    return this.#ask('DELETE', `/v1/assets/${id}/downloads/${encodeURIComponent(rung)}`);
  }

  history(id) {
    return this.#ask('GET', `/v1/assets/${id}/events`, { limit: 100 });
  }

  playback(id) {
    return this.#ask('GET', `/v1/assets/${id}/playback`);
  }

  analytics(id, windowSeconds) {
    return this.#ask('GET', `/v1/assets/${id}/analytics/playback`, { window_seconds: windowSeconds });
  }

  /** A page of usage since `from`, newest hour first. */
  usage(from, cursor) {
    return this.#ask('GET', '/v1/usage', { from, cursor, limit: 200 });
  }

  fleet() {
    return this.#ask('GET', '/v1/fleet');
  }

  /** The bootstrap of a player, asked for without the key: what a viewer would get. */
  async bootstrap(id, token) {
    return this.#ask('GET', `/api/player/${id}`, { token }, {});
  }

  /**
   * Sends a file. Not by fetch, which cannot tell how much of a body has left.
   * `onProgress(sent, total)`; `signal` cancels. Rejects with a Problem, or an AbortError.
   */
  upload(file, { title, policy }, { onProgress, signal }) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open('POST', this.url('/v1/videos', { title, policy }));
      for (const [name, value] of Object.entries(this.headers)) request.setRequestHeader(name, value);
      request.setRequestHeader('content-type', file.type || 'application/octet-stream');
      request.upload.addEventListener('progress', (event) => onProgress(event.loaded, event.lengthComputable ? event.total : file.size));
      request.addEventListener('load', () => {
        if (request.status >= 200 && request.status < 300) resolve(JSON.parse(request.responseText));
        else reject(Problem.parse(request.status, request.responseText));
      });
      // A server that refuses a long body may close before it has read it; the browser then shows no answer, only a broken connection.
      request.addEventListener('error', () => reject(new Problem(0, { detail: 'the connection broke before the upload was complete' })));
      request.addEventListener('abort', () => reject(new DOMException('cancelled', 'AbortError')));
      signal.addEventListener('abort', () => request.abort(), { once: true });
      request.send(file);
    });
  }

  async #ask(method, path, query = {}, headers = this.headers, body = undefined) {
    let answer;
    let text;
    try {
      answer = await fetch(this.url(path, query), { method, headers, body, cache: 'no-store', signal: AbortSignal.timeout(TIMEOUT_MS) });
      text = await answer.text();
    } catch {
      throw new Problem(0);
    }
    if (!answer.ok) throw Problem.parse(answer.status, text);
    return text === '' ? null : JSON.parse(text);
  }
}
