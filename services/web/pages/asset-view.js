// What the dashboard says of an asset. Pure: an asset of the API in, words and shares out.

import { sentence } from './session.js';
import { bytes, clock, plural, span } from './format.js';

/** How an asset stands: `{tone: good|warn|bad|busy|idle, label, detail}`. */
export function statusOf(asset) {
  const { source_state: source, playable_state: playable, failure } = asset;
  if (playable === 'deleted' || source === 'deleted') return { tone: 'idle', label: 'Deleted', detail: '' };
  if (source === 'failed' || playable === 'failed') {
    return { tone: 'bad', label: 'Failed', detail: sentence(failure?.detail ?? failure?.code ?? 'It could not be prepared for playback') };
  }
  if (playable === 'hls_ready') {
    return asset.degraded
      ? { tone: 'warn', label: 'Ready, degraded', detail: 'It plays, though a rendition failed or the source was damaged.' }
      : { tone: 'good', label: 'Ready', detail: '' };
  }
  const { ready, total } = rungsOf(asset);
  const made = total > 0 ? `${ready} of ${plural(total, 'rendition')} ready` : '';
  if (playable === 'opener_ready') return { tone: 'busy', label: 'Playable, encoding', detail: made };
  const labels = { pending: 'Waiting for its file', uploading: 'Uploading', uploaded: 'In the queue', processing: total > 0 ? 'Encoding' : 'Reading the file' };
  return { tone: 'busy', label: labels[source] ?? 'Being prepared', detail: made };
}

/** How many renditions are ready, and each with its state. */
export function rungsOf(asset) {
  const rungs = asset.renditions ?? [];
  return { rungs, ready: rungs.filter((rung) => rung.state === 'ready').length, total: rungs.length };
}

/** Whether a viewer would see a picture now. */
export function isPlayable(asset) {
  return asset.playable_state === 'hls_ready' || asset.playable_state === 'opener_ready';
}

/** Whether nothing more will happen to it by itself. */
export function isSettled(asset) {
  return ['ready', 'failed', 'deleted'].includes(asset.source_state);
}

/** The short facts below a title, unknown ones left out. */
export function factsOf(asset) {
  const size = asset.width && asset.height ? `${asset.width} × ${asset.height}` : null;
  const fps = asset.fps ? `${Math.round(asset.fps * 100) / 100} fps` : null;
  return [asset.duration_ms ? clock(asset.duration_ms / 1000) : null, size, fps, asset.bytes ? bytes(asset.bytes) : null].filter(Boolean);
}

/** What was not standard about an asset's file and what that cost, a sentence each: `{what, cost}`. */
export function reportOf(asset) {
  return (asset.input_report ?? []).map(({ what, cost_ms: cost }) => ({ what: sentence(what), cost: cost == null ? '' : span(cost) }));
}

/** What an event of the log means, in words. */
export function eventWords({ type, data = {} }) {
  const words = {
    'asset.created': 'Created',
    'asset.updated': 'Changed by its owner',
    'asset.deletion_requested': 'Deletion asked for',
    'asset.deleted': 'Deleted',
    'source.upload_started': 'Upload began',
    'source.uploaded': data.bytes ? `Upload complete, ${bytes(Number(data.bytes))}` : 'Upload complete',
    'upload.response_ready': 'Upload answered',
    'media.processing_queued': 'Queued for encoding',
    'media.processing_started': 'A worker took it up',
    'media.planned': data.renditions ? `${plural(Number(data.renditions), 'rendition')} planned` : 'Renditions planned',
    'media.processing_failed': `Failed: ${data.code ?? 'unknown'}`,
    'artifact.generated': 'An artifact was made',
    'rendition.ready': `${data.rendition ?? 'A rendition'} ready`,
    'rendition.failed': `${data.rendition ?? 'A rendition'} failed${data.code ? `: ${data.code}` : ''}`,
    'captions.stored': `Captions in ${data.lang ?? 'a language'} taken`,
    'captions.removed': `Captions in ${data.lang ?? 'a language'} removed`,
    'captions.published': data.languages ? `Captions in ${plural(Number(data.languages), 'language')} can be chosen` : 'Captions can be chosen',
    'download.requested': `A file of ${data.rendition ?? 'a rendition'} asked for`,
    'download.ready': `The file of ${data.rendition ?? 'a rendition'} is there`,
    'download.failed': `The file of ${data.rendition ?? 'a rendition'} could not be made${data.code ? `: ${data.code}` : ''}`,
    'download.removed': `The file of ${data.rendition ?? 'a rendition'} taken away`,
    'edge.warming_attempted': `Asked ${data.edge ?? 'an edge'} to fetch the start`,
    'edge.warming_succeeded': `${data.edge ?? 'An edge'} holds the start`,
    'edge.warming_failed': `${data.edge ?? 'An edge'} could not fetch the start`,
    'edge.purge_attempted': `Asked ${data.edge ?? 'an edge'} to forget it`,
    'edge.purge_succeeded': `${data.edge ?? 'An edge'} forgot it`,
    'edge.purge_failed': `${data.edge ?? 'An edge'} did not confirm forgetting it`,
  };
  if (type === 'playable_state.changed') {
    return { opener_ready: 'The first seconds play', hls_ready: 'All renditions play' }[data.playable_state] ?? `Now ${data.playable_state}`;
  }
  return words[type] ?? type;
}

/** A title made of a file's name: no folder, no extension, no underscores. */
export function titleFrom(fileName) {
  const name = fileName.replace(/^.*[\\/]/, '').replace(/\.[a-z0-9]{1,5}$/i, '');
  return name.replace(/[_\s]+/g, ' ').trim().slice(0, 255) || 'Untitled video';
}

/**
 * Whether an event calls for asking after its asset: it is news about an asset that is shown, or about one newer than all of a list
 * that goes on after `oldest`. Ids are UUIDv7, so their order is the order of creation.
 */
export function isNews(event, shown, oldest) {
  if (event.type.startsWith('edge.')) return false;
  if (shown) return !(Date.parse(event.at) < Date.parse(shown.updated_at));
  if (event.type.startsWith('asset.delet')) return false;
  return oldest === null || event.asset_id > oldest;
}

const TIMING_WORDS = {
  UPLOAD_RESPONSE: 'Upload answered',
  UPLOAD_TO_OPENER_PLAYABLE: 'Upload to first picture',
  UPLOAD_TO_HLS_READY: 'Upload to all renditions',
  PLAYBACK_BOOTSTRAP: 'Bootstrap',
  EDGE_TTFB_MISS: 'First byte, cold',
  EDGE_TTFB_HIT: 'First byte, cached',
  EDGE_TTFB_WARMED_HIT: 'First byte, warmed',
  TELEMETRY_VISIBILITY: 'Play to its record',
};

/** What a gate report says: its verdict, why, how many of its steps passed, and its median timings. Null when there is none. */
export function gateOf(report) {
  if (!report || typeof report !== 'object') return null;
  const steps = report.steps ?? [];
  // In the order in which a viewer meets them; what this page does not know comes last.
  const order = Object.keys(TIMING_WORDS);
  const place = (key) => (order.includes(key) ? order.indexOf(key) : order.length);
  const measured = Object.entries(report.timings ?? {}).sort(([a], [b]) => place(a) - place(b));
  const timings = measured.map(([key, timing]) => ({
    name: TIMING_WORDS[key] ?? key.toLowerCase().replaceAll('_', ' '),
    ms: timing.p50_ms,
    verdict: timing.verdict,
  }));
  return {
    verdict: ['pass', 'warn', 'fail'].includes(report.status) ? report.status : 'unknown',
    reasons: report.reasons ?? [],
    at: report.started_at ? Date.parse(report.started_at) : null,
    target: report.target ?? '',
    steps: steps.length,
    passed: steps.filter((step) => step.verdict === 'pass').length,
    timings,
  };
}
