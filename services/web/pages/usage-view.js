// What was delivered in the last days, out of the rows of `GET /v1/usage`. Pure.

import { count } from './format.js';

export const DAYS = 30;

const DAY_MS = 86_400_000;
/** Lowest first, as the API names them; one that is not known here comes last. */
const TIERS = ['audio_only', '720p', '1080p', '2k', '4k'];
const NAMES = { audio_only: 'Sound only', '720p': 'Up to 720p', '1080p': 'Up to 1080p', '2k': 'Up to 2K', '4k': 'Up to 4K' };

/** The first instant that counts at `now`: the start of a day in UTC. */
export function usageFrom(now) {
  return Math.floor(now / DAY_MS) * DAY_MS - (DAYS - 1) * DAY_MS;
}

/** What `rows` come to at `now`: each day, each tier that there is something of, all of it, and the hours that lack records. */
export function usageOf(rows, now) {
  const from = usageFrom(now);
  const days = Array.from({ length: DAYS }, (_, n) => ({ day: new Date(from + n * DAY_MS).toISOString().slice(0, 10), total: 0, byTier: {} }));
  const byTier = {};
  const lacking = new Set();
  let total = 0;
  for (const { hour, tier, delivered_ms: delivered, complete } of rows) {
    const day = days[Math.floor((Date.parse(hour) - from) / DAY_MS)];
    if (!day) continue;
    day.total += delivered;
    day.byTier[tier] = (day.byTier[tier] ?? 0) + delivered;
    byTier[tier] = (byTier[tier] ?? 0) + delivered;
    total += delivered;
    if (!complete) lacking.add(hour);
  }
  const place = (tier) => (TIERS.includes(tier) ? TIERS.indexOf(tier) : TIERS.length);
  const tiers = Object.keys(byTier).sort((one, other) => place(one) - place(other) || (one < other ? -1 : 1));
  return { days, tiers: tiers.map((tier) => ({ tier, name: NAMES[tier] ?? tier, delivered: byTier[tier] })), total, lacking: lacking.size };
}

/** Milliseconds as minutes: 0.4, 12, 1 234. Something is never nothing. */
export function minutes(milliseconds) {
  if (milliseconds <= 0) return '0';
  if (milliseconds < 6_000) return '< 0.1';
  const amount = milliseconds / 60_000;
  return amount < 9.95 ? amount.toFixed(1) : count(amount);
}
