// What Rend publishes, before other eyes: every playlist by a strict parser, and every presentation played to its end by Shaka Player
// and by hls.js as they come, without one error event.
//
//   REND_API_BASE=http://127.0.0.1:4000 REND_API_KEY=rend_live_… REND_TEST_CLIP=clip.mp4 REND_TEST_CLIP_GOOD=good.mp4 npm run test:real
//
// The files are fetched from the edge once and served again by a server of the test, so that foreign players stand on their own page.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';

import HLS from 'hls-parser';

import { openBrowser } from '../browser.mjs';

const WAIT_MS = 120_000;
/** A clip of twelve seconds is played in about four. Shaka says nothing when a busy machine decodes too slowly for that. */
const SPEED = 3;
/** hls.js calls a stall an error, so it plays as viewers do, and may not stall even once. */
const SPEED_STRICT = 1;
const MODULES = fileURLToPath(new URL('../../node_modules/', import.meta.url));
const TYPES = { '.m3u8': 'application/vnd.apple.mpegurl', '.mp4': 'video/mp4', '.m4s': 'video/mp4', '.js': 'text/javascript', '.mjs': 'text/javascript', '.html': 'text/html' };

const SHAKA = `<!doctype html><video id="video" muted></video><script src="/modules/shaka-player/dist/shaka-player.compiled.js"></script><script>
  window.wrong = [];
  (async () => {
    const video = document.getElementById('video');
    const player = new shaka.Player();
    await player.attach(video);
    player.addEventListener('error', (event) => window.wrong.push('shaka ' + event.detail.code + ' ' + event.detail.message));
    try {
      await player.load('/media/master.m3u8');
      window.variants = player.getVariantTracks().length;
      video.playbackRate = ${SPEED};
      await video.play();
    } catch (problem) { window.wrong.push(String(problem.code ?? problem)); }
  })();
</script>`;
const HLS_JS = `<!doctype html><video id="video" muted></video><script type="module">
  import Hls from '/modules/hls.js/dist/hls.mjs';
  window.wrong = [];
  const video = document.getElementById('video');
  const hls = new Hls();
  hls.on(Hls.Events.ERROR, (_, data) => window.wrong.push(data.type + ' ' + data.details));
  hls.on(Hls.Events.MANIFEST_PARSED, () => { window.variants = hls.levels.length; video.playbackRate = ${SPEED_STRICT}; video.play(); });
  hls.attachMedia(video);
  hls.loadSource('/media/master.m3u8');
</script>`;

let api;
let headers;
let browser;
let server;
let files = new Map();
const made = [];

before(async () => {
  const missing = ['REND_API_BASE', 'REND_API_KEY', 'REND_TEST_CLIP', 'REND_TEST_CLIP_GOOD'].filter((name) => !process.env[name]);
  if (missing.length > 0) throw new Error(`these tests need a running Rend: set ${missing.join(', ')}`);
  api = process.env.REND_API_BASE.replace(/\/$/, '');
  headers = { authorization: `Bearer ${process.env.REND_API_KEY}` };
  server = http.createServer(async (request, response) => {
    const name = new URL(request.url, 'http://players').pathname;
    const body = await served(name).catch(() => null);
    if (body === null) return response.writeHead(404).end();
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const type = { 'content-type': TYPES[path.extname(name)] ?? 'application/octet-stream' };
    if (!range) return response.writeHead(200, type).end(body);
    const [from, to] = [Number(range[1]), Math.min(range[2] ? Number(range[2]) : Infinity, body.length - 1)];
    return response.writeHead(206, { ...type, 'content-range': `bytes ${from}-${to}/${body.length}` }).end(body.subarray(from, to + 1));
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  server?.close();
  for (const id of made) await fetch(`${api}/v1/assets/${id}`, { method: 'DELETE', headers });
});

async function served(name) {
  if (name === '/shaka.html') return Buffer.from(SHAKA);
  if (name === '/hls.html') return Buffer.from(HLS_JS);
  if (name.startsWith('/modules/')) return readFile(path.join(MODULES, path.normalize(name.slice('/modules/'.length))));
  return files.get(name.slice('/media/'.length)) ?? null;
}

/** Everything that the presentation of a fresh upload names, by its name beside the multivariant playlist. */
async function published(clip) {
  const uploaded = await fetch(`${api}/v1/videos?title=players&policy=public`, { method: 'POST', body: await readFile(clip), headers });
  assert.equal(uploaded.status, 201);
  const { id } = await uploaded.json();
  made.push(id);
  const until = performance.now() + WAIT_MS;
  for (;;) {
    const asset = await (await fetch(`${api}/v1/assets/${id}`, { headers })).json();
    if (asset.source_state === 'ready') break;
    assert.ok(asset.source_state !== 'failed' && performance.now() < until, `it is ${asset.source_state}`);
    await new Promise((done) => setTimeout(done, 100));
  }
  const boot = await (await fetch(`${api}/api/player/${id}?transport=path`)).json();
  const found = new Map();
  const fetched = async (name) => {
    if (found.has(name)) return;
    const answer = await fetch(new URL(name, boot.manifest_url));
    assert.equal(answer.status, 200, name);
    const bytes = Buffer.from(await answer.arrayBuffer());
    found.set(name, bytes);
    if (!name.endsWith('.m3u8')) return;
    const text = bytes.toString();
    const named = [...text.matchAll(/URI="([^"]+)"/g)].map((match) => match[1]).concat(text.split('\n').filter((line) => line && !line.startsWith('#')));
    for (const uri of new Set(named)) await fetched(path.posix.join(path.posix.dirname(name), uri));
  };
  await fetched('master.m3u8');
  return found;
}

for (const [what, variable] of [['that was encoded', 'REND_TEST_CLIP'], ['that plays as it is', 'REND_TEST_CLIP_GOOD']]) {
  test(`a presentation ${what} is read by a strict parser and played to its end by two other players`, { timeout: WAIT_MS * 2 }, async () => {
    files = await published(process.env[variable]);
    HLS.setOptions({ strictMode: true });
    const lists = [...files].filter(([name]) => name.endsWith('.m3u8'));
    for (const [name, bytes] of lists) {
      const list = HLS.parse(bytes.toString());
      assert.equal(list.isMasterPlaylist, name === 'master.m3u8', name);
      if (!list.isMasterPlaylist) assert.ok(list.endlist && list.segments.length > 0, name);
    }
    const master = HLS.parse(files.get('master.m3u8').toString());
    assert.ok(master.variants.length > 0 && lists.length > master.variants.length);
    for (const player of ['shaka', 'hls']) {
      const page = await browser.context.newPage();
      const spoken = [];
      page.on('pageerror', (error) => spoken.push(error.message));
      await page.goto(`http://127.0.0.1:${server.address().port}/${player}.html`);
      const ended = () => window.wrong?.length > 0 || document.getElementById('video').ended;
      await page.waitForFunction(ended, null, { timeout: WAIT_MS, polling: 50 });
      const told = await page.evaluate(() => {
        const video = document.getElementById('video');
        return { wrong: window.wrong, at: video.currentTime, duration: video.duration, ended: video.ended, variants: window.variants };
      });
      assert.deepEqual([told.wrong, spoken], [[], []], player);
      assert.ok(told.ended && told.duration > 10 && Math.abs(told.at - told.duration) < 0.2, JSON.stringify(told));
      assert.ok(told.variants > 0, player);
      await page.close();
    }
  });
}
