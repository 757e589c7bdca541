// A player for pages of other sites: one video and nothing else. The server has written into the page what plays: a live
// stream, which is tried by HTTP-FLV first and by HLS then, or a recording, which the browser plays itself. While a live
// stream is open, the page says so every twelve seconds. `data-state` of <html> is starting, playing, blocked or error.

import { playUntilFailure } from './attempt.js';
import { streamPath } from './ways.js';

/** @typedef {import('./ways.js').Way} Way */

const REPORT_MS = 12_000;
/** After a stream that played has broken. */
const RECONNECT_MS = 1_000;
/** @type {Way[]} the one that is less behind comes first */
const LIVE_WAYS = ['flv', 'hls'];

const video = /** @type {HTMLVideoElement} */ (document.getElementById('video'));
const { kind = '', id = '', path = '', player = '', clicks = '0' } = video.dataset;
const isRecording = kind === 'vod';
let token = video.dataset.token ?? '';

/** @param {'starting' | 'playing' | 'blocked' | 'error'} state */
function show(state) {
  document.documentElement.dataset.state = state;
}

/** Calls a function of the page around this one, if it has it and we may. @param {string} name @param {unknown[]} values */
function tellParent(name, ...values) {
  try {
    const around = /** @type {any} */ (window.parent);
    if (around !== window && typeof around[name] === 'function') around[name](...values);
  } catch {
    // A page of another origin: nothing to tell it.
  }
}

/** Starts what is loaded; without sound where the browser wants a click for that. */
function start() {
  if (!video.paused) return;
  video.play().catch((/** @type {DOMException} */ error) => {
    if (error.name !== 'NotAllowedError') return;
    if (video.muted) {
      show('blocked');
      return;
    }
    video.muted = true;
    start();
  });
}

// ---- live

/** @param {string} url */
function fresh(url) {
  const address = new URL(url, document.baseURI);
  if (token !== '') address.searchParams.set('token', token);
  return address.href;
}

/** @param {Way} way @param {AbortSignal} signal @param {boolean} videoOnly */
async function attempt(way, signal, videoOnly) {
  const outcome = await playUntilFailure({
    video,
    way,
    url: fresh(`../../${streamPath(path, way)}`),
    freshUrl: fresh,
    videoOnly,
    signal,
    canStart: start,
    blocked: () => document.documentElement.dataset.state === 'blocked',
    began: () => show('playing'),
    measured: () => {},
  });
  // A camera that announces sound and sends none.
  if (outcome.waitsForSound && !videoOnly && !signal.aborted) return attempt(way, signal, true);
  return outcome;
}

/** Plays until no way gives a picture any more. @param {AbortSignal} signal */
async function keepPlaying(signal) {
  for (let played = true; played && !signal.aborted; ) {
    played = false;
    for (const way of LIVE_WAYS) {
      const { playedMs } = await attempt(way, signal, false);
      if (signal.aborted) return;
      if (playedMs > 0) {
        played = true;
        show('starting');
        await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
        break;
      }
    }
  }
}

/** @param {boolean} isActive */
function report(isActive) {
  return new URLSearchParams({
    rtmp_live: id,
    player_id: player,
    player_type: '1',
    player_active: isActive ? '1' : '0',
    token,
  });
}

async function live() {
  const ending = new AbortController();
  const heartbeat = new URL('../heartbeat', document.baseURI).href;
  let isGone = false;
  const leave = () => {
    clearInterval(beating);
    if (!isGone) navigator.sendBeacon(heartbeat, report(false));
    isGone = true;
  };
  const beating = setInterval(async () => {
    try {
      const answer = await fetch(heartbeat, { method: 'POST', body: report(true) });
      const told = await answer.json();
      if (told.err_code !== 0) clearInterval(beating);
      token = told.token ?? token;
    } catch {
      clearInterval(beating);
    }
  }, REPORT_MS);
  addEventListener('pagehide', leave, { once: true });
  await keepPlaying(ending.signal);
  leave();
  show('error');
  tellParent('doEndedEvent');
}

// ---- recordings

function recording() {
  video.addEventListener('playing', () => show('playing'));
  video.addEventListener('ended', () => tellParent('doEndedEvent'));
  const fail = () => show('error');
  video.addEventListener('error', fail);
  video.querySelector('source')?.addEventListener('error', fail);
  start();
}

tellParent('doClicks', `${kind}_${id}`, Number(clicks), isRecording ? 1 : 0);
if (isRecording) recording();
else live();
