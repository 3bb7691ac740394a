// The first frame in a browser of what one plain ffmpeg makes, for `cargo xtask bench media`: beside first-frame.mjs, with the same
// browser and the same hls.js. Prints one line of JSON. The clock starts when ffmpeg does; the page is open already.
//
//   REND_TEST_CLIP=clip.mp4 node test/real/first-frame-plain.mjs WORDS-FOR-FFMPEG…

import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { openBrowser } from '../browser.mjs';

const WAIT_MS = 120_000;
const TYPES = { '.m3u8': 'application/vnd.apple.mpegurl', '.mp4': 'video/mp4', '.m4s': 'video/mp4', '.mjs': 'text/javascript' };
const HLS = fileURLToPath(new URL('../../node_modules/hls.js/dist/hls.mjs', import.meta.url));
const PAGE = `<!doctype html><video id="video" muted></video><script type="module">
  import Hls from '/hls.mjs';
  const video = document.getElementById('video');
  video.requestVideoFrameCallback(() => { window.firstFrame = performance.timeOrigin + performance.now(); });
  const look = async () => {
    const answer = await fetch('/master.m3u8', { cache: 'no-store' });
    if (!answer.ok) { setTimeout(look, 20); return; }
    const hls = new Hls({ startPosition: 0, enableWorker: false });
    hls.attachMedia(video);
    hls.loadSource('/master.m3u8');
    video.play();
  };
  window.begin = look;
</script>`;

const folder = await mkdtemp(path.join(tmpdir(), 'rend-plain-'));
const server = http.createServer(async (request, response) => {
  const name = new URL(request.url, 'http://plain').pathname;
  try {
    const file = name === '/hls.mjs' ? HLS : path.join(folder, path.basename(name));
    const body = name === '/' ? PAGE : await readFile(file);
    response.writeHead(200, { 'content-type': name === '/' ? 'text/html' : (TYPES[path.extname(name)] ?? 'application/octet-stream') });
    response.end(body);
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const browser = await openBrowser();
let ffmpeg;
try {
  const page = await browser.context.newPage();
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  await page.waitForFunction(() => Boolean(window.begin));
  const began = performance.timeOrigin + performance.now();
  const words = ['-nostdin', '-hide_banner', '-v', 'error', '-y', '-i', process.env.REND_TEST_CLIP, ...process.argv.slice(2)];
  ffmpeg = spawn('ffmpeg', words, { cwd: folder, stdio: 'ignore' });
  await page.evaluate(() => window.begin());
  const seen = await page.waitForFunction(() => window.firstFrame, null, { timeout: WAIT_MS, polling: 'raf' });
  console.log(JSON.stringify({ first_frame_ms: Math.round((await seen.jsonValue()) - began) }));
} finally {
  ffmpeg?.kill('SIGKILL');
  await browser.close();
  server.close();
  await rm(folder, { recursive: true, force: true });
}
