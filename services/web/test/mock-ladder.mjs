// An HLS ladder that ffmpeg makes once for the tests, and the playlists over it, whole or still growing.

import { execFile } from 'node:child_process';
import { mkdir, readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Makes two renditions of a clip of `seconds`, cut every second, with a poster, below `folder`. */
export async function makeLadder(folder, seconds) {
  await mkdir(folder, { recursive: true });
  await run('ffmpeg', [
    '-v', 'error', '-y',
    '-f', 'lavfi', '-i', `testsrc2=s=640x360:r=24:d=${seconds}`,
    '-f', 'lavfi', '-i', `sine=frequency=440:sample_rate=48000:d=${seconds}`,
    '-filter_complex', '[0:v]split=2[a][b];[b]scale=320:180[c]',
    '-map', '[c]', '-map', '1:a', '-map', '[a]', '-map', '1:a',
    '-c:v', 'libx264', '-preset', 'ultrafast', '-profile:v', 'high', '-pix_fmt', 'yuv420p', '-g', '24', '-keyint_min', '24', '-sc_threshold', '0',
    '-b:v:0', '200k', '-b:v:1', '600k', '-c:a', 'aac', '-b:a', '64k', '-ac', '2',
    '-f', 'hls', '-hls_time', '1', '-hls_playlist_type', 'vod', '-hls_segment_type', 'fmp4',
    '-hls_flags', 'independent_segments', '-hls_fmp4_init_filename', 'init.mp4',
    '-master_pl_name', 'master.m3u8', '-var_stream_map', 'v:0,a:0,name:180p v:1,a:1,name:360p',
    '-hls_segment_filename', path.join(folder, '%v', 's%05d.m4s'), path.join(folder, '%v', 'index.m3u8'),
  ]);
  await run('ffmpeg', ['-v', 'error', '-y', '-f', 'lavfi', '-i', 'testsrc2=s=640x360:d=1', '-frames:v', '1', path.join(folder, 'poster.jpg')]);
  return Ladder.read(folder);
}

/** A few seconds of real video in one file, to be uploaded. */
export async function makeClip(file, seconds = 3) {
  await run('ffmpeg', [
    '-v', 'error', '-y', '-f', 'lavfi', '-i', `testsrc2=s=320x180:r=24:d=${seconds}`, '-f', 'lavfi', '-i', `sine=d=${seconds}`,
    '-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', '-c:a', 'aac', '-shortest', '-movflags', '+faststart', file,
  ]);
}

export class Ladder {
  #files;
  #rungs;
  #master;

  static async read(folder) {
    const files = new Map();
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const full = path.join(entry.parentPath ?? entry.path, entry.name);
      files.set(path.relative(folder, full).split(path.sep).join('/'), await readFile(full));
    }
    return new Ladder(files);
  }

  constructor(files) {
    this.#files = files;
    this.#master = files.get('master.m3u8').toString();
    this.#rungs = [...files.keys()].filter((name) => name.endsWith('/index.m3u8')).map((name) => name.split('/')[0]).sort();
  }

  get rungs() {
    return this.#rungs;
  }

  get segments() {
    return this.#files.get(`${this.#rungs[0]}/index.m3u8`).toString().match(/#EXTINF/g).length;
  }

  /** The bytes below `name`; playlists show `made` segments (null: all) and the master shows `rungs` of them. */
  file(name, made, rungs) {
    const body = this.#files.get(name);
    if (!body) return null;
    if (name === 'master.m3u8') return Buffer.from(masterWith(this.#master, this.#rungs.slice(0, rungs)));
    if (name.endsWith('.m3u8')) return Buffer.from(growing(body.toString(), made));
    return body;
  }
}

function masterWith(text, rungs) {
  const out = [];
  const lines = text.split('\n').filter((line) => line !== '');
  for (let i = 0; i < lines.length; i += 1) {
    if (!lines[i].startsWith('#EXT-X-STREAM-INF')) out.push(lines[i]);
    else if (rungs.some((rung) => lines[i + 1].startsWith(`${rung}/`))) out.push(lines[i], lines[(i += 1)]);
    else i += 1;
  }
  return `${out.join('\n')}\n`;
}

function growing(text, made) {
  const event = text.replace('#EXT-X-PLAYLIST-TYPE:VOD', '#EXT-X-PLAYLIST-TYPE:EVENT');
  if (made === null) return event;
  const [head, ...rest] = event.split('#EXTINF');
  const shown = rest.slice(0, made).map((part) => part.replace('#EXT-X-ENDLIST', '').trimEnd());
  return `${head}${shown.map((part) => `#EXTINF${part}\n`).join('')}${made >= rest.length ? '#EXT-X-ENDLIST\n' : ''}`;
}
