import assert from 'node:assert/strict';
import test from 'node:test';

import { eventWords, factsOf, gateOf, isNews, isPlayable, isSettled, reportOf, statusOf, titleFrom } from '../pages/asset-view.js';
import { urlFacts } from '../pages/page.js';

const ready = { name: '360p', state: 'ready' };
const planned = { name: '720p', state: 'planned' };
const asset = (more) => ({ source_state: 'processing', playable_state: 'not_playable', degraded: false, failure: null, renditions: [], ...more });

test('every state has a tone and a word', () => {
  const check = (more, tone, label, detail = '') => assert.deepEqual({ ...statusOf(asset(more)), detail: statusOf(asset(more)).detail.replaceAll('\u202f', ' ') }, { tone, label, detail });
  check({ source_state: 'pending' }, 'busy', 'Waiting for its file');
  check({ source_state: 'uploading' }, 'busy', 'Uploading');
  check({ source_state: 'uploaded' }, 'busy', 'In the queue');
  check({}, 'busy', 'Reading the file');
  check({ renditions: [planned] }, 'busy', 'Encoding', '0 of 1 rendition ready');
  check({ playable_state: 'opener_ready', renditions: [ready, planned] }, 'busy', 'Playable, encoding', '1 of 2 renditions ready');
  check({ source_state: 'ready', playable_state: 'hls_ready' }, 'good', 'Ready');
  check({ source_state: 'failed', playable_state: 'failed', failure: { code: 'not_a_video', detail: 'no picture' } }, 'bad', 'Failed', 'No picture.');
  check({ source_state: 'deleted', playable_state: 'deleted' }, 'idle', 'Deleted');
  assert.equal(statusOf(asset({ source_state: 'ready', playable_state: 'hls_ready', degraded: true })).tone, 'warn');
  assert.equal(statusOf(asset({ source_state: 'something new' })).label, 'Being prepared');
});

test('what plays and what is settled are different questions', () => {
  const growing = asset({ playable_state: 'opener_ready' });
  assert.deepEqual([isPlayable(growing), isSettled(growing)], [true, false]);
  const failed = asset({ source_state: 'failed', playable_state: 'failed' });
  assert.deepEqual([isPlayable(failed), isSettled(failed)], [false, true]);
});

test('unknown facts are left out', () => {
  assert.deepEqual(factsOf(asset({ bytes: 4_288_306 })), ['4.3\u00a0MB']);
  assert.deepEqual(factsOf(asset({ duration_ms: 62_000, width: 1280, height: 720, fps: 29.97002, bytes: null })), ['1:02', '1280 × 720', '29.97 fps']);
});

test('what was not standard is said with what it cost, where that was measured', () => {
  assert.deepEqual(reportOf(asset({ input_report: [{ what: 'it had to be encoded', cost_ms: 812 }, { what: 'It is turned.', cost_ms: null }] })), [
    { what: 'It had to be encoded.', cost: '812\u00a0ms' },
    { what: 'It is turned.', cost: '' },
  ]);
  assert.deepEqual(reportOf(asset({})), []);
});

test('a title is made of a file name', () => {
  for (const [name, expect] of [['holiday_2026 final.MP4', 'holiday 2026 final'], ['C:\\films\\a.b.mov', 'a.b'], ['.mp4', 'Untitled video'], ['no-extension', 'no-extension'], ['x'.repeat(300), 'x'.repeat(255)]]) {
    assert.equal(titleFrom(name), expect);
  }
});

test('an event is news when it is later than what is shown, or about something newer than the list', () => {
  const event = (more) => ({ type: 'rendition.ready', asset_id: '0190-b', at: '2026-01-01T00:00:02Z', ...more });
  const shown = { updated_at: '2026-01-01T00:00:01Z' };
  assert.equal(isNews(event(), shown, null), true);
  assert.equal(isNews(event({ at: '2026-01-01T00:00:00Z' }), shown, null), false, 'the replay of an old log asks nothing');
  assert.equal(isNews(event({ type: 'edge.warming_succeeded' }), shown, null), false);
  assert.equal(isNews(event(), undefined, '0190-a'), true);
  assert.equal(isNews(event(), undefined, '0190-c'), false, 'older than the part of the list that is shown');
  assert.equal(isNews(event({ type: 'asset.deleted' }), undefined, null), false);
});

test('every event type has words, and an unknown one its name', () => {
  assert.equal(eventWords({ type: 'media.planned', data: { renditions: '4' } }), '4 renditions planned');
  assert.equal(eventWords({ type: 'playable_state.changed', data: { playable_state: 'opener_ready' } }), 'The first seconds play');
  assert.equal(eventWords({ type: 'asset.teleported' }), 'asset.teleported');
});

test('a gate report is read for its verdict, its reasons, its steps and its timings', () => {
  assert.equal(gateOf(null), null);
  assert.deepEqual(
    gateOf({
      schema_version: 1, target: 'embedded', started_at: '2026-01-01T00:00:00Z', status: 'fail', reasons: ['hit: slow'],
      steps: [{ name: 'upload', verdict: 'pass', reasons: [] }, { name: 'hit', verdict: 'fail', reasons: ['slow'] }],
      timings: { EDGE_TTFB_HIT: { count: 3, p50_ms: 61.2, p95_ms: 70, max_ms: 70, warn_ms: 50, fail_ms: 1000, verdict: 'warn' }, SOMETHING_NEW: { p50_ms: 1, verdict: 'pass' } },
    }),
    {
      verdict: 'fail', reasons: ['hit: slow'], at: Date.UTC(2026, 0, 1), target: 'embedded', steps: 2, passed: 1,
      timings: [{ name: 'First byte, cached', ms: 61.2, verdict: 'warn' }, { name: 'something new', ms: 1, verdict: 'pass' }],
    },
  );
  assert.equal(gateOf({}).verdict, 'unknown');
});

test('the address of a player page says which video and how', () => {
  const at = (pathname, search = '') => urlFacts({ pathname, search });
  assert.equal(at('/watch/0190').assetId, '0190');
  assert.equal(at('/embed/0190/').assetId, '0190');
  assert.equal(at('/elsewhere').assetId, '');
  assert.deepEqual(at('/watch/a', '?token=t&muted&autoplay=0&start=12&transport=path&engine=native'), { assetId: 'a', token: 't', transport: 'path', autoplay: false, muted: true, loop: false, start: 12, buffer: null, engine: 'native' });
  assert.equal(at('/watch/a', '?engine=flash&start=-1').engine, null);
});
