// A stand-in for Rend: the public API, the pages and one edge, over an asset list in memory. For tests and for working on the pages.
//
//   node test/mock-server.mjs        serves with a few assets in different states, and prints where
//
// It refuses what Rend refuses (a missing key, a missing or expired grant, a deleted asset) and sends the same content security policy.

import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { makeLadder } from './mock-ladder.mjs';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const PAGES = path.join(HERE, '..', 'pages');
const HLS = path.join(HERE, '..', 'node_modules', 'hls.js', 'dist');
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8', '.svg': 'image/svg+xml', '.m3u8': 'application/vnd.apple.mpegurl', '.m4s': 'video/mp4', '.mp4': 'video/mp4', '.vtt': 'text/vtt', '.jpg': 'image/jpeg' };

export const MOCK_KEY = 'rend_test_mockmockmockmockmockmockmock';

/**
 * Starts the API and two edges on free ports.
 * `ttlSeconds`, `refreshAfterSeconds`: of a grant · `hlsJs`: whether the build has it (`classic`: as a classic script) · `encodeMs`: from upload to ready ·
 * `seconds`: of the clip that every asset plays · `folder`: where the ladder lies or is made.
 */
export async function startMock(options = {}) {
  const mock = new Mock({ ttlSeconds: 900, refreshAfterSeconds: 600, hlsJs: true, encodeMs: 3_000, seconds: 12, fallback: false, port: 0, ...options });
  await mock.start();
  return mock;
}

class Mock {
  #settings;
  #servers = [];
  #assets = new Map();
  #events = [];
  #followers = new Set();
  #timers = new Set();
  #bytesServed = new Map();
  #uploads = new Map();
  #folder = null;
  #startedAt = Date.now();
  /** Set to a number and the connection of an upload that has so many bytes breaks, once. */
  breakUploadAt = null;
  /** Set to true and the first edge drops every connection. */
  edgeDown = false;
  /** Requests that the edges saw: {edge, path, status}. */
  requests = [];
  /** Bootstraps that were answered. */
  bootstraps = 0;
  /** The rows of `GET /v1/usage`, newest first. */
  usage = [];
  /** What `GET /v1/fleet` says of the gate. */
  gate = null;

  constructor(settings) {
    this.#settings = settings;
  }

  get settings() {
    return this.#settings;
  }

  async start() {
    const { seconds, port } = this.#settings;
    this.#folder = await mkdtemp(path.join(tmpdir(), 'rend-mock-'));
    this.ladder = this.#settings.ladder ?? (await makeLadder(this.#folder, seconds));
    this.url = await this.#listen((req, res) => this.#api(req, res), port);
    this.edges = [await this.#listen((req, res) => this.#edge(0, req, res), 0), await this.#listen((req, res) => this.#edge(1, req, res), 0)];
  }

  async close() {
    for (const timer of this.#timers) clearTimeout(timer);
    for (const follower of this.#followers) follower.end();
    await Promise.all(
      this.#servers.map((server) => {
        server.closeAllConnections();
        return new Promise((done) => server.close(done));
      }),
    );
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** An asset that exists already; `state` is ready, opener_ready, processing or failed. */
  add(title, state = 'ready', more = {}) {
    const asset = this.#create(title, more.playback_policy ?? 'public', 4_288_306);
    asset.made = null;
    if (state === 'ready') this.#finish(asset, false);
    if (state === 'opener_ready' || state === 'processing') {
      this.#plan(asset);
      asset.source_state = 'processing';
      if (state === 'opener_ready') {
        asset.playable_state = 'opener_ready';
        asset.made = more.made ?? 3;
      }
    }
    if (state === 'failed') this.#fail(asset, 'not_a_video', 'The file holds no picture that a decoder knows.');
    Object.assign(asset, more);
    return asset;
  }

  assets() {
    return this.#assets.values();
  }

  asset(id) {
    return this.#assets.get(id);
  }

  /** One more segment of a growing asset, or its end. */
  grow(id, made) {
    const asset = this.#assets.get(id);
    if (made === null || made >= this.ladder.segments) this.#finish(asset);
    else asset.made = made;
  }

  delete(id) {
    const asset = this.#assets.get(id);
    Object.assign(asset, { source_state: 'deleted', playable_state: 'deleted' });
    this.#tell(asset, 'asset.deletion_requested');
    this.#tell(asset, 'asset.deleted');
  }

  /** Every grant given so far stops being accepted. */
  forgetGrants() {
    this.#startedAt = Date.now();
  }

  async #listen(answer, port) {
    const server = http.createServer((req, res) => {
      Promise.resolve(answer(req, res)).catch((problem) => {
        if (!res.headersSent) this.#problem(res, 500, 'internal', String(problem));
        else res.destroy();
      });
    });
    this.#servers.push(server);
    await new Promise((done) => server.listen(port, '127.0.0.1', done));
    return `http://127.0.0.1:${server.address().port}`;
  }

  // ---- the API -------------------------------------------------------------------------------------------------------------------

  /** What players told. */
  told = [];

  async #api(req, res) {
    const url = new URL(req.url, this.url);
    const parts = url.pathname.split('/').filter(Boolean);
    if (url.pathname === '/') return res.writeHead(307, { location: '/dashboard' }).end();
    if (url.pathname === '/dashboard') return this.#page(res, 'dashboard.html');
    if (parts[0] === 'watch' || parts[0] === 'embed') return this.#page(res, `${parts[0]}.html`);
    if (parts[0] === 'assets') return this.#page(res, parts[1]);
    if (parts[0] === 'api' && parts[1] === 'player') return this.#bootstrap(res, parts[2], url);
    if (url.pathname === '/v1/player/events') {
      const { ticket, events } = JSON.parse(await text(req));
      this.told.push(...events.map((event) => ({ ticket, ...event })));
      return this.#json(res, 200, { taken: events.length, rejected: [] });
    }
    if (parts[0] === 'v1') {
      if (req.headers.authorization !== `Bearer ${MOCK_KEY}`) return this.#problem(res, 401, 'key_unknown', 'this key is not known here');
      return this.#v1(req, res, parts.slice(1), url);
    }
    return this.#problem(res, 404, 'not_found', 'no such route');
  }

  async #v1(req, res, [noun, id, verb, kind], url) {
    const asset = id ? this.#assets.get(id) : null;
    const { method } = req;
    if (noun === 'videos' && method === 'POST') return this.#upload(req, res, url);
    if (noun === 'uploads') return this.#piece(req, res, id);
    if (noun === 'events') return this.#follow(req, res, url);
    if (noun === 'fleet') return this.#json(res, 200, this.#fleet());
    if (noun === 'usage') return this.#usagePage(res, url);
    if (noun === 'assets' && !id) {
      const limit = Math.min(100, Number(url.searchParams.get('limit')) || 20);
      const cursor = url.searchParams.get('cursor');
      const all = [...this.#assets.values()].filter((a) => a.source_state !== 'deleted').sort((a, b) => (a.id < b.id ? 1 : -1));
      const from = cursor ? all.findIndex((a) => a.id < cursor) : 0;
      const page = from < 0 ? [] : all.slice(from, from + limit);
      const more = from >= 0 && from + limit < all.length;
      return this.#json(res, 200, { data: page.map((a) => this.#wire(a)), next_cursor: more ? page.at(-1).id : null });
    }
    if (noun === 'assets' && (!asset || (asset.source_state === 'deleted' && method !== 'DELETE'))) {
      return this.#problem(res, 404, 'asset_not_found', 'there is no such asset');
    }
    if (noun === 'assets' && !verb && method === 'GET') return this.#json(res, 200, { ...this.#wire(asset), jobs: asset.jobs });
    if (noun === 'assets' && !verb && method === 'PATCH') {
      Object.assign(asset, JSON.parse(await text(req)));
      this.#tell(asset, 'asset.updated');
      return this.#json(res, 200, this.#wire(asset));
    }
    if (noun === 'assets' && !verb && method === 'DELETE') {
      this.delete(id);
      return this.#json(res, 202, this.#wire(asset));
    }
    if (verb === 'retry' && method === 'POST') {
      Object.assign(asset, { failure: null, source_state: 'uploaded', playable_state: 'not_playable', jobs: [] });
      this.#tell(asset, 'media.processing_queued');
      this.#process(asset);
      return this.#json(res, 202, this.#wire(asset));
    }
    if (verb === 'captions' && method === 'PUT') {
      const body = await text(req);
      const lang = kind;
      if (!/-->/.test(body)) return this.#problem(res, 422, 'invalid_field', 'body: line 1: this is neither WebVTT nor SubRip');
      const row = { lang, label: lang, kind: 'subtitles', default: false, origin: 'given', cues: body.split('-->').length - 1, state: 'published', text: body.replace(/^WEBVTT\n\n/, '') };
      asset.captions = [...(asset.captions ?? []).filter((known) => known.lang !== lang), row];
      this.#tell(asset, 'captions.stored', { lang });
      return this.#json(res, 201, row);
    }
    if (verb === 'captions' && method === 'DELETE') {
      asset.captions = (asset.captions ?? []).filter((known) => known.lang !== kind);
      this.#tell(asset, 'captions.removed', { lang: kind });
      return res.writeHead(204).end();
    }
    if (verb === 'downloads') return this.#download(req, res, asset, kind);
    if (verb === 'events') return this.#json(res, 200, { data: this.#events.filter((e) => e.asset_id === id), next_cursor: null });
    if (verb === 'playback') {
      const token = this.#grant(id, 'bt', 300);
      return this.#json(res, 200, { asset_id: id, bootstrap_token: token, expires_at: new Date(Date.now() + 300_000).toISOString(), player_url: `/watch/${id}?token=${token}`, playback_url: `${this.edges[0]}/v/${id}/~${this.#grant(id, 'pb', 300)}/master.m3u8` });
    }
    if (verb === 'analytics' && kind === 'playback') {
      const bytes = this.#bytesServed.get(id) ?? 0;
      const requests = this.requests.filter((r) => r.path.includes(id)).length;
      return this.#json(res, 200, { asset_id: id, window_seconds: 86_400, requests, bytes, sessions: Math.min(requests, 3), by_cache: { HIT: Math.floor(requests * 0.9), MISS: Math.ceil(requests * 0.1) }, by_status: { 200: requests }, first_seen: null, last_seen: null });
    }
    return this.#problem(res, 404, 'not_found', 'no such route');
  }

  /** A file that is asked for is there as soon as it is asked for again, and the event says so. */
  async #download(req, res, asset, rung) {
    asset.downloads ??= [];
    if (req.method === 'DELETE') {
      asset.downloads = asset.downloads.filter((row) => row.rung !== rung);
      this.#tell(asset, 'download.removed', { rendition: rung });
      return res.writeHead(204).end();
    }
    if (req.method === 'POST') {
      const { rung: wanted } = JSON.parse(await text(req));
      const row = { rung: wanted, state: 'pending', bytes: null, error: null, url: null, expires_at: null };
      asset.downloads.push(row);
      this.#tell(asset, 'download.requested', { rendition: wanted });
      setTimeout(() => {
        const url = `${this.edges[0]}/v/${asset.id}/~${this.#grant(asset.id, 'pb', 300)}/downloads/${wanted}.mp4`;
        Object.assign(row, { state: 'ready', bytes: 12_345_678, url, expires_at: new Date(Date.now() + 300_000).toISOString() });
        this.#tell(asset, 'download.ready', { rendition: wanted });
      }, 50);
      return this.#json(res, 202, row);
    }
    return this.#json(res, 200, { data: asset.downloads, next_cursor: null });
  }

  async #upload(req, res, url) {
    const length = Number(req.headers['content-length']);
    if (!(length > 0)) return this.#problem(res, 422, 'empty_body', 'the body is empty; send the file as the body');
    if (length > 512 * 1024 * 1024) return this.#problem(res, 413, 'too_large', 'the file is larger than 512 MiB');
    const hash = createHash('sha256');
    let first = null;
    let received = 0;
    for await (const chunk of req) {
      first ??= chunk;
      received += chunk.length;
      hash.update(chunk);
      if (this.#settings.slowUpload) await new Promise((done) => setTimeout(done, 20));
    }
    if (received < length) return;
    const asset = this.#create(url.searchParams.get('title') || 'Untitled', url.searchParams.get('policy') ?? 'signed', received);
    asset.sha256 = hash.digest('hex');
    this.#tell(asset, 'asset.created');
    this.#tell(asset, 'source.uploaded', { bytes: String(received) });
    this.#tell(asset, 'media.processing_queued');
    this.#process(asset, first.includes('ftyp'));
    this.#json(res, 201, this.#wire(asset));
  }

  /** Uploads in pieces: what came before a connection broke is kept, as Rend keeps it. */
  async #piece(req, res, id) {
    const { method, headers } = req;
    const answer = (status, more = {}) => res.writeHead(status, { 'tus-resumable': '1.0.0', 'cache-control': 'no-store', ...more }).end();
    if (headers['tus-resumable'] !== '1.0.0') return this.#problem(res, 412, 'tus_version', 'send the header `Tus-Resumable: 1.0.0`');
    if (!id && method === 'POST') {
      const key = headers['idempotency-key'];
      let upload = [...this.#uploads.values()].find((other) => key && other.key === key);
      if (!upload) {
        const words = Object.fromEntries((headers['upload-metadata'] ?? '').split(',').map((pair) => pair.trim().split(' ')).map(([name, value]) => [name, Buffer.from(value ?? '', 'base64').toString()]));
        const asset = this.#create(words.title || words.filename || 'Untitled', words.policy ?? 'signed', Number(headers['upload-length']));
        asset.source_state = 'uploading';
        this.#tell(asset, 'asset.created');
        upload = { id: uuid7(), key, asset, size: Number(headers['upload-length']), received: 0, turn: 0, head: Buffer.alloc(0), hash: createHash('sha256') };
        this.#uploads.set(upload.id, upload);
      }
      return answer(201, { location: `/v1/uploads/${upload.id}`, 'rend-asset-id': upload.asset.id });
    }
    const upload = this.#uploads.get(id);
    if (!upload) return this.#problem(res, 404, 'not_found', 'there is no such upload');
    const stands = () => ({ 'upload-offset': upload.received, 'upload-length': upload.size, 'rend-asset-id': upload.asset.id });
    if (method === 'HEAD') return answer(200, stands());
    if (method === 'DELETE') {
      this.#uploads.delete(id);
      this.delete(upload.asset.id);
      return answer(204);
    }
    // Whoever sends now ends whoever sent before.
    upload.turn += 1;
    const { turn } = upload;
    if (Number(headers['upload-offset']) !== upload.received) return this.#problem(res, 409, 'offset_mismatch', `${upload.received} bytes are stored`);
    try {
      for await (const chunk of req) {
        if (turn !== upload.turn) return res.destroy();
        if (upload.head.length < 64) upload.head = Buffer.concat([upload.head, chunk]).subarray(0, 64);
        upload.received += chunk.length;
        upload.hash.update(chunk);
        if (this.breakUploadAt !== null && upload.received >= this.breakUploadAt) {
          this.breakUploadAt = null;
          return res.destroy();
        }
        if (this.#settings.slowUpload) await new Promise((done) => setTimeout(done, 20));
      }
    } catch {
      return undefined;
    }
    if (upload.received === upload.size) {
      const { asset } = upload;
      Object.assign(asset, { source_state: 'uploaded', sha256: upload.hash.copy().digest('hex') });
      this.#tell(asset, 'source.uploaded', { bytes: String(upload.size) });
      this.#tell(asset, 'media.processing_queued');
      this.#process(asset, upload.head.includes('ftyp'));
    }
    return answer(204, stands());
  }

  #process(asset, good = true) {
    const { encodeMs } = this.#settings;
    const at = (share, act) => {
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        if (asset.source_state !== 'deleted') act();
      }, encodeMs * share);
      this.#timers.add(timer);
    };
    at(0.1, () => {
      asset.source_state = 'processing';
      this.#tell(asset, 'media.processing_started');
    });
    if (!good) {
      at(0.3, () => this.#fail(asset, 'not_a_video', 'The file is not a video that Rend can read.'));
      return;
    }
    at(0.2, () => {
      this.#plan(asset);
      this.#tell(asset, 'media.planned', { renditions: String(asset.renditions.length) });
    });
    at(0.3, () => {
      asset.playable_state = 'opener_ready';
      asset.made = 2;
      this.#tell(asset, 'playable_state.changed', { playable_state: 'opener_ready' });
    });
    for (let made = 3; made < this.ladder.segments; made += 1) {
      at(0.3 + (0.7 * made) / this.ladder.segments, () => (asset.made = Math.max(asset.made, made)));
    }
    asset.renditions.slice(0, -1).forEach((_, i) => at(0.5 + 0.1 * i, () => this.#rungReady(asset, i)));
    at(0.7, () => this.#rungReady(asset, 0));
    at(1, () => {
      this.#rungReady(asset, 1);
      this.#finish(asset);
    });
  }

  #rungReady(asset, index) {
    asset.renditions[index].state = 'ready';
    asset.renditions[index].bandwidth = [264_000, 764_000][index];
    this.#tell(asset, 'rendition.ready', { rendition: asset.renditions[index].name });
  }

  #plan(asset) {
    Object.assign(asset, { duration_ms: this.#settings.seconds * 1000, width: 640, height: 360, fps: 24, video_codec: 'h264', audio_codec: 'aac' });
    asset.renditions = this.ladder.rungs.map((name) => ({ name, state: 'planned', bandwidth: null, error: null }));
  }

  #finish(asset, told = true) {
    if (asset.renditions.length === 0) this.#plan(asset);
    asset.renditions.forEach((rung, i) => Object.assign(rung, { state: 'ready', bandwidth: [264_000, 764_000][i] }));
    Object.assign(asset, { source_state: 'ready', playable_state: 'hls_ready', made: null, jobs: [{ kind: 'ladder', state: 'succeeded', attempt: 1, attempts_max: 3, next_run_at: null, error: null }] });
    if (told) this.#tell(asset, 'playable_state.changed', { playable_state: 'hls_ready' });
  }

  #fail(asset, code, detail) {
    const stderr = "[mov,mp4,m4a,3gp,3g2,mj2 @ 0x55d0] moov atom not found\n[in#0] Error opening input: Invalid data found when processing input";
    Object.assign(asset, { source_state: 'failed', playable_state: 'failed', failure: { code, detail }, jobs: [{ kind: 'probe', state: 'failed', attempt: 1, attempts_max: 3, next_run_at: null, error: { class: 'permanent', code, detail, stderr_tail: stderr } }] });
    this.#tell(asset, 'media.processing_failed', { code });
  }

  #create(title, policy, bytes) {
    const now = new Date().toISOString();
    const asset = { id: uuid7(), title, external_id: null, metadata: {}, playback_policy: policy, source_state: 'uploaded', playable_state: 'not_playable', degraded: false, failure: null, bytes, sha256: null, duration_ms: null, width: null, height: null, fps: null, video_codec: null, audio_codec: null, input_report: [], renditions: [], created_at: now, updated_at: now, jobs: [], made: 0 };
    this.#assets.set(asset.id, asset);
    return asset;
  }

  #wire({ jobs, made, ...asset }) {
    return { ...asset, playback_url: `${this.url}/watch/${asset.id}` };
  }

  #tell(asset, type, data = {}) {
    asset.updated_at = new Date().toISOString();
    const seq = this.#events.length + 1;
    const event = { seq, asset_seq: this.#events.filter((e) => e.asset_id === asset.id).length + 1, at: asset.updated_at, asset_id: asset.id, type, data };
    this.#events.push(event);
    for (const follower of this.#followers) follower.write(frame(event));
  }

  #follow(req, res, url) {
    const after = Number(req.headers['last-event-id'] ?? url.searchParams.get('after') ?? this.#events.length);
    res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    res.write(': hello\n\n');
    for (const event of this.#events.slice(after)) res.write(frame(event));
    this.#followers.add(res);
    res.on('close', () => this.#followers.delete(res));
  }

  /** Ends every open event stream, as a restart would. */
  dropFollowers() {
    for (const follower of this.#followers) follower.destroy();
  }

  get followers() {
    return this.#followers.size;
  }

  #bootstrap(res, id, url) {
    const asset = this.#assets.get(id);
    if (!asset || asset.source_state === 'deleted') return this.#problem(res, 404, 'asset_not_found', 'there is no such video');
    if (asset.playback_policy === 'signed' && !this.#granted(id, 'bt', url.searchParams.get('token'))) {
      return this.#problem(res, 401, 'playback_denied', 'this video needs a valid token');
    }
    if (asset.source_state === 'failed') return this.#problem(res, 409, 'unavailable', 'this video cannot be played', { failure: asset.failure });
    if (asset.playable_state === 'not_playable') {
      return this.#problem(res, 409, 'not_playable', 'this video is still being prepared', { source_state: asset.source_state, playable_state: asset.playable_state });
    }
    this.bootstraps += 1;
    const { ttlSeconds: ttl, refreshAfterSeconds } = this.#settings;
    const grant = this.#grant(id, 'pb', ttl);
    const byPath = url.searchParams.get('transport') === 'path';
    const base = (edge) => `${this.edges[edge]}/v/${id}/${byPath ? `~${grant}/` : ''}`;
    const body = {
      asset_id: id, source_state: asset.source_state, playable_state: asset.playable_state, status: 'ready', title: asset.title, duration_ms: asset.duration_ms,
      playback_url: `${base(0)}master.m3u8`, playback_content_type: 'application/vnd.apple.mpegurl', manifest_url: `${base(0)}master.m3u8`, opener_url: null, poster_url: `${base(0)}poster.jpg`,
      storyboard_url: `${base(0)}thumbs.vtt`, captions: (asset.captions ?? []).map(({ text, ...row }) => row), sounds: [],
      transport: byPath ? 'path' : 'cookie', transport_reason: byPath ? 'asked' : 'same_site', expires_at: new Date(Date.now() + ttl * 1000).toISOString(), ttl_seconds: ttl,
      refresh_after_seconds: refreshAfterSeconds, prefetch_hints: [], edge: { id: 'mock-edge-1', region: 'local' },
      fallbacks: this.#settings.fallback ? [{ edge: { id: 'mock-edge-2', region: 'local' }, playback_url: `${base(1)}master.m3u8` }] : [], telemetry: { ticket: `view-of-${id}`, url: '/v1/player/events' },
    };
    const cookie = byPath ? {} : { 'set-cookie': `rend_pb=${grant}; Path=/v/${id}/; Max-Age=${ttl}; HttpOnly; SameSite=Lax` };
    return this.#json(res, 200, body, { 'cache-control': 'no-store', ...cookie });
  }

  // A grant of the mock says what it opens and until when; that it can be forged is of no concern here.
  #grant(id, kind, ttl) {
    return Buffer.from(JSON.stringify([kind, id, Date.now(), ttl])).toString('base64url');
  }

  #granted(id, kind, grant) {
    try {
      const [is, whose, at, ttl] = JSON.parse(Buffer.from(grant, 'base64url').toString());
      return is === kind && whose === id && at >= this.#startedAt - 1 && Date.now() < at + ttl * 1000;
    } catch {
      return false;
    }
  }

  /** Three rows a page, so that there is more than one. */
  #usagePage(res, url) {
    const from = Number(url.searchParams.get('cursor') ?? 0);
    const rows = this.usage.filter((row) => row.hour >= url.searchParams.get('from'));
    return this.#json(res, 200, { data: rows.slice(from, from + 3), next_cursor: rows.length > from + 3 ? String(from + 3) : null });
  }

  #fleet() {
    const beat = { version: '0.1.0', heartbeat_age_ms: Date.now() % 15_000, live: true, disk_bytes_free: 812e9, fills: 0, dropped_events: 0, purge_seen: 4 };
    return {
      edges: [
        { id: 'mock-edge-1', region: 'local', state: 'active', public_url: this.edges[0], cache: { bytes_max: 10 * 2 ** 30, bytes_used: 3.4e9, entries: 1284 }, spool_events: 0, ...beat },
        { id: 'mock-edge-2', region: 'amsterdam', state: 'draining', public_url: this.edges[1], cache: { bytes_max: 10 * 2 ** 30, bytes_used: 9.9e9, entries: 5120 }, spool_events: 212, ...beat, live: false, heartbeat_age_ms: 184_000 },
      ],
      purge_head: 4,
      gate: this.gate,
    };
  }

  async #page(res, name) {
    if (name === 'hls.js') {
      if (!this.#settings.hlsJs) return this.#problem(res, 404, 'not_found', 'this build has no hls.js');
      return this.#file(res, path.join(HLS, this.#settings.hlsJs === 'classic' ? 'hls.light.min.js' : 'hls.light.min.mjs'), '.js');
    }
    if (name === 'hls-whole.js') return this.#file(res, path.join(HLS, 'hls.min.mjs'), '.js');
    if (!/^[a-z0-9.-]+$/.test(name ?? '')) return this.#problem(res, 404, 'not_found', 'no such file');
    return this.#file(res, path.join(PAGES, name), path.extname(name));
  }

  async #file(res, file, extension) {
    const body = await readFile(file).catch(() => null);
    if (!body) return this.#problem(res, 404, 'not_found', 'no such file');
    const edges = this.edges.join(' ');
    const policy = `default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ${edges}; media-src 'self' blob: ${edges}; img-src 'self' data: ${edges}; base-uri 'none'; form-action 'self'`;
    return res.writeHead(200, { 'content-type': TYPES[extension], 'content-security-policy': policy, 'cache-control': 'no-cache', 'x-content-type-options': 'nosniff' }).end(body);
  }

  #json(res, status, body, headers = {}) {
    res.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
  }

  #problem(res, status, code, detail, more = {}) {
    const body = { type: 'about:blank', title: http.STATUS_CODES[status], status, detail, code, request_id: 'mock', ...more };
    res.writeHead(status, { 'content-type': 'application/problem+json' }).end(JSON.stringify(body));
  }

  // ---- the edges -----------------------------------------------------------------------------------------------------------------

  #edge(edge, req, res) {
    if (this.edgeDown && edge === 0) return req.socket.destroy();
    const origin = req.headers.origin;
    const cors = origin ? { 'access-control-allow-origin': origin, 'access-control-allow-credentials': 'true', vary: 'Origin' } : {};
    const end = (status, body, headers = {}) => {
      this.requests.push({ edge, path: req.url, status });
      res.writeHead(status, { ...cors, ...headers }).end(body);
    };
    if (req.method === 'OPTIONS') return end(204, undefined, { 'access-control-allow-methods': 'GET, HEAD', 'access-control-allow-headers': 'range' });
    const [, id, token, name] = /^\/v\/([^/]+)\/(?:~([^/]+)\/)?([^?]+)/.exec(req.url) ?? [];
    const asset = this.#assets.get(id);
    if (!asset || asset.source_state === 'deleted') return end(404, 'gone');
    const cookie = /(?:^|; )rend_pb=([^;]+)/.exec(req.headers.cookie ?? '')?.[1];
    if (!this.#granted(id, 'pb', token ?? cookie)) return end(401, 'denied');
    const body = captionsFile(name, asset, this.ladder) ?? stillsFile(name, asset) ?? this.ladder.file(name, asset.made, asset.made === null ? undefined : 1);
    if (!body) return end(404, 'missing');
    this.#bytesServed.set(id, (this.#bytesServed.get(id) ?? 0) + body.length);
    return end(200, body, { 'content-type': TYPES[path.extname(name)], 'content-length': body.length, 'cache-control': 'no-cache' });
  }
}

/** The list of renditions with captions beside it, their lists, and their segments; null for everything else. */
function captionsFile(name, asset, ladder) {
  const rows = asset.captions ?? [];
  if (rows.length === 0) return null;
  if (name === 'master.m3u8') {
    const media = rows.map((row) => `#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="captions",LANGUAGE="${row.lang}",NAME="${row.label}",DEFAULT=${row.default ? 'YES' : 'NO'},AUTOSELECT=YES,FORCED=NO,URI="c-${row.lang}_00000001/index.m3u8"`);
    const text = ladder.file(name, asset.made).toString().replace(/(#EXT-X-STREAM-INF:.*)/g, '$1,SUBTITLES="captions"');
    return Buffer.from(text.replace('#EXTM3U\n', `#EXTM3U\n${media.join('\n')}\n`));
  }
  const row = rows.find((known) => name.startsWith(`c-${known.lang}_00000001/`));
  if (!row) return null;
  if (name.endsWith('.m3u8')) {
    const list = ladder.file(`${ladder.rungs[0]}/index.m3u8`, null).toString().replace(/#EXT-X-MAP:.*\n/, '');
    let index = 0;
    return Buffer.from(list.replace(/^[^#\s].*$/gm, () => `text_${String(index++).padStart(5, '0')}.vtt`));
  }
  return Buffer.from(`WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:${asset.mpegts ?? 0},LOCAL:00:00:00.000\n\n${row.text}`);
}

/** The index of the stills, whose picture is the poster. */
function stillsFile(name, asset) {
  if (name !== 'thumbs.vtt' || !asset.stills) return null;
  return Buffer.from(`WEBVTT\n\n00:00:00.000 --> 00:00:04.000\nposter.jpg#xywh=0,0,160,90\n\n00:00:04.000 --> 00:00:08.000\nposter.jpg#xywh=160,90,160,90\n`);
}

function frame(event) {
  return `id: ${event.seq}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}

async function text(req) {
  const chunks = [];
  for await (const chunk of req) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

let lastMs = 0;
function uuid7() {
  lastMs = Math.max(lastMs + 1, Date.now());
  const hex = lastMs.toString(16).padStart(12, '0') + randomBytes(10).toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-7${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const mock = await startMock({ port: Number(process.env.PORT) || 0, fallback: true, encodeMs: 12_000 });
  mock.add('A plain video');
  mock.add('Quarterly review, recorded on a phone', 'failed');
  mock.add('Still growing', 'opener_ready', { made: 3 });
  mock.add('Only for those with a link', 'ready', { playback_policy: 'signed' });
  console.log(`dashboard  ${mock.url}/dashboard#key=${MOCK_KEY}`);
  for (const event of ['SIGINT', 'SIGTERM']) process.on(event, () => mock.close().then(() => process.exit(0)));
}
