// The two players behind a <video>: mpegts.js for FLV over HTTP or WebSocket, hls.js (or the browser itself) for HLS.
// Each is loaded when first needed. Here they are set up for live pictures and their errors put into our words;
// when to start, to give up or to try another way is decided in tile.js.

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
  let recoveries = 0;
  hls.on(Hls.Events.BUFFER_CODECS, (_event, tracks) => {
    const codecs = tracks.video?.codec ?? tracks.audiovideo?.codec ?? '';
    codec = codecs.split(',').find((one) => !one.startsWith('mp4a')) ?? codec;
  });
  hls.on(Hls.Events.ERROR, (_event, error) => {
    if (!error.fatal) return;
    const status = error.response?.code;
    if (status && status >= 400) fail({ kind: 'status', status });
    else if (error.type === Hls.ErrorTypes.NETWORK_ERROR) fail({ kind: 'network' });
    else if (/CodecError|IncompatibleCodecs/i.test(error.details)) fail({ kind: 'codec' });
    else if (error.type === Hls.ErrorTypes.MEDIA_ERROR && recoveries++ === 0) hls.recoverMediaError();
    else fail({ kind: 'media', detail: error.details });
  });
  signal.addEventListener('abort', () => hls.destroy(), { once: true });
  hls.loadSource(url);
  hls.attachMedia(video);
  return () => ({ ...figures(video), latency: hls.latency > 0 ? hls.latency : null, codec });
}

/** @param {Start} start @returns {ReadFigures} */
function startNativeHls({ video, url, signal, fail }) {
  if (video.canPlayType('application/vnd.apple.mpegurl') === '') {
    fail({ kind: 'browser' });
    return () => figures(video);
  }
  video.src = url;
  signal.addEventListener(
    'abort',
    () => {
      video.removeAttribute('src');
      video.load();
    },
    { once: true },
  );
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
