import assert from 'node:assert/strict';
import http from 'node:http';
import test from 'node:test';

import { LINE_CHARS_MAX, SseParser, follow, waitAfter } from '../pages/sse.js';

const STREAM = ': hello\n\nid: 7\nevent: rendition.ready\ndata: {"a":\ndata: 1}\n\ndata:bare\r\n\r\nid: 8\n\nevent: none\n\nid: 9\nevent: x\ndata: \u00e9nd\n\n';
const EVENTS = [
  { id: '7', type: 'rendition.ready', data: '{"a":\n1}' },
  { id: '7', type: 'message', data: 'bare' },
  { id: '9', type: 'x', data: '\u00e9nd' },
];

test('a stream reads the same however it is cut', () => {
  for (let size = 1; size <= STREAM.length; size += 1) {
    const parser = new SseParser();
    const events = [];
    for (let at = 0; at < STREAM.length; at += size) events.push(...parser.push(STREAM.slice(at, at + size)));
    assert.deepEqual(events, EVENTS, `cut every ${size}`);
    assert.equal(parser.lastId, '9');
  }
});

test('an event that its stream does not finish is not an event', () => {
  const parser = new SseParser();
  assert.deepEqual(parser.push('id: 1\ndata: half\n'), []);
});

test('a line without an end is refused before it fills the memory', () => {
  const parser = new SseParser();
  assert.throws(() => {
    for (let i = 0; i < 3; i += 1) parser.push('x'.repeat(LINE_CHARS_MAX / 2));
  }, RangeError);
});

test('waits between connections double to their bound and chance spreads them', () => {
  assert.deepEqual([0, 1, 2, 50].map((n) => waitAfter(n, 0)), [500, 1000, 2000, 15_000]);
  assert.equal(waitAfter(0, 1), 350);
});

/** A server that answers each connection by the next of `answers`, and what it was asked. */
async function serve(answers) {
  const asked = [];
  const server = http.createServer((req, res) => {
    asked.push({ last: req.headers['last-event-id'] ?? null, key: req.headers.authorization });
    const answer = answers[Math.min(asked.length, answers.length) - 1];
    if (typeof answer === 'number') return res.writeHead(answer).end();
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    return res.write(answer, () => setTimeout(() => res.destroy(), 20));
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  return { asked, url: `http://127.0.0.1:${server.address().port}/v1/events`, close: () => (server.closeAllConnections(), server.close()) };
}

test('a stream that breaks is taken up after the last event that was seen', async () => {
  const server = await serve(['id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 3\ndata: ha', 503, 'id: 3\ndata: c\n\n']);
  const seen = [];
  const states = [];
  const stop = new AbortController();
  await follow({
    url: server.url,
    headers: { authorization: 'Bearer k' },
    signal: stop.signal,
    onState: (state) => states.push(state),
    onEvent: (event) => {
      seen.push(event.data);
      if (seen.length === 3) stop.abort();
    },
  });
  server.close();
  assert.deepEqual(seen, ['a', 'b', 'c']);
  assert.deepEqual(server.asked, [null, '2', '2'].map((last) => ({ last, key: 'Bearer k' })));
  assert.deepEqual(states, ['live', 'waiting', 'waiting', 'live']);
});

test('a stream that is refused is not asked for again', async () => {
  const server = await serve([401]);
  const states = [];
  await follow({ url: server.url, headers: {}, signal: new AbortController().signal, onState: (state) => states.push(state), onEvent: () => {} });
  server.close();
  assert.deepEqual([states, server.asked.length], [['refused'], 1]);
});
