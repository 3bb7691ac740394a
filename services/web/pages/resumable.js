// Sending a file in pieces, as tus 1.0, so that a broken line, a restarted server or a reloaded page costs seconds.
//
// What is remembered lies in the browser's storage under what the upload is: the file's name, size and date, its title and policy, and the server.
// A page can not keep a file across a reload; whoever chooses the same file again goes on where it stopped.

import { Problem } from './api.js';

const VERSION = '1.0.0';
const PIECE = 'application/offset+octet-stream';
const PREFIX = 'rend.upload.';
/** The server forgets an upload a day after its last byte. */
const KEPT_MS = 24 * 3600 * 1000;
/** Uploads that are remembered; the oldest make room. */
const REMEMBERED_MAX = 50;
const REST_MIN_MS = 500;
const REST_MAX_MS = 10_000;
/** For how long tries that bring nothing go on. */
const PATIENCE_MS = 300_000;

/**
 * Sends `file` and answers the id of its asset.
 * `send`: one request, see `byXhr` · `store`: like localStorage · `onProgress(sent)` · `onState('sending' | 'waiting')` · `signal` stops, and what was
 * sent stays for later. Rejects with a Problem when trying again would not help, or an AbortError.
 */
export async function sendInPieces(file, { title, policy }, { origin, send, store, onProgress, onState = () => {}, signal, rest = wait, now = Date.now }) {
  const memory = new Memory(store, now);
  const name = await nameOf(origin, file, { title, policy });
  const metadata = `title ${base64(title)},policy ${base64(policy)},filename ${base64(file.name)}`;
  let entry = memory.read(name) ?? memory.write(name, fresh(file, title, now));
  let [pause, waited, anew, far] = [REST_MIN_MS, 0, false, 0];
  for (;;) {
    signal.throwIfAborted();
    try {
      onState('sending');
      if (!entry.path) {
        const begun = await ask(send, 'POST', '/v1/uploads', { 'upload-length': `${file.size}`, 'upload-metadata': metadata, 'idempotency-key': entry.key }, { signal });
        entry = memory.write(name, { ...entry, path: new URL(begun.header('location'), origin).pathname });
      }
      const stands = await ask(send, 'HEAD', entry.path, {}, { signal });
      const offset = Number(stands.header('upload-offset'));
      // Bytes that came on since the last look are worth another round of patience.
      if (offset > far) [pause, waited, far] = [REST_MIN_MS, 0, offset];
      onProgress(offset);
      entry = memory.write(name, { ...entry, sent: offset, at: now() });
      if (offset === file.size) {
        memory.forget(name);
        return stands.header('rend-asset-id');
      }
      const headers = { 'upload-offset': `${offset}`, 'content-type': PIECE };
      const done = await ask(send, 'PATCH', entry.path, headers, { body: file.slice(offset), onProgress: (sent) => onProgress(offset + sent), signal });
      if (Number(done.header('upload-offset')) === file.size) {
        memory.forget(name);
        return done.header('rend-asset-id');
      }
    } catch (problem) {
      if (problem.name === 'AbortError') throw problem;
      if ([404, 410].includes(problem.status) && entry.path && !anew) {
        // The server has forgotten it; what is here is still whole.
        [anew, far] = [true, 0];
        entry = memory.write(name, fresh(file, title, now));
        continue;
      }
      if (!mayHelp(problem) || waited >= PATIENCE_MS) throw problem;
      onState('waiting');
      await rest(pause, signal);
      waited += pause;
      pause = Math.min(pause * 2, REST_MAX_MS);
    }
  }
}

/** Ends an upload for good: nothing of it stays. */
export async function discard(file, { title, policy }, { origin, send, store, now = Date.now }) {
  const memory = new Memory(store, now);
  const name = await nameOf(origin, file, { title, policy });
  const entry = memory.read(name);
  memory.forget(name);
  // Where the server can not be reached, the upload expires by itself.
  if (entry?.path) await ask(send, 'DELETE', entry.path, {}, { signal: new AbortController().signal }).catch(() => {});
}

/** The uploads that were begun here and not ended: {title, name, size, sent}. */
export function unfinished(store, now = Date.now) {
  return new Memory(store, now).all();
}

/** One request by XMLHttpRequest, which tells how much of a body has left; fetch can not. */
export function byXhr(api) {
  return (method, path, headers, { body = null, onProgress = () => {}, signal }) =>
    new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open(method, api.url(path));
      for (const [name, value] of Object.entries({ ...api.headers, ...headers })) request.setRequestHeader(name, value);
      request.upload.addEventListener('progress', (event) => onProgress(event.loaded));
      request.addEventListener('load', () => resolve({ status: request.status, header: (name) => request.getResponseHeader(name), text: request.responseText }));
      request.addEventListener('error', () => reject(new Problem(0, { detail: 'the connection broke' })));
      request.addEventListener('abort', () => reject(new DOMException('cancelled', 'AbortError')));
      signal.addEventListener('abort', () => request.abort(), { once: true });
      request.send(body);
    });
}

async function ask(send, method, path, headers, options) {
  const answer = await send(method, path, { 'tus-resumable': VERSION, ...headers }, options);
  if (answer.status >= 200 && answer.status < 300) return answer;
  throw Problem.parse(answer.status, answer.text);
}

/** Whether asking again can help: no answer, a busy server, or one that stands elsewhere than was thought. */
function mayHelp({ status }) {
  return status === 0 || status === 408 || status === 409 || status === 423 || status === 429 || (status >= 500 && status !== 507);
}

function fresh(file, title, now) {
  return { key: `web-${crypto.randomUUID()}`, path: null, title, name: file.name, size: file.size, sent: 0, at: now() };
}

async function nameOf(origin, file, { title, policy }) {
  const said = JSON.stringify([origin, file.name, file.size, file.lastModified, title, policy]);
  // Pages of plain http on other hosts than this machine have no digests; there the words themselves are the name.
  if (!crypto.subtle) return said;
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(said));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

function base64(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

function wait(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => (clearTimeout(timer), reject(new DOMException('cancelled', 'AbortError'))), { once: true });
  });
}

/** What is remembered. Storage that is full or forbidden costs the resuming after a reload, and nothing else. */
class Memory {
  #store;
  #now;

  constructor(store, now) {
    this.#store = store;
    this.#now = now;
  }

  read(name) {
    try {
      const entry = JSON.parse(this.#store.getItem(PREFIX + name));
      return entry && this.#now() - entry.at < KEPT_MS ? entry : null;
    } catch {
      return null;
    }
  }

  write(name, entry) {
    try {
      const others = this.#names().filter((other) => other !== name);
      const age = (other) => this.read(other)?.at ?? 0;
      others.sort((a, b) => age(b) - age(a));
      for (const old of others.slice(REMEMBERED_MAX - 1)) this.forget(old);
      this.#store.setItem(PREFIX + name, JSON.stringify(entry));
    } catch {
      // See above.
    }
    return entry;
  }

  forget(name) {
    try {
      this.#store.removeItem(PREFIX + name);
    } catch {
      // See above.
    }
  }

  all() {
    try {
      const entries = this.#names().map((name) => this.read(name));
      return entries.filter((entry) => entry?.path).sort((a, b) => b.at - a.at);
    } catch {
      return [];
    }
  }

  #names() {
    const names = [];
    for (let n = 0; n < this.#store.length; n += 1) {
      const key = this.#store.key(n);
      if (key.startsWith(PREFIX)) names.push(key.slice(PREFIX.length));
    }
    return names;
  }
}
