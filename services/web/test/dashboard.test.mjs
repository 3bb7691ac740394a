// The dashboard in a real browser, against the mock.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { after, before } from 'node:test';

import { openBrowser, openPage, shoot, untilState, untilTime } from './browser.mjs';
import { makeClip } from './mock-ladder.mjs';
import { MOCK_KEY, startMock } from './mock-server.mjs';

const SECONDS = 6;
let browser;
let ladder;
let folder;
let clip;
const mocks = [];

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'rend-dashboard-'));
  clip = path.join(folder, 'Holiday_by the sea.mp4');
  await makeClip(clip);
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  for (const mock of mocks) await mock.close();
  await rm(folder, { recursive: true, force: true });
});

/** Opens the dashboard of a fresh mock, lets `body` act, and checks that nothing went wrong that was not expected. */
async function desk(options, prepare, body, { expect = [], size } = {}) {
  const mock = await startMock({ seconds: SECONDS, ladder, encodeMs: 2_000, ...options });
  ladder = mock.ladder;
  mocks.push(mock);
  prepare(mock);
  const { page, wrong } = await openPage(browser.context, `${mock.url}/dashboard#key=${MOCK_KEY}`, { expect });
  try {
    if (size) await page.setViewportSize(size);
    await page.locator('#desk').waitFor();
    await body(page, mock);
    assert.deepEqual(await wrong(), []);
  } finally {
    await page.close();
  }
}

const line = (page, title) => page.locator('.asset', { hasText: title });

test('a key in the fragment opens the desk and leaves the address at once', () =>
  desk({}, () => {}, async (page, mock) => {
    assert.equal(page.url(), `${mock.url}/dashboard`);
    assert.equal(await page.evaluate(() => sessionStorage.getItem('rend-key')), MOCK_KEY);
    assert.equal(await page.evaluate(() => localStorage.length + document.cookie.length), 0);
    assert.ok(await page.getByText('No videos yet').isVisible());
    await shoot(page, 'dashboard-empty');
    await page.reload();
    await page.locator('#desk').waitFor();
    await page.getByRole('button', { name: 'Forget key' }).click();
    assert.ok(await page.getByLabel('API key').isVisible());
    assert.equal(await page.evaluate(() => sessionStorage.getItem('rend-key')), null);
    await shoot(page, 'dashboard-door');
  }));

test('a wrong key is refused in words and the right one is let in', () =>
  desk(
    {},
    () => {},
    async (page) => {
      await page.getByRole('button', { name: 'Forget key' }).click();
      await page.getByLabel('API key').fill('rend_live_wrong');
      await page.keyboard.press('Enter');
      await page.getByText('This key is not known here').waitFor();
      await page.getByLabel('API key').fill(MOCK_KEY);
      await page.keyboard.press('Enter');
      await page.locator('#desk').waitFor();
      assert.equal(await page.getByLabel('API key').inputValue(), '');
    },
    { expect: [/401/] },
  ));

test('an upload shows its progress and ends in a video that plays', () =>
  desk(
    { slowUpload: true },
    () => {},
    async (page) => {
      await page.locator('#file').setInputFiles(clip);
      assert.equal(await page.getByLabel('Title').inputValue(), 'Holiday by the sea');
      await page.getByLabel('Title').fill('By the sea');
      await shoot(page, 'dashboard-compose');
      // Watching the bar from inside of the page, because the whole upload may be shorter than one look from outside.
      await page.evaluate(() => {
        window.seen = [];
        new MutationObserver(() => {
          const words = document.querySelector('.upload .words')?.textContent;
          if (words && window.seen.at(-1) !== words) window.seen.push(words);
        }).observe(document.getElementById('uploads'), { subtree: true, childList: true, characterData: true });
      });
      await page.getByRole('button', { name: 'Upload', exact: true }).click();
      await line(page, 'By the sea').waitFor();
      await untilState(page, 'ready');
      await page.locator('.upload .words', { hasText: 'after the upload' }).waitFor();
      const seen = await page.evaluate(() => window.seen);
      assert.match(seen[0], /% of \d/);
      assert.ok(seen.some((words) => words.startsWith('100')), JSON.stringify(seen));
      assert.match(seen.at(-1), /^Playable .* after the upload$/);
      await line(page, 'By the sea').getByRole('button', { name: 'Play', exact: true }).first().click();
      await untilTime(page, 1);
      await line(page, 'By the sea').locator('.chip', { hasText: 'Ready' }).waitFor();
      await shoot(page, 'dashboard-uploaded');
    },
    { expect: [/409/] },
  ));

test('an upload whose connection breaks goes on, and one whose page was reloaded goes on with the same file', () =>
  desk(
    { slowUpload: true },
    (mock) => (mock.breakUploadAt = 8 << 20),
    async (page, mock) => {
      const big = path.join(folder, 'Long walk.mp4');
      const bytes = Buffer.alloc(24 << 20, 7);
      bytes.write('\0\0\0\x18ftypisom', 0, 'latin1');
      await writeFile(big, bytes);
      const choose = async () => {
        await page.locator('#file').setInputFiles(big);
        await page.getByRole('button', { name: 'Upload', exact: true }).click();
      };
      await choose();
      await page.locator('.upload .words', { hasText: 'the connection is lost' }).waitFor();
      await page.locator('.upload[data-state="sending"] .words', { hasText: /^([4-9]\d)\s?%/ }).waitFor();
      page.once('dialog', (dialog) => dialog.accept());
      await page.reload();
      const reminder = page.locator('.upload[data-state="idle"] .words', { hasText: 'Choose Long walk.mp4 again' });
      await reminder.waitFor();
      await choose();
      assert.equal(await reminder.count(), 0);
      await page.locator('.upload .words', { hasText: 'after the upload' }).waitFor();
      const asset = mock.asset(await line(page, 'Long walk').getAttribute('data-id'));
      assert.equal(asset.sha256, createHash('sha256').update(bytes).digest('hex'));
      assert.equal(await page.locator('.asset').count(), 1, 'it is one video');
    },
    { expect: [/409/, /ERR_/] },
  ));

test('states arrive live, without anybody asking', () =>
  desk({}, (mock) => mock.add('Growing', 'opener_ready', { made: 2 }), async (page, mock) => {
    const row = line(page, 'Growing');
    await row.locator('.chip', { hasText: 'Playable, encoding' }).waitFor();
    await page.locator('#live[data-state="live"]').waitFor();
    mock.grow(await row.getAttribute('data-id'), null);
    await row.locator('.chip', { hasText: 'Ready' }).waitFor({ timeout: 3_000 });
    const id = mock.add('Uploaded elsewhere', 'processing').id;
    mock.grow(id, null);
    await line(page, 'Uploaded elsewhere').waitFor({ timeout: 3_000 });
    mock.delete(id);
    await line(page, 'Uploaded elsewhere').waitFor({ state: 'detached', timeout: 3_000 });
  }));

test('the event stream comes back after a break and misses nothing', () =>
  desk(
    {},
    (mock) => mock.add('Growing', 'opener_ready', { made: 2 }),
    async (page, mock) => {
      await page.locator('#live[data-state="live"]').waitFor();
      mock.dropFollowers();
      mock.grow(await line(page, 'Growing').getAttribute('data-id'), null);
      await page.locator('#live[data-state="waiting"]').waitFor();
      await page.locator('#live[data-state="live"]').waitFor();
      await line(page, 'Growing').locator('.chip', { hasText: 'Ready' }).waitFor();
      assert.equal(mock.followers, 1);
    },
    { expect: [/ERR_/] },
  ));

test('a failed video tells why, with the last words of its job, and can be tried again', () =>
  desk(
    {},
    (mock) => mock.add('Not a film', 'failed'),
    async (page) => {
      const row = line(page, 'Not a film');
      await row.locator('.toggle').click();
      await row.getByText('moov atom not found').waitFor();
      assert.ok(await row.getByText('not_a_video', { exact: true }).isVisible());
      await shoot(page, 'dashboard-failed');
      await row.getByRole('button', { name: 'Try again' }).first().click();
      await row.locator('.chip', { hasText: 'Ready' }).waitFor();
    },
    { expect: [/409/] },
  ));

test('an upload can be cancelled, and nothing of it stays', () =>
  desk({ slowUpload: true }, () => {}, async (page) => {
    const big = path.join(folder, 'big.mp4');
    await writeFile(big, Buffer.alloc(64 << 20));
    await page.locator('#file').setInputFiles(big);
    await page.getByRole('button', { name: 'Upload', exact: true }).click();
    await page.locator('.upload[data-state="sending"] .words', { hasText: '/s' }).waitFor();
    await shoot(page, 'dashboard-uploading');
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.locator('.upload .words', { hasText: 'Cancelled' }).waitFor();
    assert.equal(await page.locator('.asset').count(), 0);
    await page.getByRole('button', { name: 'Close' }).click();
    assert.equal(await page.locator('.upload').count(), 0);
  }));

test('files that are no video and files that are empty end in words, beside those that work', () =>
  desk({}, () => {}, async (page) => {
    const files = ['empty.mp4', 'notes.mp4'].map((name) => path.join(folder, name));
    await writeFile(files[0], '');
    await writeFile(files[1], 'just text');
    await page.locator('#file').setInputFiles([...files, clip]);
    assert.ok(await page.getByText('3 files').isVisible());
    await page.getByRole('button', { name: 'Upload', exact: true }).click();
    await page.locator('.upload .words', { hasText: 'This file is empty' }).waitFor();
    await page.locator('.upload .words', { hasText: 'not a video that Rend can read' }).waitFor();
    await page.locator('.upload .words', { hasText: 'after the upload' }).waitFor();
  }, { expect: [/409/] }));

test('a file may be dropped anywhere on the page', () =>
  desk({}, () => {}, async (page) => {
    await page.evaluate(() => {
      const carried = new DataTransfer();
      carried.items.add(new File(['x'], 'dropped film.mov', { type: 'video/quicktime' }));
      for (const name of ['dragenter', 'dragover', 'drop']) document.body.dispatchEvent(new DragEvent(name, { dataTransfer: carried, bubbles: true, cancelable: true }));
    });
    assert.equal(await page.getByLabel('Title').inputValue(), 'dropped film');
    await page.locator('.switch').click();
    assert.ok(await page.getByText('Only with a link that you sign').isVisible());
    await page.getByRole('button', { name: 'Cancel' }).click();
    assert.ok(await page.locator('#invite').isVisible());
  }));

test('deleting asks first, and only then deletes', () =>
  desk({}, (mock) => mock.add('To be kept or not'), async (page, mock) => {
    const row = line(page, 'To be kept or not');
    const id = await row.getAttribute('data-id');
    await row.getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('dialog').waitFor();
    await shoot(page, 'dashboard-confirm');
    await page.keyboard.press('Escape');
    assert.equal(mock.asset(id).source_state, 'ready');
    await row.getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await row.waitFor({ state: 'detached' });
    assert.equal(mock.asset(id).source_state, 'deleted');
    assert.ok(await page.getByText('No videos yet').isVisible());
  }));

test('links are copied: plain for public videos, signed for the others', () =>
  desk({}, (mock) => (mock.add('For all'), mock.add('For some', 'ready', { playback_policy: 'signed' })), async (page, mock) => {
    await browser.context.grantPermissions(['clipboard-read', 'clipboard-write']);
    const copied = async (title, words) => {
      await line(page, title).getByRole('button', { name: 'Copy link' }).click();
      await page.locator('#toast[data-shown="true"]', { hasText: words }).waitFor();
      return page.evaluate(() => navigator.clipboard.readText());
    };
    assert.match(await copied('For all', /^Link copied$/), new RegExp(`^${mock.url}/watch/[^?]+$`));
    assert.match(await copied('For some', /^Signed link copied/), new RegExp(`^${mock.url}/watch/.+\\?token=.+$`));
    // The preview of a signed video gets a token of its own.
    await line(page, 'For some').locator('.toggle').click();
    await untilState(page, 'ready');
  }));

test('older videos come page by page', () =>
  desk({}, (mock) => Array.from({ length: 45 }, (_, i) => mock.add(`Video ${i + 1}`)), async (page) => {
    assert.equal(await page.locator('.asset').count(), 20);
    await page.getByRole('button', { name: 'Show older videos' }).click();
    await page.waitForFunction(() => document.querySelectorAll('.asset').length === 40);
    await page.getByRole('button', { name: 'Show older videos' }).click();
    await page.waitForFunction(() => document.querySelectorAll('.asset').length === 45);
    assert.equal(await page.locator('#more').isVisible(), false);
    const titles = await page.locator('.asset .title').allTextContents();
    assert.deepEqual(titles, Array.from({ length: 45 }, (_, i) => `Video ${45 - i}`));
  }));

test('the fleet shows each edge and the latest gate, in light, in dark and on a phone', () =>
  desk(
    {},
    (mock) => {
      mock.gate = {
        schema_version: 1, target: 'embedded', started_at: new Date().toISOString(), status: 'fail', reasons: ['signed hit: mock-edge-2 answered 401'],
        steps: [{ name: 'upload', verdict: 'pass', reasons: [] }, { name: 'signed hit', verdict: 'fail', reasons: ['mock-edge-2 answered 401'] }],
        timings: { UPLOAD_TO_OPENER_PLAYABLE: { p50_ms: 640, verdict: 'pass' }, EDGE_TTFB_HIT: { p50_ms: 61, verdict: 'warn' } },
      };
      mock.add('A plain video');
      mock.add('Quarterly review, recorded on a phone held sideways in a train', 'failed');
      mock.add('Still growing', 'opener_ready', { made: 3 });
      mock.add('Only for those with a link', 'ready', { playback_policy: 'signed' });
    },
    async (page) => {
      await page.locator('[data-edge="mock-edge-2"]').getByText('212 events').waitFor();
      assert.equal(await page.getByRole('meter').count(), 2);
      await page.getByText('signed hit: mock-edge-2 answered 401').waitFor();
      await line(page, 'A plain video').locator('.toggle').click();
      await untilState(page, 'ready');
      await page.waitForTimeout(400);
      await shoot(page, 'dashboard-light');
      const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number)[0]);
      assert.ok((await ground()) > 200);
      await page.emulateMedia({ colorScheme: 'dark' });
      assert.ok((await ground()) < 60);
      await page.waitForTimeout(400);
      await shoot(page, 'dashboard-dark');
      await page.setViewportSize({ width: 390, height: 844 });
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390);
      await shoot(page, 'dashboard-phone');
    },
  ));

test('what was delivered is a picture and a table that says the same, and hours that lack records are said', () =>
  desk(
    {},
    (mock) => {
      const hour = (back) => new Date(Math.floor(Date.now() / 3_600_000) * 3_600_000 - back * 3_600_000).toISOString();
      const row = (back, tier, minutes, complete = true) => ({ org_id: 'o', hour: hour(back), tier, delivered_ms: minutes * 60_000, revision: 1, complete, counted_at: hour(0) });
      mock.usage = [row(2, '1080p', 30, false), row(2, '720p', 4.5, false), row(30, '1080p', 1200), row(31, '720p', 3), row(24 * 40, '4k', 9999)];
    },
    async (page, mock) => {
      const table = page.getByRole('table', { name: /Minutes delivered in the last 30 days/ });
      await table.waitFor();
      const cells = await table.locator('tbody tr, tfoot tr').allTextContents();
      assert.deepEqual(cells, ['Up to 720p7.5', 'Up to 1080p1\u202f230', 'All1\u202f238']);
      assert.ok(await page.getByText('1 hour of these lacks records').isVisible());
      assert.equal(await page.locator('.usage-picture rect').count(), 4);
      assert.equal(await page.locator('.usage-picture').getAttribute('aria-hidden'), 'true');
      await page.setViewportSize({ width: 390, height: 844 });
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390);
      await shoot(page, 'dashboard-usage');
      mock.usage = [];
      await page.reload();
      await page.getByText('Nothing was delivered yet').waitFor();
    },
  ));

test('a desk can be worked without a mouse, and everything on it has a name', () =>
  desk({}, (mock) => mock.add('Reachable'), async (page) => {
    const row = line(page, 'Reachable');
    await row.locator('.toggle').focus();
    await page.keyboard.press('Enter');
    assert.equal(await row.locator('.toggle').getAttribute('aria-expanded'), 'true');
    const nameless = await page.evaluate(() => {
      const name = (e) => e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.textContent || e.title;
      return [...document.querySelectorAll('button, input, a, select')].filter((e) => !name(e)?.trim()).map((e) => e.outerHTML);
    });
    assert.deepEqual(nameless, []);
    const stops = [];
    await page.evaluate(() => document.activeElement.blur());
    await page.locator('.brand').focus();
    for (let i = 0; i < 4; i += 1) {
      await page.keyboard.press('Tab');
      stops.push(await page.evaluate(() => document.activeElement.id || document.activeElement.className));
    }
    assert.deepEqual(stops, ['leave', 'file', 'toggle', 'button small']);
  }));

test('a build without hls.js says so', () =>
  desk({ hlsJs: false }, () => {}, (page) => page.getByText('built without hls.js').waitFor(), { expect: [/hls\.js/] }));

test('a rung is made into a file when somebody asks, and taken away again', () =>
  desk(
    {},
    (mock) => mock.add('To keep'),
    async (page, mock) => {
      await line(page, 'To keep').locator('.toggle').click();
      const box = line(page, 'To keep').locator('.downloads');
      const [asset] = mock.assets();
      const rung = asset.renditions.at(-1).name;
      await box.getByRole('button', { name: `Make a file of ${rung}` }).click();
      const link = box.getByRole('link', { name: 'Download' });
      await link.waitFor();
      assert.match(await link.getAttribute('href'), new RegExp(`/downloads/${rung}\\.mp4$`));
      await box.getByRole('button', { name: `Remove the file of ${rung}` }).click();
      await box.getByRole('button', { name: `Make a file of ${rung}` }).waitFor();
    },
  ));

test('captions are added from a file, told wrong with their line, and removed', () =>
  desk(
    {},
    (mock) => mock.add('With words'),
    async (page, mock) => {
      await line(page, 'With words').locator('.toggle').click();
      const box = line(page, 'With words').locator('.captions');
      await box.getByLabel('Language of the captions').fill('de');
      const choose = async (name, text) => {
        const file = path.join(folder, name);
        await writeFile(file, text);
        const chooser = page.waitForEvent('filechooser');
        await box.getByRole('button', { name: 'Add captions' }).click();
        await (await chooser).setFiles(file);
      };
      await choose('bad.srt', 'nothing to show');
      await box.getByText('line 1: this is neither WebVTT nor SubRip').waitFor();
      await choose('film.srt', '1\n00:00:01,000 --> 00:00:02,000\nHallo\n');
      await box.getByText('1 cue').waitFor();
      await shoot(page, 'dashboard-captions');
      await box.getByRole('button', { name: 'Remove captions de' }).click();
      await box.getByText('1 cue').waitFor({ state: 'detached' });
      assert.deepEqual([...mock.assets()].map((asset) => asset.captions), [[]]);
    },
    { expect: [/422/] },
  ));
