import assert from 'node:assert/strict';
import test from 'node:test';

import { ASKS_MAX, FALLBACKS_MAX, MENDS_MAX, PlayerSession, RECOVERIES_MAX, backoff, mediaBase, rebased, sentence, sourcesOf } from '../pages/session.js';

const EDGE = 'http://edge.one:4100';

function boot(more = {}) {
  return {
    playable_state: 'hls_ready', playback_url: `${EDGE}/v/a/master.m3u8`, playback_content_type: 'application/vnd.apple.mpegurl', manifest_url: `${EDGE}/v/a/master.m3u8`,
    transport: 'cookie', refresh_after_seconds: 600, edge: { id: 'one' }, fallbacks: [], ...more,
  };
}

/** A session with chance switched off, and a way to feed it and to hear what it does. */
function begin(now = 0) {
  const session = new PlayerSession(() => 0);
  const does = () => {
    const all = [];
    for (let effect = session.poll(); effect; effect = session.poll()) all.push(effect);
    return all;
  };
  const feed = (input, at) => {
    session.handle(input, at);
    return does();
  };
  const wake = () => {
    const at = session.deadline();
    session.wake(at);
    return { at, effects: does() };
  };
  assert.deepEqual(verbs(feed({ type: 'open' }, now)), ['show', 'fetch']);
  return { session, feed, wake };
}

const verbs = (effects) => effects.map((effect) => effect.do);
const playing = (more) => {
  const it = begin();
  assert.deepEqual(verbs(it.feed({ type: 'bootstrap', boot: boot(more) }, 0)), ['show', 'load']);
  return it;
};
const shown = (effects) => effects.find((effect) => effect.do === 'show');

test('a ready video is loaded and its grant renewed in time', () => {
  const { session, feed, wake } = playing();
  assert.equal(session.phase, 'playable');
  assert.equal(session.deadline(), 600_000);
  assert.deepEqual(wake().effects, [{ do: 'fetch', reason: 'refresh' }]);
  assert.deepEqual(feed({ type: 'bootstrap', boot: boot() }, 600_100), [], 'a cookie is renewed by the answer alone');
  assert.equal(session.deadline(), 1_200_100);
});

test('a renewed path token moves later requests without touching what plays', () => {
  const at = (token) => boot({ manifest_url: `${EDGE}/v/a/~${token}/master.m3u8`, transport: 'path' });
  const { feed, wake } = playing(at('t1'));
  wake();
  const [effect, ...rest] = feed({ type: 'bootstrap', boot: at('t2') }, 600_000);
  assert.equal(effect.do, 'rebase');
  assert.equal(effect.source.url, `${EDGE}/v/a/~t2/master.m3u8`);
  assert.deepEqual(rest, []);
});

test('a renewal that is asked for at once still leaves a second between', () => {
  const { session } = playing({ refresh_after_seconds: 0 });
  assert.equal(session.deadline(), 1_000);
});

test('a renewal in the far future fits into a timer', () => {
  const { session } = playing({ refresh_after_seconds: 1e12 });
  assert.ok(session.deadline() <= 2 ** 31 - 1);
});

test('a video that is not ready is asked for again, ever more slowly, until it plays', () => {
  const { session, feed, wake } = begin();
  const waits = [];
  let now = 0;
  for (let i = 0; i < 12; i += 1) {
    const effects = feed({ type: 'problem', status: 409, code: 'not_playable' }, now);
    assert.equal(shown(effects).phase, 'preparing');
    waits.push(session.deadline() - now);
    const woken = wake();
    now = woken.at;
    assert.deepEqual(woken.effects, [{ do: 'fetch', reason: 'poll', waitSecs: 10 }]);
  }
  assert.equal(waits[0], 150);
  assert.equal(waits.at(-1), 5_000);
  assert.deepEqual(waits, [...waits].sort((a, b) => a - b));
  assert.deepEqual(verbs(feed({ type: 'bootstrap', boot: boot() }, now)), ['show', 'load']);
});

test('a server that says when to ask again is asked then', () => {
  const { session, feed } = begin();
  feed({ type: 'problem', status: 409, code: 'not_playable', retryAfterMs: 7_000 }, 100);
  assert.equal(session.deadline(), 7_100);
});

test('each refusal has its own last word', () => {
  const check = (input, phase, words) => {
    const { session, feed } = begin();
    const effects = feed({ type: 'problem', ...input }, 0);
    assert.equal(session.phase, phase);
    assert.match(shown(effects).title + shown(effects).text, words);
    assert.ok(verbs(effects).includes('stop'));
    assert.equal(session.deadline(), null, 'nothing is due after the end');
  };
  check({ status: 404 }, 'gone', /gone/);
  check({ status: 410 }, 'gone', /gone/);
  check({ status: 401 }, 'denied', /expired/);
  check({ status: 403 }, 'denied', /expired/);
  check({ status: 409, code: 'unavailable', failure: { detail: 'the file holds no picture' } }, 'failed', /The file holds no picture\./);
  check({ status: 400, detail: 'the id is not an id' }, 'failed', /The id is not an id\./);
});

test('a deletion while it plays is told as soon as media is missing', () => {
  const { session, feed } = playing();
  assert.deepEqual(feed({ type: 'media-failed', kind: 'missing' }, 5_000), [{ do: 'fetch', reason: 'recover' }]);
  const effects = feed({ type: 'problem', status: 404 }, 5_050);
  assert.equal(session.phase, 'gone');
  assert.deepEqual(verbs(effects), ['stop', 'show']);
});

test('a grant that expired is renewed and playback goes on where it was', () => {
  const { feed } = playing();
  assert.deepEqual(feed({ type: 'media-failed', kind: 'auth' }, 5_000), [{ do: 'fetch', reason: 'recover' }]);
  assert.deepEqual(feed({ type: 'media-failed', kind: 'auth' }, 5_001), [], 'one question serves all failures before its answer');
  assert.deepEqual(verbs(feed({ type: 'bootstrap', boot: boot() }, 5_100)), ['reload']);
});

test('a renewal that is refused disturbs nobody until the old grant is refused too', () => {
  const { session, feed, wake } = playing();
  wake();
  assert.deepEqual(feed({ type: 'problem', status: 401 }, 600_000), []);
  assert.equal(session.phase, 'playable');
  feed({ type: 'media-failed', kind: 'auth' }, 700_000);
  feed({ type: 'problem', status: 401 }, 700_010);
  assert.equal(session.phase, 'denied');
});

test('an edge that fails is left for the fallbacks in their order, then asked about again', () => {
  const fallbacks = [{ edge: { id: 'two' }, playback_url: 'http://edge.two/v/a/master.m3u8' }, 'http://edge.three/v/a/master.m3u8'];
  const { feed, wake, session } = playing({ fallbacks });
  const hosts = [];
  for (let i = 0; i < 2; i += 1) hosts.push(feed({ type: 'media-failed', kind: 'network' }, i)[0].source.url);
  assert.deepEqual(hosts, ['http://edge.two/v/a/master.m3u8', 'http://edge.three/v/a/master.m3u8']);
  assert.deepEqual(feed({ type: 'media-failed', kind: 'network' }, 10), []);
  assert.deepEqual(wake().effects, [{ do: 'fetch', reason: 'recover' }]);
  const [effect] = feed({ type: 'bootstrap', boot: boot({ fallbacks }) }, 2_000);
  assert.deepEqual([effect.do, effect.source.url], ['reload', `${EDGE}/v/a/master.m3u8`]);
  assert.equal(session.source.edge, 'one');
});

test('a renewal stays on the edge that works, even when it is not the first choice', () => {
  const fallbacks = [{ edge: { id: 'two' }, playback_url: 'http://edge.two/v/a/master.m3u8' }];
  const { feed, wake, session } = playing({ fallbacks });
  feed({ type: 'media-failed', kind: 'network' }, 1);
  wake();
  assert.deepEqual(feed({ type: 'bootstrap', boot: boot({ fallbacks }) }, 600_000), []);
  assert.equal(session.source.edge, 'two');
});

test('interruptions without progress end in a plain word, and progress forgives them', () => {
  const fail = ({ feed, session, wake }, now) => {
    const effects = feed({ type: 'media-failed', kind: 'network' }, now);
    if (session.phase !== 'playable') return effects;
    if (effects.length === 0) wake();
    return feed({ type: 'bootstrap', boot: boot() }, now);
  };
  const stuck = playing();
  for (let i = 0; i < RECOVERIES_MAX; i += 1) assert.equal(verbs(fail(stuck, i * 60_000))[0], 'reload');
  fail(stuck, 1e6);
  assert.equal(stuck.session.phase, 'failed');
  const lucky = playing();
  for (let i = 0; i < RECOVERIES_MAX * 3; i += 1) {
    fail(lucky, i * 60_000);
    lucky.feed({ type: 'progress' }, i * 60_000 + 1);
  }
  assert.equal(lucky.session.phase, 'playable');
});

test('bad media is mended, then loaded anew, then given up', () => {
  const { feed, session } = playing();
  const seen = [];
  for (let i = 0; i < MENDS_MAX + 2; i += 1) seen.push(verbs(feed({ type: 'media-failed', kind: 'media' }, i))[0]);
  assert.deepEqual(seen, [...Array(MENDS_MAX).fill('mend'), 'reload', 'stop']);
  assert.equal(session.phase, 'failed');
});

test('a server that is away is asked again with growing waits, and given up at the bound', () => {
  const { session, feed, wake } = begin();
  let now = 0;
  let asks = 1;
  let effects = feed({ type: 'unreachable' }, now);
  assert.deepEqual(effects, [], 'one lost question is worth no word');
  while (session.phase === 'loading') {
    now = wake().at;
    asks += 1;
    effects = feed(asks % 2 ? { type: 'unreachable' } : { type: 'problem', status: 503 }, now);
    if (asks === 2) assert.equal(shown(effects).phase, 'offline');
  }
  assert.equal(asks, ASKS_MAX);
  assert.equal(session.phase, 'failed');
  assert.equal(shown(effects).action, 'again');
  assert.deepEqual(verbs(feed({ type: 'open' }, now)), ['show', 'fetch'], 'the viewer may try again');
});

test('a server that waited before it said that there is nothing yet is asked again at once', () => {
  const { session, feed } = begin();
  feed({ type: 'problem', status: 409, code: 'not_playable', retryAfterMs: 1_000, tookMs: 1_003 }, 1_003);
  assert.equal(session.deadline(), 1_003);
  const hurried = begin();
  hurried.feed({ type: 'problem', status: 409, code: 'not_playable', retryAfterMs: 1_000, tookMs: 12 }, 12);
  assert.equal(hurried.session.deadline(), 1_012);
});

test('a renewal that cannot be asked for is retried while playback goes on', () => {
  const { session, feed, wake } = playing();
  wake();
  assert.deepEqual(feed({ type: 'unreachable' }, 600_000), []);
  assert.deepEqual(wake().effects, [{ do: 'fetch', reason: 'refresh' }]);
  assert.equal(session.phase, 'playable');
});

test('a page that slept through its renewal renews before anything else', () => {
  const { session, feed } = playing();
  session.handle({ type: 'awake' }, 599_999);
  assert.equal(session.poll(), undefined);
  assert.deepEqual(feed({ type: 'awake' }, 9_000_000), [{ do: 'fetch', reason: 'refresh' }]);
});

test('a network that came back cuts a wait short', () => {
  const { feed } = begin();
  feed({ type: 'unreachable' }, 0);
  assert.deepEqual(feed({ type: 'awake' }, 10), [{ do: 'fetch', reason: 'open', waitSecs: 1 }]);
});

test('while a video is still encoded the player looks for more renditions', () => {
  const { session, feed, wake } = playing({ playable_state: 'opener_ready' });
  assert.equal(session.deadline(), 1_500);
  wake();
  assert.deepEqual(feed({ type: 'bootstrap', boot: boot({ playable_state: 'opener_ready' }) }, 1_600), []);
  assert.ok(session.deadline() - 1_600 > 1_500, 'each look waits longer than the one before');
  wake();
  assert.deepEqual(verbs(feed({ type: 'bootstrap', boot: boot() }, 4_000)), ['upgrade']);
  assert.equal(session.deadline(), 604_000);
});

test('a player that hears of more looks at once, and not when there is nothing more', () => {
  const growing = playing({ playable_state: 'opener_ready' });
  assert.deepEqual(growing.feed({ type: 'look' }, 100), [{ do: 'fetch', reason: 'refresh' }]);
  assert.deepEqual(growing.feed({ type: 'look' }, 101), [], 'one question at a time');
  assert.deepEqual(verbs(growing.feed({ type: 'bootstrap', boot: boot() }, 200)), ['upgrade']);
  assert.deepEqual(growing.feed({ type: 'look' }, 300), []);
  assert.deepEqual(begin().feed({ type: 'look' }, 0), []);
});

test('answers that come after the end change nothing', () => {
  const { session, feed } = playing();
  feed({ type: 'media-failed', kind: 'missing' }, 1);
  feed({ type: 'problem', status: 404 }, 2);
  for (const input of [{ type: 'bootstrap', boot: boot() }, { type: 'problem', status: 500 }, { type: 'unreachable' }, { type: 'media-failed', kind: 'network' }, { type: 'awake' }]) {
    assert.deepEqual(feed(input, 3), []);
  }
  assert.equal(session.phase, 'gone');
  assert.equal(session.deadline(), null);
});

test('a bootstrap without any address is a failure, not a wait', () => {
  const { session, feed } = begin();
  feed({ type: 'bootstrap', boot: boot({ manifest_url: null, playback_url: null }) }, 0);
  assert.equal(session.phase, 'failed');
});

test('an opener that is a plain file is played as one', () => {
  const [source] = sourcesOf(boot({ playback_url: `${EDGE}/v/a/opener.mp4`, playback_content_type: 'video/mp4' }));
  assert.deepEqual([source.url, source.type], [`${EDGE}/v/a/opener.mp4`, 'video/mp4']);
});

test('fallbacks are bounded', () => {
  const fallbacks = Array.from({ length: 100 }, (_, i) => ({ playback_url: `http://edge-${i}/v/a/master.m3u8` }));
  assert.equal(sourcesOf(boot({ fallbacks })).length, FALLBACKS_MAX + 1);
});

test('a base ends after the asset, or after its path token', () => {
  for (const [url, expect] of [
    ['http://e/v/a/master.m3u8', 'http://e/v/a/'],
    ['http://e:1/v/a/~tok.en/360p/s1.m4s', 'http://e:1/v/a/~tok.en/'],
    ['https://e/deep/v/a/x', 'https://e/deep/v/a/'],
    ['http://e/other', null],
    ['http://e/v/a', null],
  ]) assert.equal(mediaBase(url), expect);
});

test('only requests below a known base are moved', () => {
  const known = ['http://e/v/a/~old/', 'http://e/v/a/~new/'];
  const to = 'http://e/v/a/~new/';
  assert.equal(rebased('http://e/v/a/~old/360p/s1.m4s?x=1', known, to), 'http://e/v/a/~new/360p/s1.m4s?x=1');
  assert.equal(rebased('http://e/v/a/~new/360p/s1.m4s', known, to), 'http://e/v/a/~new/360p/s1.m4s');
  assert.equal(rebased('http://other/v/a/~old/s1.m4s', known, to), 'http://other/v/a/~old/s1.m4s');
  assert.equal(rebased('http://e/poster.jpg', known, to), 'http://e/poster.jpg');
});

test('waits grow to their bound and chance only shortens them', () => {
  const rule = { first: 500, factor: 2, max: 15_000 };
  assert.deepEqual([0, 1, 2, 10, 1e6].map((n) => backoff(rule, n)), [500, 1000, 2000, 15_000, 15_000]);
  assert.equal(backoff(rule, 0, 1), 400);
});

test('sentences begin with a capital and end once', () => {
  for (const [text, expect] of [['no picture', 'No picture.'], ['Done!', 'Done!'], ['', ''], [' x. ', 'X.']]) assert.equal(sentence(text), expect);
});

test('whatever happens, a session that still plays or waits has something due or under way', () => {
  const kinds = [
    { type: 'bootstrap', boot: boot() }, { type: 'bootstrap', boot: boot({ playable_state: 'opener_ready' }) }, { type: 'problem', status: 409, code: 'not_playable' }, { type: 'problem', status: 503 },
    { type: 'unreachable' }, { type: 'media-failed', kind: 'network' }, { type: 'media-failed', kind: 'auth' }, { type: 'media-failed', kind: 'media' }, { type: 'progress' }, { type: 'awake' }, { type: 'problem', status: 401 },
  ];
  for (let seed = 1; seed <= 400; seed += 1) {
    let state = seed * 2_654_435_761 % 4_294_967_296;
    const roll = (n) => ((state = (state * 1_664_525 + 1_013_904_223) % 4_294_967_296), Math.floor((state / 4_294_967_296) * n));
    const session = new PlayerSession(() => roll(100) / 100);
    let now = 0;
    let asking = 0;
    const drain = () => {
      for (let effect = session.poll(); effect; effect = session.poll()) if (effect.do === 'fetch') asking += 1;
    };
    session.handle({ type: 'open' }, now);
    drain();
    for (let step = 0; step < 60 && ['loading', 'preparing', 'playable'].includes(session.phase); step += 1) {
      assert.ok(asking <= 1, 'one question at a time');
      const renewalRefused = session.phase === 'playable';
      assert.ok(asking === 1 || session.deadline() !== null || renewalRefused, `seed ${seed} step ${step}: nothing is due in ${session.phase}`);
      now += roll(20_000);
      const input = kinds[roll(kinds.length)];
      const isAnswer = ['bootstrap', 'problem', 'unreachable'].includes(input.type);
      if (isAnswer && asking === 0) {
        if (session.deadline() !== null) session.wake(Math.max(now, session.deadline()));
      } else {
        if (isAnswer) asking = 0;
        session.handle(input, now);
      }
      drain();
    }
  }
});
