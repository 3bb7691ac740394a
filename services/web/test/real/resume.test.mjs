// An owner's upload on the dashboard survives the death of the server and a reload of the page.
//
//   REND_BIN=target/debug/rend npm run test:real
//
// It starts a Rend of its own, in a folder of its own, kills it in the middle of an upload, and starts it again at the same place. Without REND_BIN
// the program that cargo built last is taken.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'node:test';

import { openBrowser, openPage } from '../browser.mjs';

const ROOT = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..', '..', '..');
const BUILT = ['release', 'debug'].map((profile) => path.join(ROOT, 'target', profile, 'rend'));
const REND = process.env.REND_BIN ?? BUILT.find((program) => existsSync(program));
const FILE_BYTES = 400 << 20;

/** Ports that were free a moment ago. A server that is killed has to come back where the page looks for it. */
async function ports(count) {
  const servers = await Promise.all(Array.from({ length: count }, () => new Promise((done) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => done(server));
  })));
  const found = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return found;
}

async function start(data, [api, internal, edge, edgeInternal]) {
  const at = (port) => `127.0.0.1:${port}`;
  const env = {
    ...process.env,
    REND_API_BIND_ADDR: at(api), REND_API_PRIVATE_BIND_ADDR: at(internal), REND_EDGE_BIND_ADDR: at(edge), REND_EDGE_PRIVATE_BIND_ADDR: at(edgeInternal),
  };
  await rm(path.join(data, 'up.json'), { force: true });
  const child = spawn(REND, ['up', '--data-dir', data], { env, stdio: 'ignore' });
  for (let tries = 0; tries < 400; tries += 1) {
    if (existsSync(path.join(data, 'up.json'))) return child;
    if (child.exitCode !== null) break;
    await new Promise((done) => setTimeout(done, 50));
  }
  child.kill('SIGKILL');
  throw new Error('rend up did not answer');
}

async function kill(child) {
  const ended = new Promise((done) => child.once('exit', done));
  child.kill('SIGKILL');
  await ended;
}

test('an upload goes on after its server was killed and its page reloaded', async () => {
  assert.ok(REND, 'no rend is built; set REND_BIN');
  const folder = await mkdtemp(path.join(tmpdir(), 'rend-resume-'));
  const data = path.join(folder, 'data');
  const file = path.join(folder, 'Long walk.mp4');
  const bytes = randomBytes(FILE_BYTES);
  await writeFile(file, bytes);
  const at = await ports(4);
  const base = `http://127.0.0.1:${at[0]}`;
  let rend = await start(data, at);
  const browser = await openBrowser();
  try {
    const key = (await readFile(path.join(data, 'api-key'), 'utf8')).trim();
    const { page, wrong } = await openPage(browser.context, `${base}/dashboard#key=${key}`, { expect: [/ERR_/, /409/, /503/, /404/] });
    await page.locator('#desk').waitFor();
    const choose = async () => {
      await page.locator('#file').setInputFiles(file);
      await page.getByRole('button', { name: 'Upload', exact: true }).click();
    };
    await choose();
    await page.locator('.upload[data-state="sending"] .words', { hasText: /^(1\d|[2-9]\d)\s?%/ }).waitFor({ timeout: 60_000 });
    await kill(rend);
    await page.locator('.upload .words', { hasText: 'the connection is lost' }).waitFor({ timeout: 60_000 });
    rend = await start(data, at);
    page.once('dialog', (dialog) => dialog.accept());
    await page.reload();
    const reminder = page.locator('.upload .words', { hasText: 'Choose Long walk.mp4 again' });
    await reminder.waitFor({ timeout: 60_000 });
    await choose();
    // Noise is no video: that it says so shows that the worker has read it, so the upload came to its end.
    await page.locator('.upload .words', { hasText: 'cannot be played' }).waitFor({ timeout: 120_000 });
    const answer = await fetch(`${base}/v1/assets`, { headers: { authorization: `Bearer ${key}` } });
    const { data: assets } = await answer.json();
    assert.equal(assets.length, 1, 'it is one video');
    assert.equal(assets[0].sha256, createHash('sha256').update(bytes).digest('hex'));
    assert.equal(assets[0].bytes, FILE_BYTES);
    assert.deepEqual(await wrong(), []);
  } finally {
    await browser.close();
    await kill(rend).catch(() => {});
    await rm(folder, { recursive: true, force: true });
  }
});
