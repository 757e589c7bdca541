// The media that the fake server serves, made by ffmpeg once and kept in test/out: a clip with a clock in the picture and
// a tone, as FLV and as HLS segments. Chromium decodes it as it would a camera's.

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const OUT = fileURLToPath(new URL('../out/', import.meta.url));

export const CLIP_SECONDS = 120;
export const WIDTH = 320;
export const HEIGHT = 180;

// A keyframe every second.
const VIDEO = `-f lavfi -i testsrc2=size=${WIDTH}x${HEIGHT}:rate=15`;
const TONE = '-f lavfi -i sine=frequency=440:sample_rate=44100';
const H264 = '-c:v libx264 -preset ultrafast -profile:v baseline -pix_fmt yuv420p -g 15 -sc_threshold 0';
const AAC = '-c:a aac -b:a 32k';

/** @returns {Promise<{flv: FlvClip, silentFlv: FlvClip, ts: HlsClip, fmp4: HlsClip}>} */
export async function makeMedia() {
  const flv = await made('clip.flv', `${VIDEO} ${TONE} -t ${CLIP_SECONDS} ${H264} ${AAC} -f flv`);
  const silent = await made('silent.flv', `-i ${flv} -c copy -an -f flv`);
  const hls = `-i ${flv} -c copy -f hls -hls_time 1 -hls_list_size 0`;
  const ts = await made('ts/index.m3u8', `${hls} -hls_segment_filename %DIR%/%d.ts`);
  const fmp4 = await made('fmp4/index.m3u8', `${hls} -hls_segment_type fmp4 -hls_segment_filename %DIR%/%d.m4s`);
  return {
    flv: await readFlv(flv),
    silentFlv: await readFlv(silent),
    ts: await readHls(ts),
    fmp4: await readHls(fmp4),
  };
}

/** Runs ffmpeg unless the same command has made this file before. */
async function made(name, args) {
  const [first, ...rest] = name.split('/');
  const dir = join(OUT, `${createHash('sha256').update(args).digest('hex').slice(0, 12)}-${first}`);
  const target = join(dir, rest.join('/') || first);
  if (existsSync(target)) return target;
  const draft = `${dir}.${process.pid}`;
  await rm(draft, { recursive: true, force: true });
  await mkdir(draft, { recursive: true });
  const words = args.replaceAll('%DIR%', draft).split(' ');
  await run('ffmpeg', ['-v', 'error', '-y', ...words, join(draft, rest.join('/') || first)]);
  await rename(draft, dir).catch(() => rm(draft, { recursive: true, force: true }));
  return target;
}

/** @typedef {{header: Buffer, tags: {ms: number, bytes: Buffer}[]}} FlvClip */

/** Splits an FLV file into its header (with the first PreviousTagSize) and its tags with their times. */
async function readFlv(path) {
  const file = await readFile(path);
  const tags = [];
  for (let at = 13; at + 11 <= file.length; ) {
    const end = at + 11 + file.readUIntBE(at + 1, 3) + 4;
    const ms = file.readUIntBE(at + 4, 3) + file[at + 7] * 2 ** 24;
    tags.push({ ms, bytes: file.subarray(at, end) });
    at = end;
  }
  return { header: file.subarray(0, 13), tags };
}

/** @typedef {{init: Buffer | null, segments: {seconds: number, name: string, bytes: Buffer}[]}} HlsClip */

/** Reads a VOD playlist and all it names. */
async function readHls(path) {
  const lines = (await readFile(path, 'utf8')).split('\n');
  const file = (name) => readFile(join(path, '..', name.split('/').pop()));
  let init = null;
  let seconds = 0;
  const segments = [];
  for (const line of lines) {
    if (line.startsWith('#EXT-X-MAP:')) init = await file(/URI="([^"]+)"/.exec(line)[1]);
    else if (line.startsWith('#EXTINF:')) seconds = parseFloat(line.slice(8));
    else if (line !== '' && !line.startsWith('#')) {
      segments.push({ seconds, name: line.split('/').pop(), bytes: await file(line) });
    }
  }
  return { init, segments };
}
