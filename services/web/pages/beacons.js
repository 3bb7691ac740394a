// What a player tells of its view: when it was to play, when the picture moved, how long it moved and stood still. A machine without
// a clock, a network or a page, like the session: moments and the time go in, batches come out.
//
// It is silent when nobody listens: what could not be sent is tried once more with the next batch, and is forgotten past a bound.

/** Events that wait to be sent; of more, the oldest are forgotten. */
export const WAITING_MAX = 100;
/** Events of one batch. */
export const BATCH_MAX = 50;
/** How often a player that plays says so. */
export const BEAT_MS = 10_000;
/** The longest span that one event tells of; a page that slept did not play. */
const SPAN_MAX = 60_000;

export class Beacons {
  #ticket = null;
  #from = 0;
  #seq = 0;
  #waiting = [];
  #intentAt = null;
  #moved = false;
  #over = false;
  #state = 'idle';
  #since = 0;
  #playing = 0;
  #stalled = 0;
  #rung = null;
  #edge = null;

  /** A view begins under `ticket`; a ticket that a running view is given later is not needed. */
  open(ticket, now) {
    if (this.#ticket || !ticket) return;
    this.#ticket = ticket;
    this.#from = now;
    this.#since = now;
    this.#tell('load', now);
  }

  /** Whether there is a view to tell of. */
  get isOpen() {
    return this.#ticket !== null && !this.#over;
  }

  /** The viewer, or the page for them, wants it to play. */
  intent(now) {
    if (!this.isOpen || this.#intentAt !== null) return;
    this.#intentAt = now;
    this.#tell('play_intent', now);
  }

  /** What one sees changed: the state of the player, `playing`, `buffering` or another. */
  state(state, now) {
    if (!this.isOpen) return;
    this.#span(now);
    const before = this.#state;
    this.#state = state;
    if (state === 'playing' && !this.#moved) {
      this.#moved = true;
      this.intent(now);
      this.#tell('first_frame', now, { startup_ms: Math.min(600_000, Math.round(now - this.#intentAt)) });
    } else if (state === 'playing' && before === 'buffering' && this.#stalled > 0) {
      this.#tell('stall', now);
    } else if (state === 'failed') {
      this.#tell('error', now);
    }
  }

  /** A seek began: what follows until it plays again is no stall. */
  seek(now) {
    this.#span(now);
    this.#state = 'seeking';
  }

  /** Which rendition is fetched, and from which edge. */
  source(rung, edge, now) {
    if (!this.isOpen || (rung === this.#rung && edge === this.#edge)) return;
    this.#span(now);
    // What was played so far was played of the one before.
    if (this.#rung !== null && this.#moved) this.#tell('rung_change', now);
    this.#rung = rung;
    this.#edge = edge;
  }

  /** Tells that it goes on; to be called every `BEAT_MS`. */
  beat(now) {
    if (!this.isOpen) return;
    this.#span(now);
    if (this.#playing > 0 || this.#stalled > 0) this.#tell('heartbeat', now);
  }

  /** The viewer left, or the video is over. */
  end(now) {
    if (!this.isOpen) return;
    this.#span(now);
    this.#tell('end', now);
    this.#over = true;
  }

  /** The next batch to send as text, or null; what is taken is not waiting any more. */
  take() {
    if (!this.#ticket || this.#waiting.length === 0) return null;
    const events = this.#waiting.splice(0, BATCH_MAX);
    return JSON.stringify({ ticket: this.#ticket, events });
  }

  /** Puts a batch back that could not be sent. */
  giveBack(text) {
    this.#waiting.unshift(...JSON.parse(text).events);
    this.#bound();
  }

  #span(now) {
    const span = Math.max(0, Math.min(SPAN_MAX, now - this.#since));
    this.#since = now;
    if (!this.#moved) return;
    if (this.#state === 'playing') this.#playing = Math.min(SPAN_MAX, this.#playing + span);
    if (this.#state === 'buffering') this.#stalled = Math.min(SPAN_MAX, this.#stalled + span);
  }

  #tell(phase, now, more = {}) {
    this.#seq += 1;
    const event = { seq: this.#seq, at_ms: Math.max(0, Math.round(now - this.#from)), phase, ...more };
    if (this.#playing >= 1) event.playing_ms = Math.round(this.#playing);
    if (this.#stalled >= 1) event.stalled_ms = Math.round(this.#stalled);
    if (this.#rung) event.rung = this.#rung;
    if (this.#edge) event.edge = this.#edge;
    this.#playing = 0;
    this.#stalled = 0;
    this.#waiting.push(event);
    this.#bound();
  }

  #bound() {
    if (this.#waiting.length > WAITING_MAX) this.#waiting.splice(0, this.#waiting.length - WAITING_MAX);
  }
}

/** The rendition that a media URL belongs to, or null. */
export function rungOf(url) {
  return /\/hls\/([^/]+)\/(?:segment_|init_|index\.m3u8)/.exec(url ?? '')?.[1] ?? null;
}
