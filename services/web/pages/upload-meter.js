// How fast an upload goes and when it will end. Pure: it is told how much has left and when.

/** Only what happened within this time counts for the speed. */
const WINDOW_MS = 4_000;
/** Reports that come faster than this replace each other, so that the window holds a bounded number of samples. */
const STEP_MS = 50;
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
    const samples = this.#samples;
    const sample = { at: now, sent: Math.min(sentBytes, this.#total) };
    const before = samples.at(-2);
    if (before && now - before.at < STEP_MS) samples[samples.length - 1] = sample;
    else samples.push(sample);
    // One sample from before the window stays, so that a stalled upload shows a falling speed rather than none.
    while (samples.length > 2 && samples[1].at < now - WINDOW_MS) samples.shift();
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
