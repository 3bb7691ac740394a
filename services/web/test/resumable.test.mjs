import assert from 'node:assert/strict';
import test from 'node:test';

import { Problem } from '../pages/api.js';
import { discard, sendInPieces, unfinished } from '../pages/resumable.js';

const WORDS = { title: 'Film – ünï', policy: 'public' };

/** What a browser's storage does. */
class Store {
  #map = new Map();
  get length() {
    return this.#map.size;
  }
  key(n) {
    return [...this.#map.keys()][n];
  }
  getItem(key) {
    return this.#map.get(key) ?? null;
  }
  setItem(key, value) {
    this.#map.set(key, value);
  }
  removeItem(key) {
    this.#map.delete(key);
  }
}

/** A server in memory. `faults` are taken one by one, one for each PATCH: how many bytes of it count before it breaks. */
class Server {
  uploads = new Map();
  byKey = new Map();
  asked = [];
  faults = [];

  send = async (method, path, headers, { body, signal }) => {
    signal.throwIfAborted();
    this.asked.push(method);
    const answer = (status, more = {}, text = '') => ({ status, header: (name) => more[name] ?? null, text });
    assert.equal(headers['tus-resumable'], '1.0.0');
    if (method === 'POST') {
      let id = this.byKey.get(headers['idempotency-key']);
      if (!id) {
        id = `/v1/uploads/${this.uploads.size}`;
        this.byKey.set(headers['idempotency-key'], id);
        this.uploads.set(id, { size: Number(headers['upload-length']), metadata: headers['upload-metadata'], bytes: [] });
      }
      if (this.loseNextAnswer) {
        this.loseNextAnswer = false;
        throw new Problem(0);
      }
      return answer(201, { location: id });
    }
    const upload = this.uploads.get(path);
    if (!upload) return answer(404, {}, '{"code":"not_found"}');
    const stands = () => ({ 'upload-offset': `${upload.bytes.length}`, 'rend-asset-id': 'asset-1' });
    if (method === 'HEAD') return answer(200, stands());
    if (method === 'DELETE') return this.uploads.delete(path), answer(204);
    if (Number(headers['upload-offset']) !== upload.bytes.length) return answer(409);
    const bytes = [...new Uint8Array(await body.arrayBuffer())];
    const fault = this.faults.shift();
    if (typeof fault === 'number') {
      upload.bytes.push(...bytes.slice(0, fault));
      throw new Problem(0);
    }
    if (fault) return fault(answer);
    upload.bytes.push(...bytes);
    return answer(204, stands());
  };
}

function file(bytes, name = 'film.mp4', lastModified = 7) {
  return new File([new Uint8Array(bytes)], name, { lastModified });
}

function options(server, store, more = {}) {
  return { origin: 'http://rend.test', send: server.send, store, onProgress: () => {}, signal: new AbortController().signal, rest: async () => {}, ...more };
}

test('a file comes whole though its connection breaks again and again', async () => {
  const [server, store, seen] = [new Server(), new Store(), []];
  server.faults = [3, 0, 4];
  const bytes = Array.from({ length: 20 }, (_, n) => n);
  const asset = await sendInPieces(file(bytes), WORDS, options(server, store, { onProgress: (sent) => seen.push(sent) }));
  assert.equal(asset, 'asset-1');
  assert.deepEqual([...server.uploads.values()][0].bytes, bytes);
  assert.ok(seen.includes(3) && seen.includes(7), JSON.stringify(seen));
  assert.equal(store.length, 0, 'nothing is remembered of what ended');
  const metadata = [...server.uploads.values()][0].metadata.split(',').map((pair) => pair.split(' '));
  assert.equal(Buffer.from(metadata.find(([key]) => key === 'title')[1], 'base64').toString(), WORDS.title);
});

test('whoever chooses the same file after a reload goes on where it stopped', async () => {
  const [server, store] = [new Server(), new Store()];
  const leaving = new AbortController();
  server.faults = [
    () => {
      [...server.uploads.values()][0].bytes.push(0, 1, 2);
      leaving.abort(new DOMException('left', 'AbortError'));
      throw new DOMException('left', 'AbortError');
    },
  ];
  const bytes = [0, 1, 2, 3, 4, 5];
  await assert.rejects(sendInPieces(file(bytes), WORDS, options(server, store, { signal: leaving.signal })), { name: 'AbortError' });
  assert.deepEqual(unfinished(store).map(({ name, size }) => [name, size]), [['film.mp4', 6]]);
  await sendInPieces(file(bytes), WORDS, options(server, store));
  assert.equal(server.uploads.size, 1, 'no second upload was begun');
  assert.deepEqual([...server.uploads.values()][0].bytes, bytes);
  assert.deepEqual(unfinished(store), []);
});

test('another file, an older one or another title is another upload', async () => {
  const [server, store] = [new Server(), new Store()];
  const refuse = (answer) => answer(422, {}, '{"detail":"no"}');
  server.faults = [refuse, refuse, refuse, refuse];
  for (const [sent, words] of [[file([1]), WORDS], [file([1], 'b.mp4'), WORDS], [file([1], 'film.mp4', 8), WORDS], [file([1]), { ...WORDS, title: 'x' }]]) {
    await assert.rejects(sendInPieces(sent, words, options(server, store)), { status: 422 });
  }
  assert.equal(server.uploads.size, 4);
});

test('an answer that was lost on the way begins no second upload', async () => {
  const [server, store] = [new Server(), new Store()];
  server.loseNextAnswer = true;
  await sendInPieces(file([1, 2]), WORDS, options(server, store));
  assert.equal(server.uploads.size, 1);
});

test('an upload that the server forgot is begun anew, once', async () => {
  const [server, store] = [new Server(), new Store()];
  server.faults = [(answer) => (server.uploads.clear(), answer(410))];
  await sendInPieces(file([1, 2]), WORDS, options(server, store));
  assert.deepEqual([...server.uploads.values()][0].bytes, [1, 2]);
  server.faults = [(answer) => answer(410), (answer) => answer(410)];
  await assert.rejects(sendInPieces(file([3]), WORDS, options(server, store)), { status: 410 });
});

test('what trying again can not help is said at once, and patience has an end', async () => {
  const [server, store] = [new Server(), new Store()];
  for (const status of [401, 403, 413, 422, 507]) {
    server.faults = [(answer) => answer(status, {}, '{"detail":"no"}')];
    await assert.rejects(sendInPieces(file([status & 255]), WORDS, options(server, store)), { status });
  }
  let rested = 0;
  server.faults = Array.from({ length: 1000 }, () => 0);
  const rest = async (ms) => (rested += ms);
  await assert.rejects(sendInPieces(file([9]), WORDS, options(server, store, { rest })), { status: 0 });
  assert.ok(rested >= 300_000 && rested < 320_000, `${rested}`);
});

test('what is discarded is gone at the server and here', async () => {
  const [server, store] = [new Server(), new Store()];
  const stop = new AbortController();
  const onProgress = () => stop.abort(new DOMException('cancelled', 'AbortError'));
  await assert.rejects(sendInPieces(file([1, 2]), WORDS, options(server, store, { signal: stop.signal, onProgress })), { name: 'AbortError' });
  assert.equal(server.uploads.size, 1);
  await discard(file([1, 2]), WORDS, options(server, store));
  assert.equal(server.uploads.size, 0);
  assert.equal(store.length, 0);
});

test('what is remembered is bounded, grows old, and is not missed where it is forbidden', async () => {
  const [server, store] = [new Server(), new Store()];
  for (let n = 0; n < 60; n += 1) {
    server.faults = [(answer) => answer(422)];
    await assert.rejects(sendInPieces(file([n], `${n}.mp4`), WORDS, options(server, store, { now: () => n })));
  }
  assert.equal(store.length, 50);
  assert.equal(unfinished(store, () => 60)[0].name, '59.mp4');
  assert.deepEqual(unfinished(store, () => 48 * 3600 * 1000), []);
  const forbidden = new Proxy(store, { get: () => () => { throw new Error('forbidden'); } });
  assert.equal(await sendInPieces(file([1]), WORDS, options(server, forbidden)), 'asset-1');
});
