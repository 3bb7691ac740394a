// A video plays to its end through an edge whose cache is smaller than any of its rungs.
//
//   REND_BIN=target/debug/rend REND_TEST_CLIP=clip.mp4 node --test test/real/small-cache.test.mjs
//
// It starts a Rend of its own, since the size of a cache is set at the start.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';

import { facts, openBrowser, openPage, untilState } from '../browser.mjs';

const WAIT_MS = 120_000;
const CACHE_BYTES = 256 * 1024;

async function until(what) {
  for (let waited = 0; waited < WAIT_MS; waited += 100) {
    const answer = await what();
    if (answer) return answer;
    await new Promise((done) => setTimeout(done, 100));
  }
  throw new Error('it did not come in time');
}

test('a video plays to its end through a cache that is smaller than one rung', async () => {
  assert.ok(process.env.REND_BIN, 'set REND_BIN to a built rend');
  const folder = await mkdtemp(path.join(tmpdir(), 'rend-small-'));
  const rend = spawn(process.env.REND_BIN, ['up', '--any-port', '--data-dir', folder], {
    env: { ...process.env, REND_EDGE_CACHE_MAX_BYTES: String(CACHE_BYTES), REND_LOG: 'warn' },
    stdio: 'ignore',
  });
  const browser = await openBrowser();
  try {
    const up = JSON.parse(await until(() => readFile(path.join(folder, 'up.json'), 'utf8').catch(() => null)));
    const key = (await until(() => readFile(path.join(folder, 'api-key'), 'utf8').catch(() => null))).trim();
    const headers = { authorization: `Bearer ${key}` };
    const body = await readFile(process.env.REND_TEST_CLIP);
    const sent = await fetch(`${up.api}/v1/videos?title=small%20cache&policy=public`, { method: 'POST', body, headers });
    assert.equal(sent.status, 201);
    const { id } = await sent.json();
    const asset = await until(async () => {
      const now = await (await fetch(`${up.api}/v1/assets/${id}`, { headers })).json();
      return ['ready', 'failed'].includes(now.source_state) && now;
    });
    assert.equal(asset.source_state, 'ready');
    const { page, wrong } = await openPage(browser.context, `${up.api}/watch/${id}?engine=hls`, {});
    await untilState(page, 'ended', asset.duration_ms * 2 + 60_000);
    const end = await facts(page);
    assert.equal(end.engine, 'hls.js');
    assert.ok(Math.abs(end.at * 1000 - asset.duration_ms) < 300, `ended at ${end.at} of ${asset.duration_ms} ms`);
    assert.deepEqual([end.error, end.failures, await wrong()], [null, [], []]);
    const secrets = await readFile(path.join(folder, 'secrets.env'), 'utf8');
    const token = /^REND_EDGE_INTERNAL_TOKEN=(.*)$/m.exec(secrets)[1].replace(/^["']|["']$/g, '');
    const cache = await (await fetch(`${up.edge_private}/internal/cache`, { headers: { authorization: `Bearer ${token}` } })).json();
    assert.ok(cache.bytes_used <= CACHE_BYTES && cache.bytes_max === CACHE_BYTES, JSON.stringify(cache));
    assert.ok(cache.evicted + cache.fills_bypassed > 0, 'the cache was too small for what was watched');
  } finally {
    await browser.close();
    rend.kill('SIGTERM');
    await new Promise((done) => rend.once('exit', done));
    await rm(folder, { recursive: true, force: true });
  }
});
