// The journeys of a viewer and of an owner against a real Rend, in a real browser, with hls.js forced.
//
//   REND_API_BASE=http://127.0.0.1:4000 REND_API_KEY=rend_live_… REND_TEST_CLIP=clip.mp4 REND_TEST_CLIP_GOOD=good.mp4 npm run test:real
//
// The clips should be longer than ten seconds. The first has to be encoded, the second is H.264 and AAC that plays as it is. The key needs the scopes upload, read, delete and analytics.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { promisify } from 'node:util';

import { facts, openBrowser, openPage, shoot, untilState, untilTime } from '../browser.mjs';

const run = promisify(execFile);
const WAIT_MS = 120_000;
// What a browser prints by itself about answers that a journey expects.
const PREPARING = [/409/, /poster\.jpg/];
const AFTER_DELETION = [/404/, /401/];

let api;
let key;
let clip;
let goodClip;
let browser;
let folder;
let ready;
const made = [];

before(async () => {
  const wanted = ['REND_API_BASE', 'REND_API_KEY', 'REND_TEST_CLIP', 'REND_TEST_CLIP_GOOD'];
  const missing = wanted.filter((name) => !process.env[name]);
  if (missing.length > 0) throw new Error(`these tests need a running Rend: set ${missing.join(', ')}`);
  api = process.env.REND_API_BASE.replace(/\/$/, '');
  key = process.env.REND_API_KEY;
  clip = process.env.REND_TEST_CLIP;
  goodClip = process.env.REND_TEST_CLIP_GOOD;
  folder = await mkdtemp(path.join(tmpdir(), 'rend-real-'));
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  for (const id of made) await ask('DELETE', `/v1/assets/${id}`).catch(() => {});
  if (folder) await rm(folder, { recursive: true, force: true });
});

async function ask(method, where, body) {
  const answer = await fetch(api + where, { method, body, headers: { authorization: `Bearer ${key}` } });
  return { status: answer.status, body: await answer.json().catch(() => null) };
}

async function upload(title, body, policy = 'public') {
  const answer = await ask('POST', `/v1/videos?title=${encodeURIComponent(title)}&policy=${policy}`, body);
  assert.equal(answer.status, 201, JSON.stringify(answer.body));
  made.push(answer.body.id);
  return answer.body;
}

async function settled(id) {
  for (let waited = 0; waited < WAIT_MS; waited += 250) {
    const { body } = await ask('GET', `/v1/assets/${id}`);
    if (['ready', 'failed'].includes(body.source_state)) return body;
    await new Promise((done) => setTimeout(done, 250));
  }
  throw new Error(`asset ${id} is not settled after ${WAIT_MS} ms`);
}

/** One asset that is ready, uploaded once for all journeys that need no more. */
async function readyAsset() {
  ready ??= (async () => settled((await upload('A clip that is ready', await readFile(clip))).id))();
  const asset = await ready;
  assert.equal(asset.source_state, 'ready', JSON.stringify(asset.failure));
  return asset;
}

async function watch(where, body, expect = []) {
  const { page, wrong } = await openPage(browser.context, api + where, { expect });
  try {
    await body(page);
    assert.deepEqual(await wrong(), []);
  } finally {
    await page.close();
  }
}

async function playsFresh(file, picture) {
  const { id } = await upload('Fresh from the camera', await readFile(file));
  await watch(
    `/watch/${id}?engine=hls`,
    async (page) => {
      await untilTime(page, 0.1, WAIT_MS);
      assert.ok((await facts(page)).playedFrom[0] < 0.5, 'it starts at the start');
      await page.locator('rend-player').hover();
      await shoot(page, picture);
      const { duration_ms: length } = await settled(id);
      await untilState(page, 'ended', length * 2 + 60_000);
      const end = await facts(page);
      assert.equal(end.engine, 'hls.js');
      assert.ok(Math.abs(end.at * 1000 - length) < 300, `ended at ${end.at} of ${length} ms`);
      assert.deepEqual([end.error, end.failures], [null, []]);
    },
    PREPARING,
  );
}

test('a fresh upload plays while it is still encoded, from its start to its end', () => playsFresh(clip, 'real-watch-fresh'));

test('a good upload plays as it is while its other rungs are made, from its start to its end', () => playsFresh(goodClip, 'real-watch-good'));

test('a ready video plays to its end without any media error', async () => {
  const { id, duration_ms: length } = await readyAsset();
  await watch(`/watch/${id}?engine=hls`, async (page) => {
    await untilTime(page, 1, WAIT_MS);
    await page.locator('rend-player').hover();
    await shoot(page, 'real-watch-playing');
    await untilState(page, 'ended', length * 2 + 60_000);
    const end = await facts(page);
    assert.equal(end.engine, 'hls.js');
    assert.ok(Math.abs(end.at * 1000 - length) < 300, `ended at ${end.at} of ${length} ms`);
    assert.deepEqual([end.error, end.failures], [null, []]);
    assert.equal(end.states.filter((state) => state === 'failed' || state === 'offline').length, 0);
  });
});

test('seeks land where they were asked to, also before anything there is buffered', async () => {
  const { id, duration_ms: length } = await readyAsset();
  await watch(`/watch/${id}?engine=hls&buffer=2`, async (page) => {
    await untilTime(page, 0.5, WAIT_MS);
    for (const share of [0.7, 0.2, 0.5]) {
      const to = (length / 1000) * share;
      await page.evaluate((at) => document.querySelector('rend-player').seek(at), to);
      await untilTime(page, to + 0.3);
      const { at } = await facts(page);
      assert.ok(at >= to && at < to + 3, `asked for ${to}, at ${at}`);
    }
    assert.deepEqual((await facts(page)).failures, []);
  });
});

const SPOKEN = 'WEBVTT\n\n00:00:01.000 --> 00:00:04.000\nThe first line\n\n00:00:04.000 --> 00:00:09.000 line:70%\nThe second <b>line</b>\n';

/** What the browser shows as captions now, and when. */
const shownCues = (page) =>
  page.evaluate(() => {
    const { video } = document.querySelector('rend-player');
    const cues = [...video.textTracks].filter((track) => track.mode === 'showing').flatMap((track) => [...(track.activeCues ?? [])]);
    return { at: video.currentTime, texts: cues.map((cue) => cue.text), from: cues[0]?.startTime, to: cues[0]?.endTime };
  });

async function published(id, lang) {
  for (let waited = 0; waited < WAIT_MS; waited += 100) {
    const { body } = await ask('GET', `/v1/assets/${id}/captions`);
    if (body.data.find((row) => row.lang === lang)?.state === 'published') return;
    await new Promise((done) => setTimeout(done, 100));
  }
  throw new Error(`captions ${lang} of ${id} are not published after ${WAIT_MS} ms`);
}

async function showsCaptions(file, picture) {
  const { id } = await upload('With captions', await readFile(file));
  // One language while it is still prepared, one once it is ready.
  assert.equal((await ask('PUT', `/v1/assets/${id}/captions/en?default=true`, SPOKEN)).status, 201);
  await settled(id);
  const srt = '1\n00:00:01,000 --> 00:00:09,000\nEine Zeile\n';
  assert.equal((await ask('PUT', `/v1/assets/${id}/captions/de`, srt)).status, 201);
  await Promise.all([published(id, 'en'), published(id, 'de')]);
  await watch(`/watch/${id}?engine=hls`, async (page) => {
    const select = page.locator('rend-player').getByLabel('Captions');
    await untilTime(page, 1.3, WAIT_MS);
    const first = await shownCues(page);
    assert.deepEqual([first.texts, first.from, first.to], [['The first line'], 1, 4], JSON.stringify(first));
    await page.locator('rend-player').hover();
    await shoot(page, picture);
    await page.evaluate(() => document.querySelector('rend-player').seek(5));
    await untilTime(page, 5.2);
    assert.deepEqual((await shownCues(page)).texts, ['The second <b>line</b>']);
    await select.selectOption({ label: 'Deutsch' });
    await page.waitForFunction(() => [...document.querySelector('rend-player').video.textTracks].some((track) => track.mode === 'showing' && track.activeCues?.[0]?.text === 'Eine Zeile'));
    await page.evaluate(() => localStorage.clear());
    assert.deepEqual((await facts(page)).failures, []);
  });
  assert.equal((await ask('DELETE', `/v1/assets/${id}/captions/de`)).status, 204);
  assert.equal((await ask('DELETE', `/v1/assets/${id}/captions/en`)).status, 204);
}

test('captions of a video that is encoded are on screen at their time', () => showsCaptions(clip, 'real-watch-captions'));

test('captions of a video that plays as it is are on screen at their time', () => showsCaptions(goodClip, 'real-watch-captions-good'));

/** A clip made here: fourteen seconds with an English and a German tone. Key frames that are far apart have it encoded. */
async function twoLanguages(name, keyFrames) {
  const file = path.join(folder, name);
  const tone = (hertz) => ['-f', 'lavfi', '-i', `sine=f=${hertz}:r=48000:d=14`];
  await run('ffmpeg', [
    '-nostdin', '-v', 'error', '-y', '-f', 'lavfi', '-i', 'testsrc2=s=640x360:r=24:d=14', ...tone(440), ...tone(880),
    '-map', '0', '-map', '1', '-map', '2', '-metadata:s:a:0', 'language=eng', '-metadata:s:a:1', 'language=deu',
    '-c:v', 'libx264', '-preset', 'ultrafast', '-crf', '34', '-g', String(keyFrames), '-pix_fmt', 'yuv420p', '-c:a', 'aac', file,
  ]);
  return file;
}

async function changesSound(file) {
  const { id } = await upload('In two languages', await readFile(file));
  assert.equal((await settled(id)).source_state, 'ready');
  await watch(`/watch/${id}?engine=hls`, async (page) => {
    const select = page.locator('rend-player').getByLabel('Audio language');
    await untilTime(page, 1, WAIT_MS);
    const offered = await select.evaluate((box) => [...box.options].map((option) => [option.label, option.selected]));
    assert.deepEqual(offered, [['English', true], ['Deutsch', false]]);
    const german = page.waitForResponse((answer) => /\/a-deu\/segment_/.test(answer.url()) && answer.ok(), { timeout: WAIT_MS });
    await page.locator('rend-player').hover();
    await select.selectOption({ label: 'Deutsch' });
    await german;
    const { at } = await facts(page);
    await untilTime(page, at + 2, WAIT_MS);
    await page.evaluate(() => document.querySelector('rend-player').seek(11));
    await untilState(page, 'ended', WAIT_MS);
    // A choice is remembered for the next visit.
    await page.evaluate(() => localStorage.clear());
    const end = await facts(page);
    assert.deepEqual([end.engine, end.error, end.failures], ['hls.js', null, []]);
    assert.ok(Math.abs(end.at - 14) < 0.3, `ended at ${end.at}`);
  });
}

test('the sound of a video that is encoded is changed while it plays', async () => changesSound(await twoLanguages('encoded.mp4', 600)));

test('the sound of a video that plays as it is is changed while it plays', async () => changesSound(await twoLanguages('passed.mp4', 48)));

test('a clip of a video plays from where it begins to where it ends', async () => {
  const { id } = await readyAsset();
  const { status, body } = await ask('GET', `/v1/assets/${id}/playback?start=2.5&end=6`);
  assert.equal(status, 200, JSON.stringify(body));
  const { page, wrong } = await openPage(browser.context, `${api}/dashboard`);
  try {
    const played = await page.evaluate(async (url) => {
      const { default: Hls } = await import('/assets/hls.js');
      const video = document.body.appendChild(document.createElement('video'));
      video.muted = true;
      const failures = [];
      const hls = new Hls();
      hls.on(Hls.Events.ERROR, (_, { details, fatal }) => failures.push(`${details} ${fatal}`));
      hls.loadSource(url);
      hls.attachMedia(video);
      await new Promise((done, fail) => {
        video.addEventListener('ended', done, { once: true });
        video.addEventListener('error', () => fail(new Error(video.error?.message)), { once: true });
        hls.on(Hls.Events.MANIFEST_PARSED, () => video.play().catch(fail));
        setTimeout(() => fail(new Error(`stopped at ${video.currentTime}: ${failures}`)), 60_000);
      });
      const { duration, videoWidth: width } = video;
      const pictures = video.getVideoPlaybackQuality().totalVideoFrames;
      hls.destroy();
      return { failures, duration, width, pictures };
    }, body.playback_url);
    assert.deepEqual(played.failures, []);
    // Segments that show any of it are played whole: 2.5 to 6 s lies within those from 2 to 8 s.
    assert.ok(played.duration > 5.5 && played.duration < 6.5, `lasts ${played.duration} s`);
    assert.ok(played.pictures > 0 && played.width > 0, JSON.stringify(played));
    assert.deepEqual(await wrong(), []);
  } finally {
    await page.close();
  }
});

test('a rung as one file plays in a bare video element, by its own URL and by the one for viewers, and is sought in', async () => {
  const { id, duration_ms: length } = await readyAsset();
  assert.equal((await ask('POST', `/v1/assets/${id}/downloads`)).status, 202);
  let row = {};
  for (let waited = 0; row.state !== 'ready' && waited < WAIT_MS; waited += 100) {
    [row] = (await ask('GET', `/v1/assets/${id}/downloads`)).body.data;
    assert.notEqual(row.state, 'failed', JSON.stringify(row));
    await new Promise((done) => setTimeout(done, 100));
  }
  // A browser plays no file on a page that has no place of its own.
  const { page, wrong } = await openPage(browser.context, `${api}/healthz`, { expect: [/favicon/] });
  try {
    for (const url of [row.url, row.viewer_url]) {
      const played = await page.evaluate(async (src) => {
        const video = document.body.appendChild(document.createElement('video'));
        video.muted = true;
        const on = (name) => new Promise((done, fail) => {
          video.addEventListener(name, done, { once: true });
          video.addEventListener('error', () => fail(new Error(video.error?.message)), { once: true });
          setTimeout(() => fail(new Error(`no ${name} at ${video.currentTime}`)), 60_000);
        });
        video.src = src;
        await on('loadeddata');
        video.currentTime = video.duration - 1;
        await on('seeked');
        const ended = on('ended');
        await video.play();
        await ended;
        return { duration: video.duration, width: video.videoWidth, at: video.currentTime };
      }, url);
      assert.ok(Math.abs(played.duration * 1000 - length) < 300, `lasts ${played.duration} s of ${length} ms`);
      assert.ok(played.width > 0 && played.at > played.duration - 0.3, JSON.stringify(played));
    }
    assert.deepEqual(await wrong(), []);
  } finally {
    await page.close();
  }
});

test('the grant is renewed in the middle, by cookie and by path, and playback does not stop', async () => {
  const { id, duration_ms: length } = await readyAsset();
  for (const transport of ['cookie', 'path']) {
    const { page, wrong } = await openPage(browser.context, 'about:blank');
    const grants = new Set();
    let bootstraps = 0;
    // The server decides how long a grant lasts; asking every second instead makes many renewals fit into a short clip.
    await page.route(/\/api\/player\//, async (route) => {
      const answer = await route.fetch();
      bootstraps += 1;
      await route.fulfill({ response: answer, json: { ...(await answer.json()), refresh_after_seconds: 1 } });
    });
    page.on('response', (response) => {
      const token = /\/~([^/]+)\//.exec(response.url())?.[1];
      if (token && response.status() === 200) grants.add(token);
    });
    await page.goto(`${api}/watch/${id}?engine=hls&buffer=2${transport === 'path' ? '&transport=path' : ''}`);
    await untilState(page, 'ended', length * 2 + 60_000);
    const end = await facts(page);
    assert.deepEqual([end.error, end.failures], [null, []]);
    assert.ok(bootstraps >= 4, `${bootstraps} bootstraps`);
    if (transport === 'path') assert.ok(grants.size >= 2, 'later requests carry a later grant');
    assert.deepEqual(await wrong(), []);
    await page.close();
  }
});

test('a grant that is lost or runs out in the middle is asked for again, and playback goes on', async () => {
  const { id, duration_ms: length } = await readyAsset();
  // A profile of its own: what an earlier journey left in the browser's cache would be played without asking the edge.
  const fresh = await openBrowser();
  try {
    const { page, wrong } = await openPage(fresh.context, 'about:blank', { expect: [/401/] });
    // No renewal comes in time, so that only the edge's refusal can tell the player.
    await page.route(/\/api\/player\//, async (route) => {
      const answer = await route.fetch();
      await route.fulfill({ response: answer, json: { ...(await answer.json()), refresh_after_seconds: 3_600 } });
    });
    await page.goto(`${api}/watch/${id}?engine=hls&buffer=2`);
    await untilTime(page, 1, WAIT_MS);
    await fresh.context.clearCookies();
    await untilState(page, 'ended', length * 2 + 60_000);
    const end = await facts(page);
    assert.equal(end.error, null);
    assert.ok(end.failures.length > 0, 'the edge refused a request without a grant');
    assert.ok(end.failures.every((failure) => failure.kind === 'auth'), JSON.stringify(end.failures));
    assert.ok(Math.abs(end.at * 1000 - length) < 300, `ended at ${end.at} of ${length} ms`);
    assert.deepEqual(await wrong(), []);
  } finally {
    await fresh.close();
  }
});

test('a signed video opens with its token and not without', async () => {
  const { id } = await upload('Signed', await readFile(clip), 'signed');
  await settled(id);
  await watch(`/watch/${id}?engine=hls`, (page) => untilState(page, 'denied'), [/401/]);
  const { body } = await ask('GET', `/v1/assets/${id}/playback`);
  await watch(`${body.player_url}&engine=hls`, (page) => untilTime(page, 0.5, WAIT_MS));
});

test('a file that is no video ends in words, on the watch page too', async () => {
  const { id } = await upload('Not a film.mp4', 'This is a text that somebody named like a film.\n'.repeat(200));
  const asset = await settled(id);
  assert.equal(asset.source_state, 'failed');
  assert.ok(asset.failure.detail.length > 0);
  await watch(
    `/watch/${id}?engine=hls`,
    async (page) => {
      await untilState(page, 'failed');
      await page.waitForTimeout(300);
      await shoot(page, 'real-watch-failed');
    },
    [/409/],
  );
});

test('an owner uploads on the dashboard, watches it become playable, plays it and deletes it', async () => {
  const copy = path.join(folder, 'From the dashboard.mp4');
  await writeFile(copy, await readFile(clip));
  await watch(
    `/dashboard#key=${key}`,
    async (page) => {
      await page.locator('#live[data-state="live"]').waitFor();
      await page.locator('[data-edge]').first().waitFor();
      await page.locator('#file').setInputFiles(copy);
      await page.getByRole('button', { name: 'Upload', exact: true }).click();
      await page.locator('.upload .words', { hasText: 'after the upload' }).waitFor({ timeout: WAIT_MS });
      const row = page.locator('.asset', { hasText: 'From the dashboard' });
      const id = await row.getAttribute('data-id');
      made.push(id);
      await untilState(page, 'ready', WAIT_MS);
      await row.getByRole('button', { name: 'Play', exact: true }).first().click();
      await untilTime(page, 1, WAIT_MS);
      await row.locator('.chip', { hasText: /^Ready/ }).waitFor({ timeout: WAIT_MS });
      await page.waitForTimeout(500);
      await shoot(page, 'real-dashboard-light');
      await page.emulateMedia({ colorScheme: 'dark' });
      await page.waitForTimeout(400);
      await shoot(page, 'real-dashboard-dark');
      // Somebody watches it while its owner deletes it.
      const viewer = await openPage(browser.context, `${api}/watch/${id}?engine=hls&buffer=2`);
      await untilTime(viewer.page, 0.5, WAIT_MS);
      await viewer.page.evaluate(() => document.querySelector('rend-player').pause());
      await row.locator('.toggle').click();
      await row.getByRole('button', { name: 'Delete' }).click();
      await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
      await row.waitFor({ state: 'detached' });
      await viewer.page.evaluate(() => {
        const player = document.querySelector('rend-player');
        player.seek(player.video.duration * 0.9);
        player.play();
      });
      await untilState(viewer.page, 'gone');
      await viewer.page.waitForTimeout(300);
      await shoot(viewer.page, 'real-watch-gone');
      await viewer.page.reload();
      await untilState(viewer.page, 'gone');
      await viewer.page.close();
    },
    [...PREPARING, ...AFTER_DELETION],
  );
});

test('nothing of a deleted video is served afterwards, whatever grant one holds', async () => {
  const { id } = await upload('Soon deleted', await readFile(clip));
  await settled(id);
  const { body: grant } = await ask('GET', `/v1/assets/${id}/playback`);
  const master = await fetch(grant.playback_url);
  assert.equal(master.status, 200);
  const variant = new URL((await master.text()).split('\n').find((line) => line && !line.startsWith('#')), grant.playback_url);
  const media = await fetch(variant);
  assert.equal(media.status, 200);
  const segment = new URL((await media.text()).split('\n').find((line) => line && !line.startsWith('#')), variant);
  assert.equal((await fetch(segment)).status, 200);
  assert.equal((await ask('DELETE', `/v1/assets/${id}`)).status, 202);
  for (let waited = 0; ; waited += 200) {
    const statuses = await Promise.all([grant.playback_url, variant, segment].map(async (url) => (await fetch(url)).status));
    if (statuses.every((status) => status >= 400 && status < 500)) break;
    assert.ok(waited < 20_000, `still served: ${statuses}`);
    await new Promise((done) => setTimeout(done, 200));
  }
  assert.equal((await fetch(`${api}/api/player/${id}`)).status, 404);
});
