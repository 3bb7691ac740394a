// How fast an upload goes and when it will end. Pure: it is told how much has left and when.

/** Only what happened within this time counts for the speed. */
const WINDOW_MS = 4_000;
/** Samples that are kept; a browser reports about twenty a second. */
const SAMPLES_MAX = 128;
/** A shorter history says nothing yet. */
const SETTLED_MS = 700;

export class UploadMeter {
  #total;
  #samples;

  constructor(totalBytes, now) {
    this.#total = totalBytes;
    this.#samples = [{ at: now, sent: 0 }];
  }

  record(sentBytes, now) {
    this.#samples.push({ at: now, sent: Math.min(sentBytes, this.#total) });
    const keepFrom = now - WINDOW_MS;
    // One sample from before the window stays, so that a stalled upload shows a falling speed rather than none.
    while (this.#samples.length > 2 && (this.#samples[1].at < keepFrom || this.#samples.length > SAMPLES_MAX)) this.#samples.shift();
  }

  get sentBytes() {
    return this.#samples.at(-1).sent;
  }

  /** Bytes per second at `now`; null while that is not known. */
  speed(now) {
    const first = this.#samples[0];
    const spent = now - first.at;
    return spent < SETTLED_MS ? null : ((this.sentBytes - first.sent) * 1000) / spent;
  }

  /** Milliseconds left at `now`; null while nobody can tell. */
  left(now) {
    const speed = this.speed(now);
    return speed === null || speed <= 0 ? null : ((this.#total - this.sentBytes) / speed) * 1000;
  }
}
