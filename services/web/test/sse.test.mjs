import assert from 'node:assert/strict';
import test from 'node:test';

import { LINE_CHARS_MAX, SseParser, waitAfter } from '../pages/sse.js';

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
