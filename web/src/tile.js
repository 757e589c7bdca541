// One player of the grid: a picture, its controls, and the loop that keeps it playing. The loop tries the ways in
// order, falls back when one gives no picture, comes back when a running stream breaks, and says why when nothing works.
// A single try is attempt.js; which tiles there are, and what the page shows about the selected one, is app.js.

import { playUntilFailure } from './attempt.js';
import { el, icon, iconButton, setIcon, setText } from './dom.js';
import { canDecode, hasMediaSource } from './engines.js';
import { explain, worthRetrying } from './messages.js';
import { WAYS, automatic } from './ways.js';

/** @typedef {import('./ways.js').Way} Way */
/** @typedef {import('./session.js').Camera} Camera */
/** @typedef {import('./session.js').Session} Session */
/** @typedef {import('./messages.js').Failure} Failure */
/** @typedef {import('./messages.js').Try} Try */
/** @typedef {import('./messages.js').Explanation} Explanation */
/** @typedef {import('./engines.js').Figures} Figures */

/** @typedef {'empty' | 'starting' | 'playing' | 'blocked' | 'error'} TileState blocked: the browser wants a click first */

/**
 * @typedef {object} Surroundings what a tile asks of the page
 * @property {() => void} changed state or figures are new
 * @property {(tile: Tile) => void} picked
 * @property {(tile: Tile) => void} audible its sound was switched on
 * @property {(tile: Tile) => void} closed its close button was pressed
 * @property {() => number} httpFlvPlayers
 * @property {() => void} loginNeeded
 */

/** A stream that ran this long is tried again the same way; one that broke earlier counts as a failed try. */
const STEADY_MS = 10_000;
const RECONNECT_MS = 500;
const RETRY_FIRST_MS = 2_000;
const RETRY_MOST_MS = 15_000;

export class Tile {
  #session;
  #page;
  #video = el('video', { playsinline: true });
  #pick = el('button', { type: 'button', class: 'tile-pick' });
  #cover = el('div', { class: 'tile-cover' });
  #name = el('span', { class: 'tile-name' });
  #badge = el('span', { class: 'tile-badge' });
  #sound;

  /** @type {string | null} the stream that should play, null when empty */
  path = null;
  /** @type {Camera | undefined} the camera behind the path as last heard of, if it is one */
  camera;
  /** @type {TileState} */
  state = 'empty';
  /** @type {Way | null} the way that plays or is being tried */
  way = null;
  /** @type {Explanation | null} */
  error = null;
  /** @type {Figures | null} */
  figures = null;

  /** @type {Way | null} what the user chose; null is the automatic choice */
  #chosen = null;
  /** Set when media came but no picture: cameras announce sound and never send any, and the player waits for it. */
  #videoOnly = false;
  #run = new AbortController();
  #wake = () => {};

  /** @param {number} number from 1 @param {Session} session @param {Surroundings} page */
  constructor(number, session, page) {
    this.number = number;
    this.#session = session;
    this.#page = page;
    this.#video.id = `video-${number}`;
    this.#video.muted = true;
    this.#sound = iconButton('muted', 'Sound on', () => this.#setMuted(!this.#video.muted));
    const fullscreen = iconButton('fullscreen', 'Fullscreen', () => this.#toggleFullscreen());
    const close = iconButton('close', 'Stop', () => page.closed(this));
    this.element = el(
      'section',
      { class: 'tile', 'aria-label': `Player ${number}` },
      this.#video,
      this.#cover,
      this.#pick,
      el(
        'div',
        { class: 'tile-bar' },
        el('div', { class: 'tile-label' }, this.#name, this.#badge),
        this.#sound,
        fullscreen,
        close,
      ),
    );
    this.#pick.addEventListener('click', () => page.picked(this));
    this.#pick.addEventListener('dblclick', () => this.#toggleFullscreen());
    document.addEventListener('visibilitychange', () => {
      // Browsers pause silent videos of hidden tabs.
      if (!document.hidden && this.state === 'playing' && this.#video.paused) this.#startPicture();
    });
    this.#render();
  }

  /** @param {string} path @param {Way | null} chosen @param {Camera | undefined} camera */
  play(path, chosen, camera) {
    this.#abortRun();
    this.path = path;
    this.camera = camera;
    this.#chosen = chosen;
    this.#videoOnly = false;
    this.resume();
  }

  /** Empties the tile. */
  stop() {
    this.pause();
    this.path = null;
    this.camera = undefined;
    this.#setMuted(true);
    this.#set('empty');
  }

  /** Ends connection and picture but keeps in mind what should play. */
  pause() {
    this.#abortRun();
    this.way = null;
    this.error = null;
    if (this.path !== null) this.#set('starting');
  }

  resume() {
    if (this.path === null) return;
    this.#abortRun();
    this.error = null;
    this.#set('starting');
    this.#keepPlaying(this.#run.signal);
  }

  /** Takes what the server says now of the camera behind this tile. @param {Camera | undefined} camera */
  setCamera(camera) {
    const before = this.camera;
    this.camera = camera;
    const better = camera && ((camera.ready && !before?.ready) || camera.codec !== before?.codec);
    if (better && this.state === 'error') this.#wake();
    this.#render();
  }

  /** @param {boolean} selected */
  setSelected(selected) {
    this.#pick.setAttribute('aria-pressed', String(selected));
    this.element.classList.toggle('selected', selected);
  }

  mute() {
    this.#setMuted(true);
  }

  get usesHttpFlv() {
    return this.way === 'flv' && (this.state === 'starting' || this.state === 'playing');
  }

  get displayName() {
    return this.camera?.displayName || this.camera?.name || this.path?.replace(/^\/+/, '') || '';
  }

  /** Width x height of the picture now, or ''. */
  get size() {
    const { videoWidth, videoHeight } = this.#video;
    return videoWidth > 0 ? `${videoWidth}x${videoHeight}` : '';
  }

  /** As the camera's status names it, else as the media says. */
  get codec() {
    return this.camera?.codec || this.figures?.codec || '';
  }

  /** @param {AbortSignal} signal */
  async #keepPlaying(signal) {
    /** @type {Way | null} */
    let steady = null;
    let pauseMs = RETRY_FIRST_MS;
    while (!signal.aborted) {
      const { tries, played } = await this.#tryAll(steady, signal);
      if (signal.aborted) return;
      if (played) {
        this.#set('starting');
        steady = played;
        pauseMs = RETRY_FIRST_MS;
        await this.#sleep(RECONNECT_MS, signal);
        continue;
      }
      steady = null;
      this.error = explain(tries, { path: this.path ?? '', codec: this.codec, camera: this.camera });
      this.way = null;
      this.#video.dataset.failure = tries.map(({ failure }) => failure.kind).join(' ');
      this.#set('error');
      await this.#sleep(worthRetrying(tries) ? pauseMs : null, signal);
      pauseMs = Math.min(pauseMs * 2, RETRY_MOST_MS);
    }
  }

  /**
   * One round through the ways. Ends with the way that played for long and then broke, or with all failures.
   *
   * @param {Way | null} first @param {AbortSignal} signal
   * @returns {Promise<{tries: Try[], played: Way | null}>}
   */
  async #tryAll(first, signal) {
    /** @type {Try[]} */
    const tries = [];
    const order = this.#chosen ? [this.#chosen] : automatic(this.codec, this.#page.httpFlvPlayers());
    const queue = first ? [first, ...order.filter((way) => way !== first)] : order;
    let refreshed = false;
    while (queue.length > 0 && !signal.aborted) {
      const way = /** @type {Way} */ (queue.shift());
      const token = this.#session.token;
      const { failure, playedMs } = await this.#try(way, signal);
      if (signal.aborted) break;
      if (failure.kind === 'status' && failure.status === 401) {
        if (!refreshed && (await this.#session.refresh(token).catch(() => false))) {
          refreshed = true;
          queue.unshift(way);
          continue;
        }
        if (!signal.aborted) this.#page.loginNeeded();
      }
      if (playedMs > STEADY_MS) return { tries, played: way };
      tries.push({ way, failure });
    }
    return { tries, played: null };
  }

  /**
   * Plays one way until it fails.
   *
   * @param {Way} way @param {AbortSignal} signal
   * @returns {Promise<{failure: Failure, playedMs: number}>} playedMs: 0 where no picture came
   */
  async #try(way, signal) {
    if (!canDecode(this.camera?.codec)) return { failure: { kind: 'codec' }, playedMs: 0 };
    if (way !== 'hls' && !hasMediaSource()) return { failure: { kind: 'browser' }, playedMs: 0 };

    this.way = way;
    this.#set(this.state === 'error' ? 'error' : 'starting');
    const outcome = await playUntilFailure({
      video: this.#video,
      way,
      url: this.#session.streamUrl(this.path ?? '', way),
      freshUrl: (url) => this.#session.withToken(url),
      videoOnly: this.#videoOnly,
      signal,
      canStart: () => this.#startPicture(),
      blocked: () => this.state === 'blocked',
      began: () => {
        this.error = null;
        delete this.#video.dataset.failure;
        this.#set('playing');
      },
      measured: (figures) => {
        this.figures = figures;
        this.#render();
      },
    });
    this.figures = null;
    this.#videoOnly ||= outcome.waitsForSound;
    const { failure, playedMs } = outcome;
    const silent = failure.kind === 'network' || failure.kind === 'ended';
    if (way === 'ws' && silent && playedMs === 0 && !signal.aborted) {
      const status = await this.#session.streamStatus(this.path ?? '');
      if (status >= 400) return { failure: { kind: 'status', status }, playedMs };
    }
    return { failure, playedMs };
  }

  #startPicture() {
    const video = this.#video;
    if (!video.paused) return;
    video.play().catch((/** @type {DOMException} */ error) => {
      if (error.name !== 'NotAllowedError') return;
      if (!video.muted) {
        // Sound needs a click, a silent picture doesn't.
        this.#setMuted(true);
        this.#startPicture();
        return;
      }
      this.#set('blocked');
    });
  }

  /** @param {number | null} ms null: until woken @param {AbortSignal} signal @returns {Promise<void>} */
  #sleep(ms, signal) {
    return new Promise((resolve) => {
      const timer = ms === null ? undefined : setTimeout(() => this.#wake(), ms);
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = () => {};
        resolve();
      };
      if (signal.aborted) this.#wake();
    });
  }

  #abortRun() {
    this.#run.abort();
    this.#run = new AbortController();
    this.#wake();
  }

  /** @param {boolean} muted */
  #setMuted(muted) {
    this.#video.muted = muted;
    if (!muted) this.#page.audible(this);
    this.#render();
  }

  #toggleFullscreen() {
    const video = /** @type {HTMLVideoElement & {webkitEnterFullscreen?: () => void}} */ (this.#video);
    if (document.fullscreenElement) document.exitFullscreen();
    else if (this.element.requestFullscreen) this.element.requestFullscreen().catch(() => {});
    else video.webkitEnterFullscreen?.();
  }

  /** @param {TileState} state */
  #set(state) {
    this.state = state;
    this.#render();
  }

  #render() {
    const { element, state, figures } = this;
    const video = this.#video;
    element.dataset.state = state;
    setText(this.#name, this.displayName);
    setText(this.#badge, this.#badgeText());
    const label = this.displayName ? `Player ${this.number}: ${this.displayName}` : `Player ${this.number}, empty`;
    this.#pick.setAttribute('aria-label', label);
    video.setAttribute('aria-label', this.displayName);
    if (video.muted) setIcon(this.#sound, 'muted', 'Sound on');
    else setIcon(this.#sound, 'sound', 'Sound off');

    video.dataset.state = state;
    video.dataset.path = this.path ?? '';
    video.dataset.with = this.way ?? '';
    video.dataset.codec = this.codec;
    video.dataset.size = this.size;
    video.dataset.latency = figures?.latency?.toFixed(2) ?? '';
    video.dataset.buffer = figures?.buffer?.toFixed(2) ?? '';

    this.#renderCover();
    this.#page.changed();
  }

  #badgeText() {
    if (this.way === null) return '';
    const label = WAYS[this.way].label;
    const latency = this.state === 'playing' ? this.figures?.latency : null;
    return latency === null || latency === undefined ? label : `${label} · ${latency.toFixed(1)} s`;
  }

  #renderCover() {
    const { state, error, camera } = this;
    const waiting = camera && !camera.ready && camera.reason !== 'Idle';
    const title = {
      empty: 'Choose a camera',
      starting: waiting ? `Waiting for the camera: ${camera.reason || 'not ready'}` : 'Connecting…',
      playing: '',
      blocked: 'Press to play',
      error: error?.title ?? '',
    }[state];
    const advice = state === 'error' ? (error?.advice ?? '') : state === 'starting' && waiting ? (camera.message ?? '') : '';
    const content = `${state}\n${title}\n${advice}`;
    if (this.#cover.dataset.content === content) return;
    this.#cover.dataset.content = content;
    this.#cover.setAttribute('role', state === 'error' ? 'alert' : 'none');
    this.#cover.replaceChildren();
    if (state === 'playing') return;
    if (state === 'starting') this.#cover.append(el('span', { class: 'spinner', 'aria-hidden': 'true' }));
    if (state === 'blocked') {
      const play = el('button', { type: 'button', class: 'play-button', 'aria-label': 'Play' }, icon('play'));
      play.addEventListener('click', () => this.#startPicture());
      this.#cover.append(play);
    }
    this.#cover.append(el('p', { class: 'cover-title' }, title));
    if (advice) this.#cover.append(el('p', { class: 'cover-advice' }, advice));
  }
}
