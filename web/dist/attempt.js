// One try to play a stream one way: from the request to the failure that ends it. It watches the picture, because a
// connection that stands says nothing about one. What to try next is tile.js; the players themselves are engines.js.

import { startFlv, startHls } from './engines.js';

/** @typedef {import('./messages.js').Failure} Failure */
/** @typedef {import('./engines.js').Figures} Figures */

/**
 * @typedef {object} Attempt
 * @property {HTMLVideoElement} video
 * @property {import('./ways.js').Way} way
 * @property {string} url
 * @property {(url: string) => string} freshUrl puts the token of now into a URL
 * @property {boolean} videoOnly leave the sound out, even if the stream announces some
 * @property {AbortSignal} signal ends the attempt
 * @property {() => void} canStart there is a picture to start
 * @property {() => boolean} blocked whether the browser waits for a click
 * @property {() => void} began the picture moves, for the first time
 * @property {(figures: Figures) => void} measured once a second
 */

/**
 * `playedMs`: from the first to the last movement of the picture. `waitsForSound`: media came and no picture did, as
 * with cameras that announce sound and never send any; players wait for it unless told to leave the sound out.
 *
 * @typedef {{failure: Failure, playedMs: number, waitsForSound: boolean}} Outcome
 */

/** An on-demand camera is dialled first and then sends nothing until its next keyframe. */
const FIRST_PICTURE_MS = { flv: 15_000, ws: 15_000, hls: 30_000 };
const STALL_MS = 8_000;
const MEASURE_MS = 1_000;

/** @param {Attempt} attempt @returns {Promise<Outcome>} */
export async function playUntilFailure(attempt) {
  const { video, way, url, freshUrl, videoOnly, signal } = attempt;
  const own = new AbortController();
  const end = () => own.abort();
  signal.addEventListener('abort', end, { once: true });

  /** @type {import('./engines.js').ReadFigures} */
  let read = () => ({ latency: null, buffer: null, codec: '', received: false });
  let beganAt = 0;
  let movedAt = 0;
  let waitsForSound = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let deadline;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let measuring;

  try {
    const failure = await new Promise((/** @type {(failure: Failure) => void} */ fail) => {
      deadline = setTimeout(() => {
        if (attempt.blocked()) return;
        waitsForSound = way !== 'hls' && read().received;
        fail({ kind: 'timeout' });
      }, FIRST_PICTURE_MS[way]);

      let seenTime = 0;
      let seenAt = performance.now();
      measuring = setInterval(() => {
        const now = performance.now();
        if (video.currentTime !== seenTime || video.paused || document.hidden) {
          seenTime = video.currentTime;
          seenAt = now;
          if (beganAt > 0) movedAt = now;
        } else if (beganAt > 0 && now - seenAt > STALL_MS) {
          fail({ kind: 'stalled' });
        }
        attempt.measured(read());
      }, MEASURE_MS);

      const untilEnd = { signal: own.signal };
      video.addEventListener('canplay', attempt.canStart, untilEnd);
      video.addEventListener('error', () => fail({ kind: 'media', detail: video.error?.message.slice(0, 80) }), untilEnd);
      video.addEventListener(
        'timeupdate',
        () => {
          if (beganAt > 0 || video.paused || video.seeking || video.currentTime === 0 || video.readyState < 2) return;
          beganAt = movedAt = performance.now();
          clearTimeout(deadline);
          attempt.measured(read());
          attempt.began();
        },
        untilEnd,
      );
      own.signal.addEventListener('abort', () => fail({ kind: 'ended' }), { once: true });

      const start = { video, url, freshUrl, videoOnly, signal: own.signal, fail };
      (way === 'hls' ? startHls(start) : startFlv(start)).then(
        (figures) => {
          read = figures;
        },
        () => fail({ kind: 'network' }),
      );
    });
    return { failure, playedMs: beganAt > 0 ? Math.max(1, movedAt - beganAt) : 0, waitsForSound };
  } finally {
    clearTimeout(deadline);
    clearInterval(measuring);
    signal.removeEventListener('abort', end);
    own.abort();
  }
}
