import assert from 'node:assert/strict';
import test from 'node:test';

import { ago, bitrate, bytes, clock, count, percent, plural, rate, span, spoken } from '../pages/format.js';

const check = (got, expect) => assert.equal(got.replace(/[\u00a0\u202f]/g, ' '), expect);

test('bytes have three digits at most and never a thousand of a unit', () => {
  for (const [amount, expect] of [
    [0, '0 B'], [999, '999 B'], [1000, '1.0 kB'], [1234, '1.2 kB'], [9949, '9.9 kB'], [9951, '10 kB'], [999_499, '999 kB'], [999_500, '1.0 MB'],
    [4_288_306, '4.3 MB'], [812e9, '812 GB'], [5e18, '5000 PB'], [-1, '–'], [NaN, '–'], [undefined, '–'],
  ]) check(bytes(amount), expect);
  check(rate(1_500_000), '1.5 MB/s');
  check(rate(0), '–');
  check(bitrate(640_200), '640 kb/s');
  check(bitrate(999_600), '1.0 Mb/s');
  check(bitrate(2_800_000), '2.8 Mb/s');
  check(bitrate(0), '–');
});

test('bytes never shrink as the amount grows', () => {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  const value = (text) => {
    const [number, unit] = text.split('\u00a0');
    return Number(number) * 1000 ** units.indexOf(unit);
  };
  let before = 0;
  for (let amount = 1; amount < 1e16; amount = Math.ceil(amount * 1.003)) {
    const now = value(bytes(amount));
    assert.ok(now >= before, `${amount} reads as ${bytes(amount)}`);
    before = now;
  }
});

test('a clock pads all but its first part', () => {
  for (const [seconds, expect] of [[0, '0:00'], [7.9, '0:07'], [62, '1:02'], [3600, '1:00:00'], [3723, '1:02:03'], [-4, '0:00'], [Infinity, '0:00'], [NaN, '0:00']]) {
    check(clock(seconds), expect);
  }
});

test('a time is spoken in words that agree with their numbers', () => {
  for (const [seconds, expect] of [[0, '0 seconds'], [1, '1 second'], [62, '1 minute 2 seconds'], [7261, '2 hours 1 minute 1 second'], [NaN, '0 seconds']]) check(spoken(seconds), expect);
});

test('a span names its two largest units', () => {
  for (const [ms, expect] of [[0, '0 ms'], [0.31, '0.3 ms'], [7, '7 ms'], [12.4, '12 ms'], [640, '640 ms'], [4200, '4.2 s'], [12_400, '12 s'], [59_700, '1 min'], [200_000, '3 min 20 s'], [7_500_000, '2 h 5 min'], [90_000_000, '1 d 1 h'], [-1, '–'], [NaN, '–']]) check(span(ms), expect);
});

test('how long ago is told roughly', () => {
  for (const [ms, expect] of [[-50, 'just now'], [4_999, 'just now'], [12_000, '12 s ago'], [150_000, '2 min ago'], [7_300_000, '2 h ago'], [5 * 86_400_000, '5 d ago'], [NaN, '–']]) check(ago(ms), expect);
});

test('a share says none and all only when it is none and all', () => {
  for (const [part, whole, expect] of [[0, 10, '0 %'], [1, 1000, '1 %'], [999, 1000, '99 %'], [1000, 1000, '100 %'], [5, 0, '0 %'], [1, 3, '33 %'], [NaN, 3, '0 %']]) check(percent(part, whole), expect);
});

test('counts are grouped and agree with their noun', () => {
  check(count(1_234_567), '1 234 567');
  check(count(999), '999');
  check(plural(1, 'edge'), '1 edge');
  check(plural(1200, 'entry', 'entries'), '1 200 entries');
});
