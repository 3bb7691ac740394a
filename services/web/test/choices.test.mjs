import assert from 'node:assert/strict';
import test from 'node:test';

import { keep, preferred, recalled } from '../pages/choices.js';
import { tilesOf } from '../pages/previews.js';

const TRACKS = [
  { index: 0, lang: 'en', default: false },
  { index: 1, lang: 'pt-BR', default: true },
];

test('a choice is kept where the browser lets it, and means the same language later', () => {
  const kept = new Map();
  const store = { getItem: (name) => kept.get(name) ?? null, setItem: (name, value) => kept.set(name, value) };
  assert.equal(recalled('captions', store), null);
  keep('captions', 'pt-BR', store);
  assert.equal(preferred(TRACKS, recalled('captions', store)), 1);
  const closed = { getItem: () => { throw new Error('denied'); }, setItem: () => { throw new Error('denied'); } };
  keep('captions', 'en', closed);
  assert.equal(recalled('captions', closed), null);
});

test('the chosen language comes before the default, another variety of it before none, and no captions is a choice', () => {
  const rows = [
    [null, 1],
    ['en', 0],
    ['EN', 0],
    ['en-GB', 0],
    ['pt', 1],
    ['de', 1],
    ['', -1],
  ];
  for (const [chosen, expect] of rows) assert.equal(preferred(TRACKS, chosen), expect, String(chosen));
  assert.equal(preferred([TRACKS[0]], null), -1);
  assert.equal(preferred([], 'en'), -1);
});

test('the index of stills is read, and what else stands in it is not', () => {
  const text = 'WEBVTT\r\n\r\n00:00:00.000 --> 00:00:02.002\r\nthumbs.jpg#xywh=0,0,160,90\r\n\r\nNOTE x\n\n00:00:02.002 --> 01:00:04.000\nthumbs.jpg#xywh=160,0,160,90\n\n00:00:05.000 --> 00:00:06.000\nhttps://elsewhere.example/x.jpg#xywh=0,0,1,1\n';
  assert.deepEqual(tilesOf(text), [
    { from: 0, to: 2.002, picture: 'thumbs.jpg', x: 0, y: 0, width: 160, height: 90 },
    { from: 2.002, to: 3604, picture: 'thumbs.jpg', x: 160, y: 0, width: 160, height: 90 },
  ]);
  assert.deepEqual(tilesOf(''), []);
});
