// One picture of the recordings view: it shows what a camera recorded at a time, plays on over gaps, and says where it is.
// It loads some hours around that time, because a whole day's playlist has no short pieces to begin with. What is played
// when, and that two of them keep together, is recordings.js.

import { el, icon, setText } from './dom.js';
import { canDecode, hasMediaSource, startRecorded, startRecordedFile } from './engines.js';
import { explainRecorded } from './messages.js';
import { HOUR_MS, MINUTE_MS, SECOND_MS } from './spans.js';

/** @typedef {import('./session.js').Camera} Camera */
/** @typedef {import('./session.js').Session} Session */
/** @typedef {import('./messages.js').Failure} Failure */
/** @typedef {import('./engines.js').Recorded} Recorded */
/** @typedef {import('./spans.js').Range} Range */

/** @typedef {'empty' | 'none' | 'starting' | 'playing' | 'paused' | 'blocked' | 'error'} FootageState none: no footage at that time */

/**
 * @typedef {object} Surroundings what it asks of the view
 * @property {() => void} changed
 * @property {(wallMs: number) => void} ended what was loaded ends at that time
 * @property {() => void} loginNeeded
 */

/** What is loaded around a time: the server lists short pieces for up to three hours. */
const BEFORE_MS = 15 * MINUTE_MS;
const BEHIND_MS = 2 * HOUR_MS;
/** No picture after so long is a failure. */
const DEADLINE_MS = 30_000;
/** Farther apart than this, what follows jumps; nearer it plays a little faster or slower. */
const JUMP_MS = SECOND_MS;
const TOGETHER_MS = 30;
/** How long a jump is waited for. */
const JUMP_AGAIN_MS = 1_500;

export class Footage {
  #session;
  #view;
  #cover = el('div', { class: 'tile-cover' });
  #name = el('span', { class: 'tile-name' });
  #run = new AbortController();
  /** @type {Recorded | null} */
  #recorded = null;
  /** @type {Range} what is loaded */
  #loaded = { fromMs: 0, toMs: 0 };
  /** Where it should be, until the picture is there. @type {number | null} */
  #goalMs = null;
  #speed = 1;
  #shouldPlay = false;
  #jumpedAt = 0;

  /** @type {string | null} */
  path = null;
  /** @type {Camera | undefined} */
  camera;
  /** @type {FootageState} */
  state = 'empty';
  /** @type {{title: string, advice: string} | null} */
  error = null;

  /** @param {number} number from 1 @param {Session} session @param {Surroundings} view */
  constructor(number, session, view) {
    this.#session = session;
    this.#view = view;
    this.video = el('video', { id: `footage-${number}`, playsinline: true });
    this.video.muted = true;
    const bar = el('div', { class: 'tile-bar' }, el('div', { class: 'tile-label' }, this.#name));
    this.element = el('section', { class: 'tile', 'aria-label': `Recorded picture ${number}` }, this.video, this.#cover, bar);
    for (const event of ['playing', 'pause', 'waiting', 'seeking', 'timeupdate', 'ratechange']) {
      this.video.addEventListener(event, () => this.#look());
    }
    this.video.addEventListener('ended', () => this.#end());
    this.#render();
  }

  /** When the picture was taken, or where it is about to be; null where nothing is shown. */
  get wallMs() {
    const ms = this.#goalMs ?? this.#recorded?.wallMs() ?? null;
    // Positions in a playlist are seconds, rounded now and then just below a whole one.
    return ms === null ? null : Math.round(ms / 10) * 10;
  }

  get isPlaying() {
    return this.state === 'playing';
  }

  get displayName() {
    return this.camera?.displayName || this.camera?.name || this.path?.replace(/^\/+/, '') || '';
  }

  /** Whether it should play, whether or not it can just now. */
  get shouldPlay() {
    return this.#shouldPlay;
  }

  /** @param {string} path @param {Camera | undefined} camera */
  choose(path, camera) {
    if (this.path === path) return;
    this.clear();
    this.path = path;
    this.camera = camera;
    this.#render();
  }

  /** Shows nothing, of no camera. */
  clear() {
    this.unload('empty');
    this.path = null;
    this.camera = undefined;
    this.#render();
  }

  /** Ends the connection and the picture. @param {'empty' | 'none'} state what is left to say */
  unload(state) {
    this.#run.abort();
    this.#recorded = null;
    this.#goalMs = null;
    this.error = null;
    this.#set(state);
  }

  /** Goes to that time, or to where footage goes on behind it. @param {number} ms @param {boolean} andPlay */
  show(ms, andPlay) {
    if (this.path === null) return;
    this.#shouldPlay = andPlay;
    const isLoaded = this.state !== 'error' && ms >= this.#loaded.fromMs && ms < this.#loaded.toMs;
    if (isLoaded && this.#recorded?.seek(ms)) {
      this.#goalMs = null;
      this.#apply();
    } else {
      this.#load(ms);
    }
  }

  /** @param {boolean} shouldPlay */
  setPlaying(shouldPlay) {
    this.#shouldPlay = shouldPlay;
    this.#apply();
  }

  /** @param {number} speed */
  setSpeed(speed) {
    this.#speed = speed;
    this.video.playbackRate = speed;
    this.video.defaultPlaybackRate = speed;
  }

  /**
   * Keeps this picture with another one: near it by a speed of its own, far from it by a jump.
   *
   * @param {number} ms when the other one's picture was taken @param {boolean} isMoving @param {number} speed
   */
  follow(ms, isMoving, speed) {
    if (this.path === null || this.state === 'error') return;
    const at = this.#recorded?.wallMs() ?? null;
    if (at === null || this.#goalMs !== null) {
      if (this.state === 'none' || this.state === 'empty') this.show(ms, isMoving);
      return;
    }
    const behind = ms - at;
    const isFar = Math.abs(behind) > JUMP_MS * Math.max(1, speed) || (!isMoving && Math.abs(behind) > TOGETHER_MS);
    const now = performance.now();
    if (isFar && !this.video.seeking && now - this.#jumpedAt > JUMP_AGAIN_MS) {
      this.#jumpedAt = now;
      this.show(ms, isMoving);
    }
    const change = Math.abs(behind) < TOGETHER_MS ? 0 : Math.min(Math.max(behind / 1000, -0.25), 0.25);
    const rate = Math.min(speed * (1 + change), 16);
    if (Math.abs(this.video.playbackRate - rate) > 0.005) this.video.playbackRate = rate;
    if (this.#shouldPlay !== isMoving) this.setPlaying(isMoving);
  }

  /** What is shown, as JPEG; none while nothing is. @returns {Promise<Blob | null>} */
  async picture() {
    const { videoWidth: width, videoHeight: height, readyState } = this.video;
    const canvas = el('canvas', { width, height });
    const context = canvas.getContext('2d');
    if (readyState < 2 || width === 0 || !context) return null;
    context.drawImage(this.video, 0, 0);
    return new Promise((resolve) => canvas.toBlob(resolve, 'image/jpeg', 0.92));
  }

  /** Loads again what was shown, as after a login. */
  again() {
    const ms = this.wallMs;
    if (this.path !== null && ms !== null) this.#load(ms);
  }

  /** @param {number} ms @param {boolean} [isRetry] */
  async #load(ms, isRetry = false) {
    this.#run.abort();
    this.#run = new AbortController();
    const { signal } = this.#run;
    const path = this.path ?? '';
    const from = Math.floor(ms - BEFORE_MS);
    const to = Math.ceil(Math.min(ms + BEHIND_MS, Date.now()));
    // A file begins with the picture that is asked for; a playlist has some before it.
    this.#loaded = { fromMs: hasMediaSource() ? from : ms, toMs: to };
    this.#recorded = null;
    this.#goalMs = ms;
    this.error = null;
    this.#set('starting');
    const used = this.#session.token;
    const deadline = setTimeout(() => fail({ kind: 'timeout' }), DEADLINE_MS);
    signal.addEventListener('abort', () => clearTimeout(deadline));
    /** @param {Failure} failure */
    const fail = async (failure) => {
      if (signal.aborted) return;
      this.#run.abort();
      if (failure.status === 401) {
        if (!isRetry && (await this.#session.refresh(used).catch(() => false))) {
          if (this.#run.signal === signal) await this.#load(ms, true);
          return;
        }
        this.#view.loginNeeded();
      }
      if (this.#run.signal !== signal) return;
      this.error = explainRecorded(failure, this.displayName, this.camera?.codec);
      this.#set('error');
    };
    if (!canDecode(this.camera?.codec)) {
      fail({ kind: 'codec' });
      return;
    }
    const shown = () => {
      if (this.video.readyState < 2 || this.video.seeking) return;
      clearTimeout(deadline);
      this.#goalMs = null;
      this.#look();
    };
    for (const event of ['loadeddata', 'seeked', 'playing']) this.video.addEventListener(event, shown, { signal });
    const start = { video: this.video, signal, fail, freshUrl: (/** @type {string} */ url) => this.#session.withToken(url) };
    try {
      const recorded = hasMediaSource()
        ? await startRecorded({ ...start, url: this.#session.recordingUrl(path, 'm3u8', { from, to }) }, ms)
        : startRecordedFile({ ...start, url: this.#session.recordingUrl(path, 'mp4', { from: ms, to }) }, ms, ms);
      if (signal.aborted) return;
      this.#recorded = recorded;
      this.setSpeed(this.#speed);
      this.#apply();
    } catch {
      fail({ kind: 'network' });
    }
  }

  #apply() {
    const video = this.video;
    if (this.#recorded === null) return;
    if (!this.#shouldPlay) {
      video.pause();
      this.#look();
      return;
    }
    video.play().catch((/** @type {DOMException} */ error) => {
      if (error.name !== 'NotAllowedError') return;
      this.#shouldPlay = false;
      this.#set('blocked');
    });
  }

  #end() {
    const wall = this.#recorded?.wallMs() ?? null;
    if (wall !== null) this.#view.ended(wall);
  }

  /** What the element does, as a state. */
  #look() {
    if (this.#recorded === null || this.state === 'error' || this.state === 'none') return;
    const { readyState, paused, seeking } = this.video;
    if (readyState < 3 && !(paused && readyState === 2)) this.#set('starting');
    else if (paused) this.#set(this.state === 'blocked' ? 'blocked' : 'paused');
    else this.#set(seeking ? 'starting' : 'playing');
  }

  /** @param {FootageState} state */
  #set(state) {
    this.state = state;
    this.#render();
  }

  #render() {
    const { state, error, video } = this;
    this.element.dataset.state = state;
    setText(this.#name, this.displayName);
    video.setAttribute('aria-label', this.displayName);
    video.dataset.state = state;
    video.dataset.path = this.path ?? '';
    video.dataset.wall = this.wallMs === null ? '' : String(Math.round(this.wallMs));
    const title = {
      empty: this.path === null ? 'Choose a camera' : '',
      none: 'No footage at this time',
      starting: '',
      playing: '',
      paused: '',
      blocked: 'Press Play',
      error: error?.title ?? '',
    }[state];
    const advice = state === 'error' ? (error?.advice ?? '') : '';
    const content = `${state}\n${title}\n${advice}`;
    if (this.#cover.dataset.content !== content) {
      this.#cover.dataset.content = content;
      this.#cover.setAttribute('role', state === 'error' ? 'alert' : 'none');
      this.#cover.replaceChildren();
      if (state === 'starting') this.#cover.append(el('span', { class: 'spinner', 'aria-hidden': 'true' }));
      if (state === 'blocked') this.#cover.append(icon('play'));
      if (title) this.#cover.append(el('p', { class: 'cover-title' }, title));
      if (advice) this.#cover.append(el('p', { class: 'cover-advice' }, advice));
    }
    this.#view.changed();
  }
}
