// A headless Chromium for the tests. It never downloads one: the machine's own is used, or the one that REND_CHROMIUM names.

import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { chromium } from 'playwright-core';

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const RESULTS = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', 'test-results');

/** A fresh browser profile; `close` ends it and removes its folder. */
export async function openBrowser(options = {}) {
  const executablePath = process.env.REND_CHROMIUM ?? PLACES.find((place) => existsSync(place));
  if (!executablePath) throw new Error('no Chromium found: install the package `chromium`, or name one in REND_CHROMIUM');
  const profile = await mkdtemp(path.join(tmpdir(), 'rend-browser-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    viewport: { width: 1280, height: 860 },
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
      '--disable-sync', '--autoplay-policy=no-user-gesture-required', '--mute-audio',
    ],
    ...options,
  });
  return {
    context,
    async close() {
      await context.close();
      await rm(profile, { recursive: true, force: true });
    },
  };
}

/** A page that remembers what went wrong on it: script errors, console errors, violations of the content security policy. */
export async function openPage(context, url, { expect = [] } = {}) {
  const page = await context.newPage();
  const wrong = [];
  page.on('pageerror', (error) => wrong.push(`page: ${error.message}`));
  page.on('console', (message) => {
    const words = `${message.text()} ${message.location().url}`;
    if (message.type() === 'error' && !expect.some((pattern) => pattern.test(words))) wrong.push(`console: ${words}`);
  });
  await page.addInitScript(() => {
    window.violations = [];
    document.addEventListener('securitypolicyviolation', (event) => window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
    window.playerErrors = [];
    window.playerStates = [];
    document.addEventListener('rend-error', (event) => window.playerErrors.push(event.detail));
    window.playedFrom = [];
    document.addEventListener('rend-state', (event) => {
      window.playerStates.push(event.detail.state);
      if (event.detail.state === 'playing') window.playedFrom.push(event.composedPath()[0].video.currentTime);
    });
  });
  await page.goto(url);
  return {
    page,
    /** What went wrong so far. */
    async wrong() {
      return [...wrong, ...(await page.evaluate(() => window.violations)).map((violation) => `policy: ${violation}`)];
    },
  };
}

/** Waits until the first player of the page shows one of these states. */
export async function untilState(page, states, timeout = 60_000) {
  const wanted = [states].flat();
  await page.waitForFunction((list) => list.includes(document.querySelector('rend-player')?.dataset.state), wanted, { timeout, polling: 50 });
  return page.evaluate(() => document.querySelector('rend-player').dataset.state);
}

/** Facts about the first player: its state, its time, its engine, what went wrong in it, and each place from which it began to play. */
export function facts(page) {
  return page.evaluate(() => {
    const player = document.querySelector('rend-player');
    const { video } = player;
    return {
      state: player.dataset.state,
      engine: player.engine,
      at: video.currentTime,
      duration: video.duration,
      paused: video.paused,
      error: video.error?.message ?? null,
      failures: window.playerErrors,
      states: window.playerStates,
      playedFrom: window.playedFrom,
    };
  });
}

/** Waits until the first player has played to `seconds` or further. */
export function untilTime(page, seconds, timeout = 60_000) {
  return page.waitForFunction((at) => document.querySelector('rend-player').video.currentTime >= at, seconds, { timeout, polling: 50 });
}

/** Writes a picture of the page to test-results/. */
export async function shoot(page, name) {
  await mkdir(RESULTS, { recursive: true });
  await page.screenshot({ path: path.join(RESULTS, `${name}.png`) });
}
