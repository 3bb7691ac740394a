// What the rows of usage come to.

import assert from 'node:assert/strict';
import test from 'node:test';

import { DAYS, minutes, usageFrom, usageOf } from '../pages/usage-view.js';

const NOW = Date.parse('2027-01-15T08:20:00.000Z');
const row = (hour, tier, delivered, complete = true) => ({ hour, tier, delivered_ms: delivered, revision: 1, complete });

test('thirty days end with today, and begin with a whole day', () => {
  assert.equal(new Date(usageFrom(NOW)).toISOString(), '2026-12-17T00:00:00.000Z');
  const { days } = usageOf([], NOW);
  assert.equal(days.length, DAYS);
  assert.deepEqual([days[0].day, days.at(-1).day], ['2026-12-17', '2027-01-15']);
});

test('nothing delivered is no tier', () => {
  assert.deepEqual({ ...usageOf([], NOW), days: [] }, { days: [], tiers: [], total: 0, lacking: 0 });
});

test('rows add up by day and by tier, lowest tier first, and an hour that lacks records counts once', () => {
  const found = usageOf(
    [
      row('2027-01-15T07:00:00.000Z', '4k', 60_000, false),
      row('2027-01-15T07:00:00.000Z', '720p', 30_000, false),
      row('2027-01-14T23:00:00.000Z', '720p', 90_000),
      row('2026-12-17T00:00:00.000Z', 'audio_only', 1),
      row('2026-12-17T01:00:00.000Z', '8k', 2),
      row('2026-12-16T23:00:00.000Z', '720p', 999, false),
    ],
    NOW,
  );
  assert.deepEqual(
    found.tiers.map(({ tier, delivered }) => [tier, delivered]),
    [['audio_only', 1], ['720p', 120_000], ['4k', 60_000], ['8k', 2]],
  );
  assert.deepEqual(found.tiers.map(({ name }) => name), ['Sound only', 'Up to 720p', 'Up to 4K', '8k']);
  assert.deepEqual([found.total, found.lacking], [180_003, 1]);
  assert.deepEqual([found.days.at(-1).total, found.days.at(-2).byTier, found.days[0].total], [90_000, { '720p': 90_000 }, 3]);
});

test('minutes have as many digits as they need, and something is never nothing', () => {
  const check = (milliseconds, words) => assert.equal(minutes(milliseconds), words);
  check(0, '0');
  check(1, '< 0.1');
  check(6_000, '0.1');
  check(90_000, '1.5');
  check(596_000, '9.9');
  check(597_000, '10');
  check(74_040_000, '1\u202f234');
});
