// The player in a real browser, against the mock. hls.js is always forced or absent by intent: this Chromium may play HLS by itself.

import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';

import { facts, openBrowser, openPage, shoot, untilState, untilTime } from './browser.mjs';
import { startMock } from './mock-server.mjs';

const SECONDS = 8;
let browser;
let ladder;
const mocks = [];

before(async () => {
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  for (const mock of mocks) await mock.close();
});

/** A mock of its own settings over one shared ladder. */
async function mockWith(options = {}) {
  const mock = await startMock({ seconds: SECONDS, ladder, ...options });
  ladder = mock.ladder;
  mocks.push(mock);
  return mock;
}

/** Opens the watch page, lets `body` act, and checks that nothing went wrong on it that was not expected. */
async function watch(mock, asset, body, { query = '?engine=hls', expect = [] } = {}) {
  const { page, wrong } = await openPage(browser.context, `${mock.url}/watch/${asset.id}${query}`, { expect });
  try {
    await body(page);
    assert.deepEqual(await wrong(), []);
  } finally {
    await page.close();
  }
}

test('a video plays to its end without any media error', async () => {
  const mock = await mockWith();
  const asset = mock.add('To the end');
  await watch(mock, asset, async (page) => {
    await untilTime(page, 1);
    await page.locator('rend-player').hover();
    await shoot(page, 'watch-playing');
    await untilState(page, 'ended');
    const end = await facts(page);
    assert.equal(end.engine, 'hls.js');
    assert.ok(Math.abs(end.at - SECONDS) < 0.2, `ended at ${end.at}`);
    assert.deepEqual([end.error, end.failures], [null, []]);
    assert.equal(await page.title(), 'To the end · Rend');
  });
});

test('a view is told of from its load to its end', async () => {
  const mock = await mockWith();
  const asset = mock.add('Told of');
  await watch(mock, asset, async (page) => {
    await untilState(page, 'ended');
    for (let tries = 0; tries < 50 && mock.told.at(-1)?.phase !== 'end'; tries += 1) await new Promise((done) => setTimeout(done, 100));
    const { told } = mock;
    assert.ok(told.every((event) => event.ticket === `view-of-${asset.id}`));
    assert.deepEqual(told.map((event) => event.seq), told.map((_, place) => place + 1));
    assert.deepEqual(told.slice(0, 3).map((event) => event.phase), ['load', 'play_intent', 'first_frame']);
    assert.equal(told.at(-1).phase, 'end');
    assert.ok(told[2].startup_ms >= 0);
    const watched = told.reduce((sum, event) => sum + (event.playing_ms ?? 0), 0);
    assert.ok(Math.abs(watched - SECONDS * 1000) < 3000, `watched ${watched} ms`);
    assert.ok(told.some((event) => event.edge === 'mock-edge-1'));
  });
});

test('a seek lands where it was asked to, forwards and backwards, and plays on', async () => {
  const mock = await mockWith();
  await watch(mock, mock.add('Seek'), async (page) => {
    await untilTime(page, 0.5);
    for (const to of [6, 2, 4]) {
      await page.evaluate((at) => document.querySelector('rend-player').seek(at), to);
      await untilTime(page, to + 0.3);
      const { at } = await facts(page);
      assert.ok(at >= to && at < to + 2, `asked for ${to}, at ${at}`);
    }
    assert.deepEqual((await facts(page)).failures, []);
  });
});

test('grants that expire every few seconds are renewed without a stop', async () => {
  for (const query of ['?engine=hls', '?engine=hls&transport=path']) {
    const mock = await mockWith({ ttlSeconds: 2, refreshAfterSeconds: 1 });
    // Growing, so that requests go on to the end: a short finished video is fetched within its first grant.
    const asset = mock.add('Short grants', 'opener_ready', { made: 3 });
    await watch(
      mock,
      asset,
      async (page) => {
        await untilTime(page, 1);
        for (let made = 4; made <= SECONDS; made += 1) {
          await page.waitForTimeout(700);
          mock.grow(asset.id, made);
        }
        await untilState(page, 'ended');
        const end = await facts(page);
        assert.deepEqual([end.error, end.failures], [null, []]);
        assert.ok(mock.bootstraps >= 3, `${mock.bootstraps} bootstraps`);
        assert.deepEqual([...new Set(mock.requests.map((request) => request.status))], [200]);
      },
      { query },
    );
  }
});

test('a grant that is refused in the middle is renewed and playback goes on from its place', async () => {
  const mock = await mockWith();
  const asset = mock.add('Refused once', 'opener_ready', { made: 4 });
  await watch(
    mock,
    asset,
    async (page) => {
      await untilTime(page, 2);
      await page.waitForTimeout(20);
      mock.forgetGrants();
      mock.grow(asset.id, null);
      await untilState(page, 'ended');
      const end = await facts(page);
      assert.equal(end.error, null);
      assert.ok(end.failures.some((failure) => failure.kind === 'auth'), JSON.stringify(end.failures));
      assert.ok(end.playedFrom.length > 1 && end.playedFrom.slice(1).every((at) => at > 1.5), `began again at ${end.playedFrom}`);
      assert.ok(Math.abs(end.at - SECONDS) < 0.2);
    },
    { expect: [/401/] },
  );
});

test('a playlist that grows is played from its beginning to its end', async () => {
  const mock = await mockWith();
  const asset = mock.add('Growing', 'opener_ready', { made: 6 });
  await watch(mock, asset, async (page) => {
    await untilTime(page, 0.1);
    assert.ok((await facts(page)).playedFrom[0] < 0.5, 'it starts at the start, not at the live edge');
    await page.locator('rend-player').hover();
    assert.ok(await page.getByText('Still encoding', { exact: true }).isVisible());
    assert.match(await page.locator('rend-player .time').textContent(), /\/ 0:08$/);
    await shoot(page, 'watch-growing');
    for (let made = 7; made <= SECONDS; made += 1) {
      await page.waitForTimeout(500);
      mock.grow(asset.id, made);
    }
    await untilState(page, 'ended');
    const end = await facts(page);
    assert.deepEqual(end.failures, []);
    // The master had one rendition when it began; the player has found the other since.
    assert.equal(await page.evaluate(() => document.querySelector('rend-player').shadowRoot.querySelectorAll('[aria-label="Quality"] option').length), 3);
  });
});

test('a video that is still prepared says so and starts by itself', async () => {
  const mock = await mockWith();
  const asset = mock.add('Soon', 'processing');
  await watch(
    mock,
    asset,
    async (page) => {
      await untilState(page, 'preparing');
      await page.waitForTimeout(300);
      assert.ok(await page.getByText('Still being prepared').isVisible());
      await shoot(page, 'watch-preparing');
      mock.grow(asset.id, null);
      await untilTime(page, 0.5);
    },
    { expect: [/409/] },
  );
});

test('a deleted video is gone, also for those who are watching it', async () => {
  const mock = await mockWith({ refreshAfterSeconds: 600 });
  const asset = mock.add('Deleted', 'opener_ready', { made: 4 });
  await watch(
    mock,
    asset,
    async (page) => {
      await untilTime(page, 1);
      mock.delete(asset.id);
      await untilState(page, 'gone');
      await page.waitForTimeout(300);
      assert.ok(await page.getByText('This video is gone').first().isVisible());
      assert.equal((await facts(page)).engine, null);
      await shoot(page, 'watch-gone');
      await page.reload();
      await untilState(page, 'gone');
    },
    { expect: [/404/] },
  );
});

test('a video that failed says why', async () => {
  const mock = await mockWith();
  const asset = mock.add('Broken', 'failed');
  await watch(
    mock,
    asset,
    async (page) => {
      await untilState(page, 'failed');
      await page.waitForTimeout(300);
      assert.ok(await page.getByText('The file holds no picture that a decoder knows.').isVisible());
      await shoot(page, 'watch-failed');
    },
    { expect: [/409/] },
  );
});

test('a signed video opens with its token and not without', async () => {
  const mock = await mockWith();
  const asset = mock.add('Signed', 'ready', { playback_policy: 'signed' });
  await watch(
    mock,
    asset,
    async (page) => {
      await untilState(page, 'denied');
      await page.waitForTimeout(300);
      await shoot(page, 'watch-denied');
    },
    { expect: [/401/] },
  );
  const answer = await fetch(`${mock.url}/v1/assets/${asset.id}/playback`, { headers: { authorization: 'Bearer rend_test_mockmockmockmockmockmockmock' } });
  const { player_url: path } = await answer.json();
  const { page, wrong } = await openPage(browser.context, mock.url + path);
  await untilTime(page, 0.5);
  assert.deepEqual(await wrong(), []);
  await page.close();
});

test('when an edge dies the next one goes on from the same place', async () => {
  const mock = await mockWith({ fallback: true });
  const asset = mock.add('Two edges', 'opener_ready', { made: 3 });
  await watch(
    mock,
    asset,
    async (page) => {
      await untilTime(page, 1);
      mock.edgeDown = true;
      mock.grow(asset.id, null);
      await untilState(page, 'ended');
      const end = await facts(page);
      assert.ok(Math.abs(end.at - SECONDS) < 0.2);
      assert.ok(mock.requests.some((request) => request.edge === 1));
      assert.ok(end.playedFrom.slice(1).every((at) => at > 0.8), `began again at ${end.playedFrom}`);
      assert.equal(end.states.filter((state) => state === 'gone' || state === 'failed').length, 0);
    },
    { expect: [/ERR_/] },
  );
});

test('an edge that comes back is found again', async () => {
  const mock = await mockWith();
  const asset = mock.add('One edge');
  mock.edgeDown = true;
  await watch(
    mock,
    asset,
    async (page) => {
      await page.waitForFunction(() => window.playerErrors.length > 0);
      mock.edgeDown = false;
      await untilTime(page, 0.5);
    },
    { expect: [/ERR_/] },
  );
});

test('hls.js may come as a module or as a classic script', async () => {
  const mock = await mockWith({ hlsJs: 'classic' });
  await watch(mock, mock.add('Classic'), async (page) => {
    await untilTime(page, 0.5);
    assert.equal((await facts(page)).engine, 'hls.js');
  });
});

test('a build without hls.js plays natively where it can, and says so where it cannot', async () => {
  const mock = await mockWith({ hlsJs: false });
  const asset = mock.add('No library');
  const expect = [/hls\.js/];
  await watch(
    mock,
    asset,
    async (page) => {
      await untilState(page, 'unsupported');
      await page.waitForTimeout(300);
      assert.match(await page.locator('rend-player .message .text').textContent(), /built without hls\.js/);
      await shoot(page, 'watch-unsupported');
    },
    { query: '?engine=hls', expect },
  );
  await watch(
    mock,
    asset,
    async (page) => {
      const native = await page.evaluate(() => document.createElement('video').canPlayType('application/vnd.apple.mpegurl') !== '');
      if (!native) return untilState(page, 'unsupported');
      await untilTime(page, 1);
      assert.equal((await facts(page)).engine, 'native');
      return undefined;
    },
    { query: '', expect },
  );
});

test('everything can be done from the keyboard', async () => {
  const mock = await mockWith();
  await watch(mock, mock.add('Keys'), async (page) => {
    const video = (name) => page.evaluate((property) => document.querySelector('rend-player').video[property], name);
    await untilTime(page, 0.3);
    await page.keyboard.press('k');
    await untilState(page, 'paused');
    const at = await video('currentTime');
    await page.keyboard.press('ArrowRight');
    await page.waitForFunction((from) => document.querySelector('rend-player').video.currentTime > from + 4, at);
    await page.keyboard.press('Home');
    await page.waitForFunction(() => document.querySelector('rend-player').video.currentTime < 0.1);
    await page.keyboard.press('5');
    await page.waitForFunction((half) => Math.abs(document.querySelector('rend-player').video.currentTime - half) < 0.1, SECONDS / 2);
    await page.keyboard.press('m');
    assert.equal(await video('muted'), true);
    await page.keyboard.press('>');
    assert.equal(await video('playbackRate'), 1.25);
    await page.keyboard.press('Space');
    await untilState(page, 'playing');
    // Tab reaches the controls in their order, each with a name, and Space then means the control and not the picture.
    const names = [];
    for (let i = 0; i < 8; i += 1) {
      await page.keyboard.press('Tab');
      names.push(await page.evaluate(() => document.activeElement.shadowRoot?.activeElement?.getAttribute('aria-label') ?? document.activeElement.textContent));
    }
    assert.deepEqual(names.slice(0, 6), ['Seek', 'Pause', 'Unmute', 'Volume', 'Quality', 'Speed']);
    assert.ok(names.every((name) => name?.trim()), JSON.stringify(names));
    await page.keyboard.press('Shift+Tab');
  });
});

test('the pause button, the picture and the quality menu do what they say', async () => {
  const mock = await mockWith();
  await watch(mock, mock.add('Mouse'), async (page) => {
    await untilTime(page, 0.3);
    await page.locator('rend-player').hover();
    await page.getByRole('button', { name: 'Pause' }).click();
    await untilState(page, 'paused');
    await shoot(page, 'watch-paused');
    await page.locator('rend-player video').click({ position: { x: 30, y: 30 } });
    await untilState(page, 'playing');
    await page.getByLabel('Quality').selectOption({ label: '180p' });
    await page.waitForFunction(() => document.querySelector('rend-player').video.videoHeight === 180);
    await page.getByLabel('Speed').selectOption({ label: '2×' });
    await untilState(page, 'ended');
    await page.getByRole('button', { name: 'Play again' }).first().click();
    await page.waitForFunction(() => document.querySelector('rend-player').video.currentTime < 3);
  });
});

test('an embedded player fills its frame and tells its host what one sees', async () => {
  const mock = await mockWith();
  const asset = mock.add('Embedded');
  const { page, wrong } = await openPage(browser.context, `${mock.url}/embed/${asset.id}?autoplay&muted&engine=hls`);
  await untilTime(page, 0.5);
  const box = await page.locator('rend-player').boundingBox();
  assert.deepEqual([box.x, box.y, box.width, box.height], [0, 0, 1280, 860]);
  assert.deepEqual(await wrong(), []);
  await page.close();
});

test('without a gesture the watch page waits with a large button, and a phone shows it all', async () => {
  const mock = await mockWith();
  const asset = mock.add('A long title that a phone has to break over two lines or more');
  const { page, wrong } = await openPage(browser.context, `${mock.url}/embed/${asset.id}?engine=hls`);
  await untilState(page, 'ready');
  await shoot(page, 'embed-ready');
  await page.getByRole('button', { name: 'Play' }).first().click();
  await untilState(page, 'playing');
  await page.close();
  const phone = await openPage(browser.context, `${mock.url}/watch/${asset.id}?engine=hls`);
  await phone.page.setViewportSize({ width: 390, height: 844 });
  await untilTime(phone.page, 0.5);
  await phone.page.locator('rend-player').hover();
  await shoot(phone.page, 'watch-phone');
  assert.equal(await phone.page.evaluate(() => document.documentElement.scrollWidth), 390);
  assert.deepEqual([...(await wrong().catch(() => [])), ...(await phone.wrong())], []);
  await phone.page.close();
});

const SPOKEN = [
  { lang: 'en', label: 'English', kind: 'subtitles', default: false, text: '00:00:00.200 --> 00:00:07.500 line:80%\nA line in English\n' },
  { lang: 'de', label: 'Deutsch', kind: 'subtitles', default: false, text: '00:00:00.200 --> 00:00:07.500\nEine Zeile auf Deutsch\n' },
];

/** What the browser shows as captions now. */
const shownCues = (page) =>
  page.evaluate(() => {
    const { video } = document.querySelector('rend-player');
    return [...video.textTracks].filter((track) => track.mode === 'showing').flatMap((track) => [...(track.activeCues ?? [])].map((cue) => cue.text));
  });

const captionSelect = (page) => page.locator('rend-player').getByLabel('Captions');

test('captions are chosen by hand or by key, stay chosen on the next visit, and can be turned off', async () => {
  // The mock's clips begin where ffmpeg lets them begin, and their clock is told by the map.
  const mock = await mockWith();
  const asset = mock.add('With captions', 'ready', { captions: SPOKEN });
  await watch(mock, asset, async (page) => {
    await untilTime(page, 0.5);
    assert.deepEqual(await shownCues(page), [], 'nothing is shown that nobody asked for');
    assert.deepEqual(await captionSelect(page).locator('option').allTextContents(), ['No captions', 'English', 'Deutsch']);
    await captionSelect(page).selectOption({ label: 'Deutsch' });
    await page.waitForFunction(() => [...document.querySelector('rend-player').video.textTracks].some((track) => track.mode === 'showing' && track.activeCues?.length > 0));
    assert.deepEqual(await shownCues(page), ['Eine Zeile auf Deutsch']);
    await page.locator('rend-player').hover();
    await shoot(page, 'watch-captions');
    assert.deepEqual((await facts(page)).failures, []);
  });
  await watch(mock, asset, async (page) => {
    await page.waitForFunction(() => [...document.querySelector('rend-player').video.textTracks].some((track) => track.mode === 'showing' && track.cues?.length > 0));
    assert.equal(await captionSelect(page).evaluate((select) => select.selectedOptions[0].textContent), 'Deutsch');
    await untilTime(page, 0.5);
    await page.keyboard.press('c');
    assert.equal(await captionSelect(page).evaluate((select) => select.value), '-1');
    assert.deepEqual(await shownCues(page), []);
    await page.keyboard.press('c');
    assert.equal(await captionSelect(page).evaluate((select) => select.selectedOptions[0].textContent), 'Deutsch');
    await page.keyboard.press('c');
  });
  await watch(mock, asset, async (page) => {
    await untilTime(page, 0.5);
    assert.deepEqual(await shownCues(page), [], 'that there are none is a choice too');
  });
});

test('captions that everybody should see are shown, and those that can not be fetched stop nothing', async () => {
  const mock = await mockWith();
  const shown = mock.add('Shown', 'ready', { captions: [{ ...SPOKEN[0], default: true }] });
  await watch(
    mock,
    shown,
    async (page) => {
      await page.evaluate(() => localStorage.clear());
      await page.reload();
      await untilTime(page, 0.5);
      await page.waitForFunction(() => [...document.querySelector('rend-player').video.textTracks].some((track) => track.mode === 'showing' && track.activeCues?.length > 0));
      assert.deepEqual(await shownCues(page), ['A line in English']);
      shown.captions = [{ ...SPOKEN[0], lang: 'xx', default: true }];
      await page.evaluate(() => document.querySelector('rend-player').seek(6));
      await untilState(page, 'ended');
      assert.deepEqual((await facts(page)).error, null);
    },
    { expect: [/404/] },
  );
});

test('a still of the place below the pointer is shown over the seek bar', async () => {
  const mock = await mockWith();
  await watch(mock, mock.add('Stills', 'ready', { stills: true }), async (page) => {
    await untilTime(page, 0.3);
    const seek = page.locator('rend-player').getByLabel('Seek');
    const box = await seek.boundingBox();
    await page.mouse.move(box.x + box.width * 0.74, box.y + box.height / 2);
    const preview = page.locator('rend-player .preview');
    // The index is fetched when a pointer first comes by; the next move finds it.
    for (let nudge = 1; (await preview.locator('.tile').isHidden()) && nudge < 100; nudge += 1) {
      await page.mouse.move(box.x + box.width * (0.74 + (nudge % 2) * 0.01), box.y + box.height / 2);
      await page.waitForTimeout(20);
    }
    await preview.locator('.tile img').waitFor();
    assert.equal(await preview.locator('.tile img').evaluate((image) => image.style.transform), 'translate(-160px, -90px)');
    assert.match(await preview.locator('.instant').textContent(), /^0:0[56]$/);
    await shoot(page, 'watch-preview');
  });
});
