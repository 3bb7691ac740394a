// From an upload's last byte to the first frame on a screen, for `cargo xtask bench path`. Prints one line of JSON.
//
//   REND_API_BASE=http://127.0.0.1:4000 REND_API_KEY=rend_live_… REND_TEST_CLIP=clip.mp4 node test/real/first-frame.mjs
//
// The browser is warm before the upload begins, as a person's is. REND_TEST_WAY=fresh opens the watch page the moment the upload is
// answered; REND_TEST_WAY=open has it open since before the last byte, waiting. REND_TEST_WHOLE=1 waits for the whole ladder as well.
// `steps` are milliseconds since the answer to the upload.

import { readFile } from 'node:fs/promises';
import http from 'node:http';

import { openBrowser } from '../browser.mjs';

const WAIT_MS = 120_000;
/** What an open page waits for before the last byte is sent. */
const SETTLE_MS = 1_500;

const api = process.env.REND_API_BASE.replace(/\/$/, '');
const headers = { authorization: `Bearer ${process.env.REND_API_KEY}` };
const clip = await readFile(process.env.REND_TEST_CLIP);
const open = process.env.REND_TEST_WAY === 'open';
const browser = await openBrowser();

try {
  const page = await browser.context.newPage();
  await page.goto(`${api}/dashboard`);
  await page.addInitScript(() => {
    window.marks = {};
    window.mark = (name) => { window.marks[name] ??= performance.timeOrigin + performance.now(); };
    window.mark('script');
    // A frame counts when the compositor has it, not when the element says that it plays.
    document.addEventListener('DOMContentLoaded', () => {
      window.mark('page');
      document.addEventListener('rend-bootstrap', () => window.mark('bootstrap'));
      const look = () => {
        const video = document.querySelector('rend-player')?.video;
        if (video) {
          video.addEventListener('loadedmetadata', () => window.mark('metadata'), { once: true });
          video.requestVideoFrameCallback(() => { window.mark('frame'); window.firstFrame = true; });
        } else requestAnimationFrame(look);
      };
      look();
    });
  });
  const uploading = open ? await openedBefore(page) : null;
  let id;
  let uploaded;
  if (uploading) {
    ({ id, uploaded } = await uploading.finish());
  } else {
    const answer = await fetch(`${api}/v1/videos?title=first%20frame&policy=public`, { method: 'POST', body: clip, headers });
    if (answer.status !== 201) throw new Error(`the upload was answered ${answer.status}`);
    ({ id } = await answer.json());
    uploaded = now();
    await page.goto(`${api}/watch/${id}?engine=hls`, { waitUntil: 'commit' });
  }
  await page.waitForFunction(() => window.firstFrame === true, null, { timeout: WAIT_MS, polling: 'raf' });
  const marks = await page.evaluate(() => {
    const at = (entry) => performance.timeOrigin + entry.responseEnd;
    const found = { ...window.marks };
    for (const entry of performance.getEntriesByType('resource')) {
      const name = /hls\.js|api\/player|[^/]+\.m3u8|init[^/]*\.mp4|segment_00000\.m4s/.exec(entry.name)?.[0];
      if (name) found[name] ??= at(entry);
    }
    return found;
  });
  const steps = Object.fromEntries(
    Object.entries(marks).map(([name, at]) => [name, Math.round(at - uploaded)]).sort((a, b) => a[1] - b[1]),
  );
  const said = { first_frame_ms: Math.round(marks.frame - uploaded), steps };
  if (process.env.REND_TEST_WHOLE === '1') said.ready_ms = Math.round(await untilReady(id, uploaded));
  await fetch(`${api}/v1/assets/${id}`, { method: 'DELETE', headers });
  console.log(JSON.stringify(said));
} finally {
  await browser.close();
}

/** One clock for this process and the page. */
function now() {
  return performance.timeOrigin + performance.now();
}

async function untilReady(id, uploaded) {
  for (;;) {
    await new Promise((done) => setTimeout(done, 50));
    const asset = await (await fetch(`${api}/v1/assets/${id}`, { headers })).json();
    if (asset.source_state === 'ready') return now() - uploaded;
    if (asset.source_state === 'failed') throw new Error('the asset ended as failed');
  }
}

/** An upload that lacks its last bytes, and a watch page of it that waits. */
async function openedBefore(page) {
  const before = new Set((await list()).map((asset) => asset.id));
  const request = http.request(`${api}/v1/videos?title=first%20frame&policy=public`, {
    method: 'POST',
    headers: { ...headers, 'content-length': clip.length },
  });
  const answered = new Promise((resolve, reject) => {
    request.on('error', reject);
    request.on('response', (answer) => {
      let text = '';
      answer.on('data', (chunk) => { text += chunk; });
      answer.on('end', () => (answer.statusCode === 201 ? resolve(JSON.parse(text)) : reject(new Error(`the upload was answered ${answer.statusCode}`))));
    });
  });
  const last = clip.length - 1024;
  request.write(clip.subarray(0, last));
  let asset;
  while (!asset) {
    await new Promise((done) => setTimeout(done, 50));
    asset = (await list()).find((one) => !before.has(one.id));
  }
  await page.goto(`${api}/watch/${asset.id}?engine=hls`);
  await new Promise((done) => setTimeout(done, SETTLE_MS));
  return {
    async finish() {
      request.end(clip.subarray(last));
      const { id } = await answered;
      return { id, uploaded: now() };
    },
  };
}

async function list() {
  return (await (await fetch(`${api}/v1/assets?limit=20`, { headers })).json()).data;
}
