// From an upload's last byte to the first frame on a screen, for `cargo xtask bench path`. Prints one line of JSON.
//
//   REND_API_BASE=http://127.0.0.1:4000 REND_API_KEY=rend_live_… REND_TEST_CLIP=clip.mp4 node test/real/first-frame.mjs
//
// The browser is warm before the upload begins, as a person's is. The watch page is opened the moment the upload is answered.

import { readFile } from 'node:fs/promises';

import { openBrowser } from '../browser.mjs';

const WAIT_MS = 120_000;

const api = process.env.REND_API_BASE.replace(/\/$/, '');
const headers = { authorization: `Bearer ${process.env.REND_API_KEY}` };
const clip = await readFile(process.env.REND_TEST_CLIP);
const browser = await openBrowser();

try {
  const page = await browser.context.newPage();
  await page.goto(`${api}/dashboard`);
  const answer = await fetch(`${api}/v1/videos?title=first%20frame&policy=public`, { method: 'POST', body: clip, headers });
  if (answer.status !== 201) throw new Error(`the upload was answered ${answer.status}`);
  const { id } = await answer.json();
  const uploaded = performance.now();
  await page.addInitScript(() => {
    // A frame counts when the compositor has it, not when the element says that it plays.
    document.addEventListener('DOMContentLoaded', () => {
      const look = () => {
        const video = document.querySelector('rend-player')?.video;
        if (video) video.requestVideoFrameCallback(() => { window.firstFrame = true; });
        else requestAnimationFrame(look);
      };
      look();
    });
  });
  await page.goto(`${api}/watch/${id}?engine=hls`, { waitUntil: 'commit' });
  await page.waitForFunction(() => window.firstFrame === true, null, { timeout: WAIT_MS, polling: 'raf' });
  const firstFrame = performance.now() - uploaded;
  let asset;
  do {
    await new Promise((done) => setTimeout(done, 50));
    asset = await (await fetch(`${api}/v1/assets/${id}`, { headers })).json();
  } while (!['ready', 'failed'].includes(asset.source_state));
  if (asset.source_state !== 'ready') throw new Error(`the asset ended as ${asset.source_state}`);
  const ready = performance.now() - uploaded;
  await fetch(`${api}/v1/assets/${id}`, { method: 'DELETE', headers });
  console.log(JSON.stringify({ first_frame_ms: Math.round(firstFrame), ready_ms: Math.round(ready) }));
} finally {
  await browser.close();
}
