// What a player does next. A machine without a clock, a network or a page: inputs and the time go in, effects come out.
//
//   loading ─▶ preparing ─▶ playable ─▶ gone | denied | failed
//      └───────────┴────────────┴── open (the viewer asks again)
//
// Effects, in the order in which `poll` hands them out:
//   {do: 'fetch', reason, waitSecs}  ask for the bootstrap: open, poll, refresh, recover; the server may wait so long with its answer
//   {do: 'load', source}     begin to play this source
//   {do: 'reload', source}   play this source from the present position
//   {do: 'rebase', source}   later requests go here; what plays goes on undisturbed
//   {do: 'upgrade', source}  more renditions may exist now
//   {do: 'mend'}             ask the media engine to recover from bad media
//   {do: 'stop'}             fetch and show no more media
//   {do: 'show', phase, title, text, action}

/** Bootstraps that are asked for in a row without an answer before the player gives up. */
export const ASKS_MAX = 30;
/** Interrupted playbacks that are recovered in a row without any progress between them. */
export const RECOVERIES_MAX = 8;
/** Times that bad media is mended without any progress between them; then one reload, then the player gives up. */
export const MENDS_MAX = 2;
/** Fallback sources that are kept; what a bootstrap offers beyond them is ignored. */
export const FALLBACKS_MAX = 8;

const POLL = { first: 150, factor: 1.5, max: 5_000 };
/** Seconds that the server may wait until there is something to play: at first no longer than one looks at a blank player. */
const WAIT_SECS = { open: 1, poll: 10 };
/** A server that took so long to say that there is nothing yet has waited, so asking again at once is no hurry. */
const WAITED_MS = 900;
const RETRY = { first: 500, factor: 2, max: 15_000 };
const GROW = { first: 1_500, factor: 1.5, max: 10_000 };
const REFRESH_MIN_MS = 1_000;
// Timers hold 31 bits of milliseconds; a longer wait would fire at once.
const REFRESH_MAX_MS = 2_147_000_000;

/** The wait before attempt `n` (0, 1, 2, …), with up to a fifth taken off by `chance` in [0, 1). */
export function backoff({ first, factor, max }, n, chance = 0) {
  const whole = Math.min(max, first * factor ** Math.min(n, 40));
  return Math.round(whole * (1 - 0.2 * chance));
}

/** The sources that a bootstrap offers, best first. */
export function sourcesOf(boot) {
  const first = {
    url: boot.manifest_url ?? boot.playback_url,
    type: boot.manifest_url ? 'application/vnd.apple.mpegurl' : (boot.playback_content_type ?? ''),
    transport: boot.transport ?? 'cookie',
    edge: boot.edge?.id ?? null,
  };
  // What is playable now may be a plain file, beside a manifest that does not exist yet.
  if (boot.playback_url && boot.playback_content_type && !/mpegurl/i.test(boot.playback_content_type)) {
    first.url = boot.playback_url;
    first.type = boot.playback_content_type;
  }
  const others = (boot.fallbacks ?? []).slice(0, FALLBACKS_MAX).map((fallback) => ({
    url: typeof fallback === 'string' ? fallback : (fallback.manifest_url ?? fallback.playback_url ?? fallback.url),
    type: first.type,
    transport: first.transport,
    edge: typeof fallback === 'string' ? null : (fallback.edge?.id ?? fallback.id ?? null),
  }));
  return [first, ...others].filter((source) => Boolean(source.url));
}

/**
 * The part of a media URL that stays the same for all artifacts of an asset: up to `/v/{asset}/`, with the path token when there
 * is one. Null for a URL of another shape.
 */
export function mediaBase(url) {
  const found = /^(.*?\/v\/[^/?#]+\/(?:~[^/?#]+\/)?)/.exec(url);
  return found ? found[1] : null;
}

/** The URL moved below `base` when it lies below one of `known`, otherwise as it was. */
export function rebased(url, known, base) {
  if (!base) return url;
  const from = mediaBase(url);
  return from && from !== base && known.includes(from) ? base + url.slice(from.length) : url;
}

export class PlayerSession {
  #out = [];
  #deadline = null;
  #due = null;
  #asking = null;
  #asks = 0;
  #polls = 0;
  #grows = 0;
  #recoveries = 0;
  #mends = 0;
  #sources = [];
  #index = 0;
  #boot = null;
  #refreshAt = null;
  #chance;

  /** `chance` answers with numbers in [0, 1); it spreads retries of many players. */
  constructor(chance = Math.random) {
    this.#chance = chance;
    this.phase = 'loading';
  }

  /** The bootstrap that plays now, if any. */
  get boot() {
    return this.#boot;
  }

  /** The source that plays now, if any. */
  get source() {
    return this.#sources[this.#index] ?? null;
  }

  /** When `wake` must be called, in the milliseconds of `now`; null when nothing is due. */
  deadline() {
    return this.#deadline;
  }

  /** The next effect to perform, or undefined. */
  poll() {
    return this.#out.shift();
  }

  wake(now) {
    if (this.#deadline === null || now < this.#deadline) return;
    const due = this.#due;
    this.#deadline = null;
    this.#due = null;
    this.#ask(due);
  }

  handle(input, now) {
    switch (input.type) {
      case 'open':
        return this.#open();
      case 'bootstrap':
        return this.#answered(input.boot, now);
      case 'problem':
        return this.#refused(input, now);
      case 'unreachable':
        return this.#unreachable(now);
      case 'media-failed':
        return this.#mediaFailed(input, now);
      case 'progress':
        this.#recoveries = 0;
        this.#mends = 0;
        return undefined;
      case 'look':
        // Somebody has heard that there is more to play than the last bootstrap knew.
        if (this.phase === 'playable' && this.#boot.playable_state === 'opener_ready') this.#ask('refresh');
        return undefined;
      case 'awake':
        // The page slept or the network came back: what fell due meanwhile is done now, and a pending retry need not wait.
        if (this.#due === 'recover' || this.#due === 'open' || this.#due === 'poll') this.#deadline = now;
        if (this.phase === 'playable' && this.#refreshAt !== null && now >= this.#refreshAt) this.#ask('refresh');
        return this.wake(now);
      case 'unsupported':
        return this.#end('unsupported', 'This browser cannot play this video', input.text, null);
      default:
        throw new TypeError(`unknown input ${input.type}`);
    }
  }

  #open() {
    this.#asks = 0;
    this.#polls = 0;
    this.#recoveries = 0;
    this.#mends = 0;
    this.#boot = null;
    this.#sources = [];
    this.#index = 0;
    this.phase = 'loading';
    this.#show('', '', null);
    this.#ask('open');
  }

  #ask(reason) {
    // One question at a time: the answer to the first serves the second as well.
    if (this.#asking) return;
    this.#asking = reason;
    this.#deadline = null;
    this.#due = null;
    const waitSecs = WAIT_SECS[reason];
    this.#out.push(waitSecs ? { do: 'fetch', reason, waitSecs } : { do: 'fetch', reason });
  }

  #later(due, at) {
    this.#due = due;
    this.#deadline = at;
  }

  #answered(boot, now) {
    const reason = this.#asking;
    this.#asking = null;
    this.#asks = 0;
    // An answer to a question of a session that has ended since changes nothing.
    if (reason === null || this.#over()) return;
    const before = this.#boot;
    const current = this.source;
    this.#boot = boot;
    this.#sources = sourcesOf(boot);
    if (this.#sources.length === 0) {
      this.#end('failed', 'This video cannot be played', 'The server named no address to play it from.', 'again');
      return;
    }
    if (this.phase !== 'playable') {
      this.phase = 'playable';
      this.#index = 0;
      this.#grows = 0;
      this.#show('', '', null);
      this.#out.push({ do: 'load', source: this.source });
    } else if (reason === 'recover') {
      this.#index = 0;
      this.#out.push({ do: 'reload', source: this.source });
    } else {
      // A refresh does not leave an edge that works, unless it is no longer offered.
      const kept = this.#sources.findIndex((source) => origin(source.url) === origin(current?.url));
      this.#index = Math.max(0, kept);
      if (mediaBase(this.source.url) !== mediaBase(current?.url ?? '')) {
        this.#out.push({ do: 'rebase', source: this.source });
      }
      if (before && grown(before, boot)) this.#out.push({ do: 'upgrade', source: this.source });
    }
    this.#schedule(now);
  }

  #schedule(now) {
    const seconds = Number(this.#boot.refresh_after_seconds);
    this.#refreshAt = null;
    let at = null;
    if (Number.isFinite(seconds) && seconds >= 0) {
      at = now + Math.min(REFRESH_MAX_MS, Math.max(REFRESH_MIN_MS, seconds * 1000));
      this.#refreshAt = at;
    }
    if (this.#boot.playable_state === 'opener_ready') {
      // More renditions are on their way; each further look waits longer.
      const look = now + backoff(GROW, this.#grows, this.#chance());
      this.#grows += 1;
      at = at === null ? look : Math.min(at, look);
    }
    if (at !== null) this.#later('refresh', at);
  }

  #refused({ status, code, detail, failure, retryAfterMs, tookMs }, now) {
    const reason = this.#asking;
    this.#asking = null;
    if (reason === null || this.#over()) return;
    if (status === 404 || status === 410) {
      this.#end('gone', 'This video is gone', 'It was deleted, or it never was at this address.', null);
    } else if (status === 401 || status === 403) {
      if (this.phase === 'playable' && reason === 'refresh') {
        // What was granted before still plays until it expires; only then is the viewer disturbed.
        this.#refreshAt = null;
        return;
      }
      this.#end('denied', 'This link does not open the video', 'It has expired or is not valid. Ask whoever sent it for a new one.', 'again');
    } else if (status === 409 && code !== 'not_playable') {
      const text = failure?.detail ?? detail ?? 'It could not be prepared for playback.';
      this.#end('failed', 'This video cannot be played', sentence(text), 'again');
    } else if (status === 409) {
      if (this.phase === 'playable') this.#out.push({ do: 'stop' });
      this.phase = 'preparing';
      this.#asks = 0;
      this.#show('Still being prepared', 'It starts by itself as soon as the first seconds are ready.', null);
      const waited = (tookMs ?? 0) >= WAITED_MS;
      this.#later('poll', now + (waited ? 0 : (retryAfterMs ?? backoff(POLL, this.#polls, this.#chance()))));
      this.#polls += 1;
    } else if (status === 429 || status >= 500) {
      this.#again(reason, now, retryAfterMs);
    } else {
      this.#end('failed', 'This video cannot be played', sentence(detail ?? `The server answered ${status}.`), 'again');
    }
  }

  #unreachable(now) {
    const reason = this.#asking;
    this.#asking = null;
    if (reason === null || this.#over()) return;
    this.#again(reason, now);
  }

  #again(reason, now, waitMs) {
    this.#asks += 1;
    if (this.#asks >= ASKS_MAX) {
      this.#end('failed', 'The server cannot be reached', 'Check the connection, then try again.', 'again');
      return;
    }
    // One lost question is not worth a word; from the second on the viewer should know why nothing moves.
    if (this.#asks === 2 && this.phase !== 'playable') {
      this.#show('Connection lost', 'The server does not answer. Trying again.', 'again', 'offline');
    }
    this.#later(reason, now + Math.max(waitMs ?? 0, backoff(RETRY, this.#asks - 1, this.#chance())));
  }

  #mediaFailed({ kind }, now) {
    // A player that has stopped may still hear from requests it made before.
    if (this.phase !== 'playable') return;
    if (kind === 'media') {
      this.#mends += 1;
      if (this.#mends <= MENDS_MAX) this.#out.push({ do: 'mend' });
      else if (this.#mends === MENDS_MAX + 1) this.#out.push({ do: 'reload', source: this.source });
      else this.#end('failed', 'This video cannot be played', 'Its data could not be decoded here.', 'again');
      return;
    }
    // Already asking, or about to: the answer decides.
    if (this.#asking === 'recover' || this.#due === 'recover') return;
    this.#recoveries += 1;
    if (this.#recoveries > RECOVERIES_MAX) {
      this.#end('failed', 'Playback keeps stopping', 'The video could not be fetched. Check the connection, then try again.', 'again');
      return;
    }
    if (kind === 'network' && this.#index + 1 < this.#sources.length) {
      this.#index += 1;
      this.#out.push({ do: 'reload', source: this.source });
      return;
    }
    // The first answer to a refusal comes at once, because a deletion or an expired grant is best told quickly.
    const wait = this.#recoveries === 1 ? 0 : backoff(RETRY, this.#recoveries - 2, this.#chance());
    if (wait === 0 && !this.#asking) this.#ask('recover');
    else if (this.#asking) this.#asking = 'recover';
    else this.#later('recover', now + wait);
  }

  #over() {
    return this.phase !== 'loading' && this.phase !== 'preparing' && this.phase !== 'playable';
  }

  #end(phase, title, text, action) {
    this.phase = phase;
    this.#deadline = null;
    this.#due = null;
    this.#refreshAt = null;
    this.#out.push({ do: 'stop' });
    this.#show(title, text, action);
  }

  #show(title, text, action, phase = this.phase) {
    this.#out.push({ do: 'show', phase, title, text, action });
  }
}

function origin(url) {
  const found = /^[a-z]+:\/\/[^/]+/i.exec(url ?? '');
  return found ? found[0].toLowerCase() : '';
}

function grown(before, after) {
  return before.playable_state !== after.playable_state || before.playback_content_type !== after.playback_content_type;
}

/** Text that begins with a capital and ends with a stop. */
export function sentence(text) {
  const trimmed = String(text).trim();
  if (trimmed === '') return '';
  const capital = trimmed[0].toUpperCase() + trimmed.slice(1);
  return /[.!?…]$/.test(capital) ? capital : `${capital}.`;
}
