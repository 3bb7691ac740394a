// What a player tells of its view.

import assert from 'node:assert/strict';
import test from 'node:test';

import { BATCH_MAX, Beacons, WAITING_MAX, rungOf } from '../pages/beacons.js';

const told = (beacons) => JSON.parse(beacons.take() ?? '{"events":[]}').events;

test('a view is told from load to end, with its start, its stall and its watch time', () => {
  const beacons = new Beacons();
  beacons.intent(0);
  assert.equal(beacons.take(), null, 'nobody gave a ticket yet');
  beacons.open('t', 1000);
  beacons.open('another', 1001);
  beacons.source('720p', 'ash-1', 1100);
  beacons.intent(1200);
  beacons.state('buffering', 1200);
  beacons.state('playing', 1700);
  beacons.beat(11_700);
  beacons.state('buffering', 12_000);
  beacons.state('playing', 14_500);
  beacons.source('1080p', 'ash-1', 15_000);
  beacons.end(16_000);
  beacons.beat(30_000);
  const text = beacons.take();
  assert.equal(JSON.parse(text).ticket, 't');
  const events = JSON.parse(text).events;
  assert.deepEqual(
    events.map((event) => [event.phase, event.at_ms, event.playing_ms ?? 0, event.stalled_ms ?? 0, event.rung ?? '']),
    [
      ['load', 0, 0, 0, ''],
      ['play_intent', 200, 0, 0, '720p'],
      ['first_frame', 700, 0, 0, '720p'],
      ['heartbeat', 10_700, 10_000, 0, '720p'],
      ['stall', 13_500, 300, 2500, '720p'],
      ['rung_change', 14_000, 500, 0, '720p'],
      ['end', 15_000, 1000, 0, '1080p'],
    ],
  );
  assert.equal(events[2].startup_ms, 500);
  assert.deepEqual(events.map((event) => event.seq), [1, 2, 3, 4, 5, 6, 7]);
});

test('a seek is no stall, and a page that slept did not play', () => {
  const beacons = new Beacons();
  beacons.open('t', 0);
  beacons.state('playing', 100);
  told(beacons);
  beacons.seek(1100);
  beacons.state('playing', 5000);
  beacons.beat(900_000);
  assert.deepEqual(told(beacons).map((event) => [event.playing_ms, event.stalled_ms]), [[60_000, undefined]]);
});

test('what waits is bounded, and what could not be sent is sent with the next batch', () => {
  const beacons = new Beacons();
  beacons.open('t', 0);
  beacons.state('playing', 0);
  for (let n = 1; n <= 2 * WAITING_MAX; n += 1) beacons.beat(n * 1000);
  const first = beacons.take();
  assert.equal(JSON.parse(first).events.length, BATCH_MAX);
  beacons.giveBack(first);
  assert.equal(beacons.take(), first);
  beacons.take();
  assert.equal(beacons.take(), null);
});

test('media URLs tell their rendition', () => {
  assert.equal(rungOf('https://e/v/1/~t/hls/720p/segment_00001.m4s'), '720p');
  assert.equal(rungOf('https://e/v/1/opener.mp4'), null);
  assert.equal(rungOf(undefined), null);
});
