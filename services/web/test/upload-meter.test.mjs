import assert from 'node:assert/strict';
import test from 'node:test';

import { UploadMeter } from '../pages/upload-meter.js';

test('an even upload has an even speed and an honest end', () => {
  const meter = new UploadMeter(10_000_000, 0);
  for (let at = 100; at <= 5_000; at += 100) meter.record(at * 1_000, at);
  assert.ok(Math.abs(meter.speed(5_000) - 1_000_000) < 50_000);
  assert.ok(Math.abs(meter.left(5_000) - 5_000) < 300);
});

test('nothing is claimed before there is a history', () => {
  const meter = new UploadMeter(1_000, 0);
  meter.record(500, 100);
  assert.equal(meter.speed(100), null);
  assert.equal(meter.left(100), null);
});

test('a stalled upload slows down instead of freezing its last speed', () => {
  const meter = new UploadMeter(10_000_000, 0);
  for (let at = 100; at <= 2_000; at += 100) meter.record(at * 1_000, at);
  assert.ok(meter.speed(6_000) < meter.speed(2_000) / 2);
});

test('an upload that changes its speed is told by what it does now', () => {
  const meter = new UploadMeter(100_000_000, 0);
  let sent = 0;
  for (let at = 100; at <= 10_000; at += 100) meter.record((sent += 10_000), at);
  for (let at = 10_100; at <= 20_000; at += 100) meter.record((sent += 200_000), at);
  assert.ok(Math.abs(meter.speed(20_000) - 2_000_000) < 100_000);
});

test('a flood of reports reads like a few of them', () => {
  const meter = new UploadMeter(1e9, 0);
  for (let i = 1; i <= 500_000; i += 1) meter.record(i * 10, i / 100);
  assert.ok(Math.abs(meter.speed(5_000) - 1_000_000) < 50_000);
});
