// The two players behind a <video>: mpegts.js for FLV over HTTP or WebSocket, hls.js (or the browser itself) for HLS.
// Each is loaded when first needed. Here they are set up for live pictures, and hls.js for recorded ones, and their errors
// put into our words; when to start, to give up or to try another way is decided in tile.js and footage.js.

import { codecFamily } from './ways.js';

/** @typedef {import('./messages.js').Failure} Failure */

/**
 * `latency`: seconds that the picture is behind the newest that the server has sent or announced; `buffer`: seconds
 * in store; `codec`: as the media itself says; null or '' where not known. `received`: whether media has arrived.
 *
 * @typedef {{latency: number | null, buffer: number | null, codec: string, received: boolean}} Figures
 */

/**
 * @typedef {object} Start
 * @property {HTMLVideoElement} video
 * @property {string} url
 * @property {boolean} videoOnly leave the sound out, even if the stream announces some
 * @property {(url: string) => string} freshUrl puts the token of now into a URL
 * @property {AbortSignal} signal ends it all: connection, worker, decoder
 * @property {(failure: Failure) => void} fail the first call counts
 */

/** @typedef {() => Figures} ReadFigures */

/** Whether scripts of this browser may feed a decoder at all. */
export function hasMediaSource() {
  return 'MediaSource' in window || 'ManagedMediaSource' in window;
}

/** Whether this browser decodes a codec, by the name that a camera's status has. @param {string | undefined} codec */
export function canDecode(codec) {
  const examples = {
    h264: ['avc1.42E01E'],
    h265: ['hvc1.1.6.L93.B0', 'hev1.1.6.L93.B0'],
    av1: ['av01.0.04M.08'],
    other: [],
    unknown: [],
  }[codecFamily(codec)];
  if (examples.length === 0) return true;
  const video = document.createElement('video');
  return examples.some((one) => video.canPlayType(`video/mp4; codecs="${one}"`) !== '');
}

/** FLV over HTTP or WebSocket, by the URL's scheme. @param {Start} start @returns {Promise<ReadFigures>} */
export async function startFlv({ video, url, videoOnly, signal, fail }) {
  const mpegts = /** @type {typeof import('mpegts.js').default} */ (await vendor('mpegts.js', 'mpegts'));
  if (signal.aborted) return () => figures(video);
  // Its messages may hold URLs with tokens.
  mpegts.LoggingControl.enableAll = false;

  const player = mpegts.createPlayer(
    { type: 'flv', isLive: true, url, ...(videoOnly ? { hasAudio: false } : {}) },
    {
      // In a worker, because ending the worker is what ends a stalled HTTP request in Chrome (xqq/mpegts.js#116).
      enableWorker: true,
      enableStashBuffer: false,
      lazyLoad: false,
      // A little behind: play faster. Far behind (the start, which comes with a whole GOP; a tab that was hidden): jump.
      liveSync: true,
      liveSyncMaxLatency: 1.2,
      liveSyncTargetLatency: 0.8,
      liveSyncPlaybackRate: 1.2,
      liveBufferLatencyChasing: true,
      liveBufferLatencyChasingOnPaused: true,
      liveBufferLatencyMaxLatency: 3,
      liveBufferLatencyMinRemain: 0.8,
      autoCleanupSourceBuffer: true,
      autoCleanupMaxBackwardDuration: 30,
      autoCleanupMinBackwardDuration: 10,
      referrerPolicy: 'no-referrer',
    },
  );

  let codec = '';
  let received = false;
  player.on(mpegts.Events.STATISTICS_INFO, (/** @type {{speed?: number}} */ { speed }) => {
    received ||= (speed ?? 0) > 0;
  });
  player.on(mpegts.Events.MEDIA_INFO, (/** @type {{videoCodec?: string}} */ media) => {
    codec = media.videoCodec ?? '';
  });
  player.on(mpegts.Events.LOADING_COMPLETE, () => fail({ kind: 'ended' }));
  player.on(mpegts.Events.ERROR, (/** @type {string} */ type, /** @type {string} */ detail, /** @type {any} */ info) =>
    fail(flvFailure(type, detail, info)),
  );
  signal.addEventListener('abort', () => player.destroy(), { once: true });
  player.attachMediaElement(video);
  player.load();
  return () => ({ ...figures(video), codec, received });
}

/** @param {string} type @param {string} detail @param {{code?: number, msg?: string} | undefined} info @returns {Failure} */
function flvFailure(type, detail, info) {
  if (detail === 'HttpStatusCodeInvalid') return { kind: 'status', status: info?.code };
  if (type === 'NetworkError') return { kind: 'network' };
  if (detail === 'CodecUnsupported' || /not supported|unsupported/i.test(info?.msg ?? '')) return { kind: 'codec' };
  return { kind: 'media', detail };
}

/** @param {Start} start @returns {Promise<ReadFigures>} */
export async function startHls(start) {
  const { video, url, freshUrl, signal, fail } = start;
  const Hls = /** @type {typeof import('hls.js').default} */ (await vendor('hls.light.min.js', 'Hls'));
  if (signal.aborted) return () => figures(video);
  if (!Hls.isSupported()) return startNativeHls(start);

  const hls = new Hls({
    // Playlists here are as short as three segments: start in the second newest, jump when six behind.
    liveSyncDurationCount: 2,
    liveMaxLatencyDurationCount: 6,
    maxLiveSyncPlaybackRate: 1.2,
    liveDurationInfinity: true,
    backBufferLength: 10,
    xhrSetup: (xhr, address) => xhr.open('GET', freshUrl(address), true),
  });

  let codec = '';
  hls.on(Hls.Events.BUFFER_CODECS, (_event, tracks) => {
    const codecs = tracks.video?.codec ?? tracks.audiovideo?.codec ?? '';
    codec = codecs.split(',').find((one) => !one.startsWith('mp4a')) ?? codec;
  });
  failHls(Hls, hls, fail);
  signal.addEventListener('abort', () => hls.destroy(), { once: true });
  hls.loadSource(url);
  hls.attachMedia(video);
  return () => ({ ...figures(video), latency: hls.latency > 0 ? hls.latency : null, codec });
}

/**
 * Recorded footage: what is at the picture's place in time, and how to get to another.
 *
 * @typedef {object} Recorded
 * @property {() => number | null} wallMs when the picture was taken, in milliseconds since 1970
 * @property {(ms: number) => boolean} seek to that time, or where footage goes on behind it; false where that isn't loaded
 */

/**
 * A range of recorded footage by HLS. A gap takes no time in it: the clock of the playlist says when a picture was taken.
 *
 * @param {Omit<Start, 'videoOnly'>} start @param {number} atMs where to begin
 * @returns {Promise<Recorded>}
 */
export async function startRecorded({ video, url, freshUrl, signal, fail }, atMs) {
  const Hls = /** @type {typeof import('hls.js').default} */ (await vendor('hls.light.min.js', 'Hls'));
  /** @type {import('hls.js').Fragment[]} */
  let fragments = [];
  const recorded = {
    wallMs() {
      const now = video.currentTime;
      // Between two fragments, by a rounding, it is the earlier one that goes on.
      const there = fragments.findLast((one) => one.start <= now + 0.001);
      return there?.programDateTime ? there.programDateTime + (Math.min(now, there.end) - there.start) * 1000 : null;
    },
    /** @param {number} ms */
    seek(ms) {
      const place = placeOf(fragments, ms);
      if (place === null) return false;
      video.currentTime = place;
      return true;
    },
  };
  if (signal.aborted) return recorded;
  if (!Hls.isSupported()) {
    fail({ kind: 'browser' });
    return recorded;
  }
  const hls = new Hls({
    autoStartLoad: false,
    maxBufferLength: 30,
    backBufferLength: 60,
    xhrSetup: (xhr, address) => xhr.open('GET', freshUrl(address), true),
  });
  failHls(Hls, hls, fail);
  hls.on(Hls.Events.LEVEL_LOADED, (_event, { details }) => {
    const first = fragments.length === 0;
    fragments = details.fragments;
    if (first) hls.startLoad(placeOf(fragments, atMs) ?? 0);
  });
  signal.addEventListener('abort', () => hls.destroy(), { once: true });
  hls.loadSource(url);
  hls.attachMedia(video);
  return recorded;
}

/**
 * The same range as one MP4, for browsers in which scripts may not feed the decoder. Time in it is time of day.
 *
 * @param {Omit<Start, 'videoOnly' | 'freshUrl'>} start @param {number} fromMs what the file begins with @param {number} atMs
 * @returns {Recorded}
 */
export function startRecordedFile({ video, url, signal, fail }, fromMs, atMs) {
  /** @param {number} ms */
  const seek = (ms) => {
    const place = (ms - fromMs) / 1000;
    if (place < 0 || place > video.duration) return false;
    video.currentTime = place;
    return true;
  };
  video.addEventListener('loadedmetadata', () => seek(atMs), { once: true, signal });
  video.addEventListener('error', () => fail(video.error?.code === 2 ? { kind: 'network' } : { kind: 'media' }), { signal });
  signal.addEventListener('abort', () => unload(video), { once: true });
  video.src = url;
  return { wallMs: () => (video.readyState > 0 ? fromMs + video.currentTime * 1000 : null), seek };
}

/** Sound may begin before the picture: at the very beginning of a fragment behind a gap stands the picture before the gap. */
const FIRST_PICTURE_MS = 40;

/** @param {import('hls.js').Fragment[]} fragments @param {number} ms @returns {number | null} null: behind the last */
function placeOf(fragments, ms) {
  const next = fragments.find((one) => (one.programDateTime ?? 0) + one.duration * 1000 > ms);
  if (!next) return null;
  return next.start + Math.max(FIRST_PICTURE_MS, ms - (next.programDateTime ?? 0)) / 1000;
}

/** @param {typeof import('hls.js').default} Hls @param {import('hls.js').default} hls @param {(failure: Failure) => void} fail */
function failHls(Hls, hls, fail) {
  let recoveries = 0;
  hls.on(Hls.Events.ERROR, (_event, error) => {
    if (!error.fatal) return;
    const status = error.response?.code;
    if (status && status >= 400) fail({ kind: 'status', status });
    else if (error.type === Hls.ErrorTypes.NETWORK_ERROR) fail({ kind: 'network' });
    else if (/CodecError|IncompatibleCodecs/i.test(error.details)) fail({ kind: 'codec' });
    else if (error.type === Hls.ErrorTypes.MEDIA_ERROR && recoveries++ === 0) hls.recoverMediaError();
    else fail({ kind: 'media', detail: error.details });
  });
}

/** @param {HTMLVideoElement} video */
function unload(video) {
  video.removeAttribute('src');
  video.load();
}

/** @param {Start} start @returns {ReadFigures} */
function startNativeHls({ video, url, signal, fail }) {
  if (video.canPlayType('application/vnd.apple.mpegurl') === '') {
    fail({ kind: 'browser' });
    return () => figures(video);
  }
  video.src = url;
  signal.addEventListener('abort', () => unload(video), { once: true });
  return () => ({ ...figures(video), latency: null });
}

/** @param {HTMLVideoElement} video @returns {Figures} */
function figures(video) {
  const { buffered, currentTime } = video;
  const ahead = buffered.length > 0 ? Math.max(0, buffered.end(buffered.length - 1) - currentTime) : null;
  return { latency: ahead, buffer: ahead, codec: '', received: ahead !== null };
}

/** @type {Map<string, Promise<unknown>>} */
const loading = new Map();

/** A library out of vendor/, which leaves itself in a global. @param {string} file @param {string} global */
function vendor(file, global) {
  let library = loading.get(file);
  if (!library) {
    library = new Promise((resolve, reject) => {
      const script = document.createElement('script');
      script.src = new URL(`vendor/${file}`, import.meta.url).href;
      script.addEventListener('load', () => resolve(/** @type {any} */ (window)[global]));
      script.addEventListener('error', () => {
        script.remove();
        loading.delete(file);
        reject(new Error(`${file} did not load`));
      });
      document.head.append(script);
    });
    loading.set(file, library);
  }
  return library;
}
