// What was recorded of a camera: a day of it as a bar, the picture at any time, a second camera beside it at the same time
// of day, and what can be taken away as a file. A picture is footage.js, the bar timeline.js, the arithmetic spans.js.

import { el, iconButton, setIcon, setText } from './dom.js';
import { Footage } from './footage.js';
import { explainRecorded } from './messages.js';
import { LoginNeeded, Refused } from './session.js';
import {
  HOUR_MS, MINUTE_MS, SECOND_MS, dateText, dayBeside, dayNamed, dayOf, footageFrom, footageMs, lengthText, spanAt, startAfter,
  startBefore, timeNamed, timeText, windowOf,
} from './spans.js';
import { Timeline } from './timeline.js';

/** @typedef {import('./session.js').Camera} Camera */
/** @typedef {import('./session.js').Session} Session */
/** @typedef {import('./spans.js').Span} Span */
/** @typedef {import('./spans.js').Range} Range */

/** What the bar can stand for, from the whole day down. */
const ZOOMS_MS = [25 * HOUR_MS, 6 * HOUR_MS, HOUR_MS, 10 * MINUTE_MS];
const SPEEDS = [0.25, 0.5, 1, 2, 4, 8, 16];
const STEP_MS = 10 * SECOND_MS;
/** How often the second picture is brought together with the first. */
const TOGETHER_MS = 200;
/** How often today's footage is asked for. */
const RENEW_MS = 20_000;
/** How many days are looked through for more footage. */
const MOST_DAYS = 31;
/** More rows of spans than anybody reads; the bar shows all. */
const MOST_ROWS = 50;

export class Recordings {
  #session;
  #page;
  /** @type {Camera[]} */
  #cameras = [];
  #day = dayOf(Date.now());
  /** @type {Span[][]} of the day, of each picture's camera */
  #spans = [[], []];
  #zoom = 0;
  /** The middle of the bar where it is zoomed. */
  #middleMs = 0;
  /** @type {Range} what a download takes */
  #part = { fromMs: 0, toMs: 0 };
  #speed = 1;
  #isShown = false;
  /** Counts what is asked for: an answer to an older question is let go. */
  #asked = 0;
  #isAsking = false;
  /** Whether the spans are those of the day. */
  #isKnown = false;
  /** The time that was asked for, while that isn't so. @type {number | null} */
  #wantedMs = null;
  #planned = false;

  #title = el('h2', {}, 'Recordings');
  #date = el('input', { type: 'date', id: 'recordings-date' });
  #beside = el('select', { id: 'recordings-beside' });
  #moment = el('p', { class: 'moment' });
  #note = el('p', { class: 'hint', id: 'recordings-note' });
  #problem = el('p', { class: 'problem', role: 'alert', id: 'recordings-problem' });
  #list = el('ol', { class: 'spans' });
  #playButton = iconButton('play', 'Play', () => this.#toggle());
  #soundButton = iconButton('muted', 'Sound on', () => this.#mute(!this.#footages[0].video.muted));
  #nearer = iconButton('near', 'Show less of the day', () => this.#zoomBy(1));
  #farther = iconButton('far', 'Show more of the day', () => this.#zoomBy(-1));
  #speeds = el('select', { id: 'recordings-speed' }, ...SPEEDS.map((speed) => el('option', { value: speed, selected: speed === 1 }, `${speed} ×`)));
  #from = el('input', { type: 'time', step: 1, id: 'recordings-from' });
  #to = el('input', { type: 'time', step: 1, id: 'recordings-to' });
  #save = el('button', { type: 'button', class: 'quiet' }, 'Download MP4');
  #timeline = new Timeline((ms) => this.#goTo(ms), (step) => this.#zoomBy(step));
  #footages;
  #pictures;

  /**
   * @param {HTMLElement} element @param {Session} session
   * @param {{changed: () => void, moved: () => void, loginNeeded: () => void}} page moved: another camera, day or place
   */
  constructor(element, session, page) {
    this.element = element;
    this.#session = session;
    this.#page = page;
    this.#footages = [1, 2].map((number) => new Footage(number, session, {
      changed: () => this.#renderSoon(),
      ended: (ms) => number === 1 && this.#goOn(ms),
      loginNeeded: page.loginNeeded,
    }));
    this.#pictures = el('div', { class: 'pictures' }, ...this.#footages.map((one) => one.element));
    element.append(
      el('div', { class: 'recordings-head' }, this.#title, this.#dayChoice(), this.#besideChoice()),
      this.#pictures,
      this.#controls(),
      this.#timeline.element,
      this.#problem,
      this.#note,
      this.#download(),
      el('h3', {}, 'Footage of this day'),
      this.#list,
    );
    this.#footages[1].element.hidden = true;
    setInterval(() => this.#keepTogether(), TOGETHER_MS);
    setInterval(() => this.#renew(), RENEW_MS);
    this.#render();
  }

  /** The cameras whose pictures are shown. @returns {string[]} */
  get paths() {
    return this.#footages.flatMap(({ path }) => (path === null ? [] : [path]));
  }

  /** When the picture was taken. @returns {number | null} */
  get atMs() {
    return this.#footages[0].wallMs;
  }

  /** @returns {'list' | 'playing' | 'error'} */
  get state() {
    if (this.#footages.some((one) => one.isPlaying)) return 'playing';
    return this.#footages.some((one) => one.state === 'error') || this.#problem.textContent !== '' ? 'error' : 'list';
  }

  /** @param {Camera[]} cameras as last heard of */
  setCameras(cameras) {
    this.#cameras = cameras;
    for (const one of this.#footages) one.camera = cameras.find(({ path }) => path === one.path) ?? one.camera;
    this.#render();
  }

  /** @param {boolean} isShown */
  setShown(isShown) {
    this.#isShown = isShown;
    this.element.hidden = !isShown;
    if (!isShown) for (const one of this.#footages) one.setPlaying(false);
  }

  /** After a login: what was asked for is asked for again. */
  resume() {
    this.#renew();
    for (const one of this.#footages) if (one.state === 'error') one.again();
  }

  /** Forgets what was looked at, as somebody else may log in. */
  close() {
    for (const one of this.#footages) one.clear();
    this.#footages[1].element.hidden = true;
    this.#asked += 1;
    this.#isAsking = false;
    this.#spans = [[], []];
    this.#isKnown = false;
    this.#say('');
    this.#render();
  }

  /**
   * Shows a camera, at the time that another one was shown, if there was one; else from where today's footage begins.
   *
   * @param {string} path @param {{atMs?: number | null, beside?: string | null}} [how]
   */
  async open(path, { atMs = this.atMs, beside } = {}) {
    const [first, second] = this.#footages;
    const andPlay = first.shouldPlay || first.path === null;
    const before = first.path;
    first.choose(path, this.#cameraOf(path));
    if (before !== path) first.unload('empty');
    if (beside) second.choose(beside, this.#cameraOf(beside));
    else if (second.path === path) second.clear();
    second.element.hidden = second.path === null;
    this.#render();
    await this.#setDay(dayOf(atMs ?? Date.now()), atMs, andPlay);
  }

  // ---- where in time

  /** Turns to a day: to that time of it, or to where its footage begins. @param {Range} day @param {number | null} atMs @param {boolean} andPlay */
  async #setDay(day, atMs, andPlay) {
    const isOther = day.fromMs !== this.#day.fromMs;
    this.#day = day;
    if (isOther || !this.#isKnown) this.#spans = [[], []];
    this.#isKnown = false;
    this.#wantedMs = atMs;
    for (const one of this.#footages) if (isOther) one.unload('none');
    this.#footages[0].setPlaying(andPlay);
    this.#say('');
    this.#render();
    if (!(await this.#ask())) return;
    const [spans] = this.#spans;
    // The smallest part of the day that has it all.
    const all = spans.length === 0 ? day.toMs - day.fromMs : (spans.at(-1)?.endMs ?? 0) - spans[0].startMs;
    this.#zoom = ZOOMS_MS.findLastIndex((one, index) => index === 0 || all <= one * 0.9);
    this.#middleMs = spans.length === 0 ? day.fromMs : spans[0].startMs + all / 2;
    const at = footageFrom(spans, atMs ?? spans[0]?.startMs ?? day.fromMs) ?? spans.at(-1)?.startMs ?? null;
    const endMs = spanAt(spans, at ?? 0)?.endMs ?? 0;
    this.#part = { fromMs: at ?? day.fromMs, toMs: at === null ? day.fromMs : Math.min(at + MINUTE_MS, endMs) };
    if (at === null) for (const one of this.#footages) one.unload('none');
    else this.#show(at, andPlay);
    this.#page.moved();
    this.#render();
  }

  /** Asks what there is of the day. @returns {Promise<boolean>} whether that is known now */
  async #ask() {
    this.#asked += 1;
    const mine = this.#asked;
    const { fromMs, toMs } = this.#day;
    this.#isAsking = true;
    try {
      const spans = await Promise.all(this.#footages.map(({ path }) => (path === null ? [] : this.#session.spans(path, fromMs, toMs))));
      if (mine !== this.#asked) return false;
      this.#spans = spans;
      this.#isKnown = true;
      this.#render();
      return true;
    } catch (error) {
      if (mine === this.#asked) this.#fail(error);
      return false;
    } finally {
      if (mine === this.#asked) this.#isAsking = false;
    }
  }

  /** What is recorded just now is seen some time later. */
  async #renew() {
    if (!this.#isShown || document.hidden || this.#footages[0].path === null) return;
    if (this.#isKnown && Date.now() > this.#day.toMs + 10 * MINUTE_MS) return;
    if (this.#isAsking) return;
    const { shouldPlay } = this.#footages[0];
    if (!this.#isKnown) {
      await this.#setDay(this.#day, this.atMs ?? this.#wantedMs, shouldPlay);
      return;
    }
    const had = this.#spans[0].length > 0;
    if ((await this.#ask()) && !had && this.#spans[0].length > 0) await this.#setDay(this.#day, null, shouldPlay);
  }

  /** @param {number} ms */
  #goTo(ms) {
    const [first] = this.#footages;
    if (first.path === null || !this.#isKnown) return;
    if (ms < this.#day.fromMs || ms >= this.#day.toMs) {
      if (ms < Date.now()) this.#setDay(dayOf(ms), ms, first.shouldPlay);
      return;
    }
    const [spans] = this.#spans;
    const at = footageFrom(spans, ms);
    if (at === null) {
      this.#say(spans.length === 0 ? '' : 'There is no footage of this day behind that time.');
      return;
    }
    this.#say('');
    this.#show(at, first.shouldPlay);
    this.#page.moved();
  }

  /** @param {number} ms @param {boolean} andPlay */
  #show(ms, andPlay) {
    this.#footages[0].show(ms, andPlay);
    const second = this.#footages[1];
    if (second.path === null) return;
    if (spanAt(this.#spans[1], ms)) second.show(ms, andPlay);
    else second.unload('none');
  }

  /** Where what was loaded ends, more is loaded; where footage ends, the next is shown. @param {number} ms */
  async #goOn(ms) {
    if (ms >= this.#day.toMs - SECOND_MS) {
      await this.#seek(1);
      return;
    }
    if (Date.now() < this.#day.toMs && !(await this.#ask())) return;
    // A little on, so that footage that can't be read holds up nothing.
    const next = footageFrom(this.#spans[0], ms + SECOND_MS / 2);
    if (next === null) await this.#seek(1);
    else this.#show(next, true);
  }

  /** To where the footage behind the next gap begins, or that before; on another day, if there is none on this. @param {-1 | 1} step */
  async #seek(step) {
    const [first] = this.#footages;
    if (first.path === null) return;
    const now = first.wallMs ?? (step < 0 ? this.#day.fromMs : this.#day.toMs);
    const find = step < 0 ? startBefore : startAfter;
    const here = find(this.#spans[0], now);
    if (here !== null) {
      this.#show(here, first.shouldPlay);
      this.#page.moved();
      return;
    }
    this.#say('');
    this.#asked += 1;
    this.#isAsking = false;
    const mine = this.#asked;
    let day = this.#day;
    try {
      for (let days = 0; days < MOST_DAYS; days += 1) {
        day = dayBeside(day, step);
        if (day.fromMs > Date.now()) break;
        const spans = await this.#session.spans(first.path, day.fromMs, day.toMs);
        if (mine !== this.#asked) return;
        if (spans.length > 0) {
          const last = spans[spans.length - 1];
          await this.#setDay(day, step < 0 ? last.startMs : spans[0].startMs, first.shouldPlay);
          return;
        }
      }
    } catch (error) {
      if (mine === this.#asked) this.#fail(error);
      return;
    }
    first.setPlaying(false);
    this.#say(
      step < 0
        ? `No earlier footage, as far as ${MOST_DAYS} days back.`
        : 'This is the newest that is stored. What the camera shows now is under Live; it is here a minute or two later.',
    );
  }

  // ---- the pictures

  #toggle() {
    const [first, second] = this.#footages;
    if (first.path === null || first.state === 'none') return;
    const shouldPlay = !first.shouldPlay;
    if (first.state === 'error') {
      const ms = first.wallMs;
      if (ms !== null) this.#show(ms, true);
      return;
    }
    first.setPlaying(shouldPlay);
    if (second.state !== 'none') second.setPlaying(shouldPlay);
    this.#page.moved();
  }

  /** The second picture goes where the first is. */
  #keepTogether() {
    const [first, second] = this.#footages;
    const ms = first.wallMs;
    if (!this.#isShown || second.path === null || ms === null || first.state === 'empty' || first.state === 'none') return;
    if (first.state === 'starting' && second.state === 'starting') return;
    if (spanAt(this.#spans[1], ms)) second.follow(ms, first.isPlaying, this.#speed);
    else if (second.state !== 'none') second.unload('none');
  }

  /** @param {boolean} muted */
  #mute(muted) {
    this.#footages[0].video.muted = muted;
    this.#render();
  }

  /** @param {number} step */
  #zoomBy(step) {
    this.#zoom = Math.min(Math.max(this.#zoom + step, 0), ZOOMS_MS.length - 1);
    this.#middleMs = this.atMs ?? this.#middleMs;
    this.#render();
  }

  /** @param {string | null} path */
  async #setBeside(path) {
    const [first, second] = this.#footages;
    if (path === null) second.clear();
    else second.choose(path, this.#cameraOf(path));
    second.element.hidden = path === null;
    this.#page.moved();
    if (first.path === null || !(await this.#ask())) return;
    const ms = first.wallMs;
    if (ms !== null) this.#show(ms, first.shouldPlay);
  }

  // ---- files

  async #saveMp4() {
    const { path, displayName } = this.#footages[0];
    const { fromMs, toMs } = this.#part;
    if (path === null) return;
    if (fromMs >= toMs) {
      this.#say('The part ends before it begins. Set From to an earlier time than To.');
      return;
    }
    this.#say('');
    this.#save.disabled = true;
    try {
      await this.#session.recordingBytes(path, fromMs, toMs);
      const url = this.#session.recordingUrl(path, 'mp4', { from: fromMs, to: toMs });
      download(url, `${fileName(displayName, fromMs)}.mp4`);
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#save.disabled = false;
    }
  }

  async #savePicture() {
    const { path, displayName } = this.#footages[0];
    const ms = this.atMs;
    if (path === null || ms === null) return;
    this.#say('');
    try {
      // The very picture that is shown, else what the server makes of the keyframe before.
      const blob = (await this.#footages[0].picture()) ?? (await this.#session.picture(path, ms));
      const url = URL.createObjectURL(blob);
      download(url, `${fileName(displayName, ms)}.jpg`);
      setTimeout(() => URL.revokeObjectURL(url), MINUTE_MS);
    } catch (error) {
      this.#fail(error);
    }
  }

  // ---- what is on the page

  #dayChoice() {
    const before = el('button', { type: 'button', class: 'quiet' }, 'Day before');
    const after = el('button', { type: 'button', class: 'quiet' }, 'Day after');
    const turn = (/** @type {-1 | 1} */ step) => this.#setDay(dayBeside(this.#day, step), null, this.#footages[0].shouldPlay);
    before.addEventListener('click', () => turn(-1));
    after.addEventListener('click', () => turn(1));
    this.#date.addEventListener('change', () => {
      const day = dayNamed(this.#date.value);
      if (day) this.#setDay(day, null, this.#footages[0].shouldPlay);
    });
    return el('div', { class: 'day' }, before, el('label', { class: 'unseen', for: 'recordings-date' }, 'Day'), this.#date, after);
  }

  #besideChoice() {
    this.#beside.addEventListener('change', () => this.#setBeside(this.#beside.value === '' ? null : this.#beside.value));
    return el('label', { class: 'field', for: 'recordings-beside' }, el('span', {}, 'Beside it'), this.#beside);
  }

  #controls() {
    this.#speeds.addEventListener('change', () => {
      this.#speed = Number(this.#speeds.value);
      for (const one of this.#footages) one.setSpeed(this.#speed);
    });
    const step = (/** @type {number} */ ms) => this.atMs !== null && this.#goTo(this.atMs + ms);
    return el(
      'div',
      { class: 'controls' },
      iconButton('earlier', 'Earlier footage', () => this.#seek(-1)),
      iconButton('back', 'Back 10 s', () => step(-STEP_MS)),
      this.#playButton,
      iconButton('forth', 'On 10 s', () => step(STEP_MS)),
      iconButton('later', 'Later footage', () => this.#seek(1)),
      this.#moment,
      el('label', { class: 'field', for: 'recordings-speed' }, el('span', {}, 'Speed'), this.#speeds),
      this.#soundButton,
      iconButton('picture', 'Save the picture', () => this.#savePicture()),
      iconButton('fullscreen', 'Fullscreen', () => this.#fullscreen()),
      this.#farther,
      this.#nearer,
    );
  }

  #download() {
    const now = (/** @type {'fromMs' | 'toMs'} */ end, /** @type {string} */ label) => {
      const button = el('button', { type: 'button', class: 'quiet', 'aria-label': label }, 'Here');
      button.addEventListener('click', () => {
        const ms = this.atMs;
        if (ms !== null) this.#part = { ...this.#part, [end]: Math.round(ms) };
        this.#render();
      });
      return button;
    };
    /** @param {HTMLInputElement} input @param {'fromMs' | 'toMs'} end */
    const typed = (input, end) => input.addEventListener('change', () => {
      const ms = timeNamed(this.#day, input.value);
      if (ms !== null) this.#part = { ...this.#part, [end]: ms };
      this.#render();
    });
    typed(this.#from, 'fromMs');
    typed(this.#to, 'toMs');
    this.#save.addEventListener('click', () => this.#saveMp4());
    /** @param {string} label @param {HTMLInputElement} input @param {HTMLElement} button */
    const end = (label, input, button) =>
      el('div', { class: 'field' }, el('label', { for: input.id }, label), input, button);
    return el(
      'div',
      { class: 'part', role: 'group', 'aria-label': 'Part to download' },
      end('From', this.#from, now('fromMs', 'Here: from the picture shown')),
      end('to', this.#to, now('toMs', 'Here: to the picture shown')),
      this.#save,
    );
  }

  #fullscreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else if (this.#pictures.requestFullscreen) this.#pictures.requestFullscreen().catch(() => {});
    else /** @type {any} */ (this.#footages[0].video).webkitEnterFullscreen?.();
  }

  /** Pictures report many small changes at once. */
  #renderSoon() {
    if (this.#planned) return;
    this.#planned = true;
    queueMicrotask(() => {
      this.#planned = false;
      this.#render();
      this.#page.changed();
    });
  }

  #render() {
    const [first, second] = this.#footages;
    const [spans, others] = this.#spans;
    const at = this.atMs;
    setText(this.#title, first.displayName || 'Recordings');
    if (this.#date.value !== dateText(this.#day.fromMs) && document.activeElement !== this.#date) this.#date.value = dateText(this.#day.fromMs);
    this.#date.max = dateText(Date.now());
    setText(this.#moment, at === null ? '' : new Date(at).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' }));
    const plays = first.shouldPlay && !['error', 'none', 'empty'].includes(first.state);
    setIcon(this.#playButton, plays ? 'pause' : 'play', plays ? 'Pause' : 'Play');
    const { muted } = first.video;
    setIcon(this.#soundButton, muted ? 'muted' : 'sound', muted ? 'Sound on' : 'Sound off');
    this.#nearer.disabled = this.#zoom === ZOOMS_MS.length - 1;
    this.#farther.disabled = this.#zoom === 0;
    this.#pictures.dataset.count = second.path === null ? '1' : '2';
    this.#followBar(at);
    const shown = windowOf(this.#day, ZOOMS_MS[this.#zoom], this.#middleMs);
    this.#timeline.update(shown, second.path === null ? [spans] : [spans, others], this.#isKnown && spans.length > 0 ? this.#part : null);
    this.#timeline.setTime(at);
    for (const [input, ms] of /** @type {[HTMLInputElement, number][]} */ ([[this.#from, this.#part.fromMs], [this.#to, this.#part.toMs]])) {
      const text = timeText(ms);
      if (document.activeElement !== input && input.value !== text) input.value = text;
    }
    this.#save.hidden = spans.length === 0;
    setText(this.#note, this.#noteText());
    this.#renderBeside();
    this.#renderList(at);
  }

  /** The bar goes along where the picture leaves it. @param {number | null} at */
  #followBar(at) {
    if (at === null || this.#zoom === 0) return;
    const { fromMs, toMs } = windowOf(this.#day, ZOOMS_MS[this.#zoom], this.#middleMs);
    if (at < fromMs || at > toMs) this.#middleMs = at;
  }

  #noteText() {
    const [first] = this.#footages;
    if (first.path === null) return 'Choose a camera to see what was recorded of it.';
    if (!this.#isKnown) return this.#problem.textContent === '' ? 'Looking for footage…' : '';
    const [spans] = this.#spans;
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (spans.length === 0) {
      const name = first.camera?.name ?? 'NAME';
      return `No footage of this day. "Earlier footage" looks for the day before it. If there should be some: kubectl get recordschedules, and kubectl describe camera ${name}, whose condition Recording says what is wrong.`;
    }
    const count = spans.length === 1 ? 'without a gap' : `in ${spans.length} parts`;
    return `${lengthText(footageMs(spans))} of footage ${count}. Times are those of ${zone}, where this browser is.`;
  }

  #renderBeside() {
    const [first, second] = this.#footages;
    const others = this.#cameras
      .filter(({ path }) => path !== first.path)
      .map(({ path, displayName, name }) => ({ path, text: displayName || name || path }));
    // Where anybody may watch, a link names a camera although the list wants a login.
    if (second.path !== null && !others.some(({ path }) => path === second.path)) others.push({ path: second.path, text: second.displayName });
    const key = JSON.stringify(others);
    if (this.#beside.dataset.key !== key) {
      this.#beside.dataset.key = key;
      this.#beside.replaceChildren(
        el('option', { value: '' }, 'No other camera'),
        ...others.map(({ path, text }) => el('option', { value: path }, text)),
      );
    }
    const value = second.path ?? '';
    if (this.#beside.value !== value) this.#beside.value = value;
  }

  /** @param {number | null} at */
  #renderList(at) {
    const [spans] = this.#spans;
    const key = JSON.stringify(spans);
    if (this.#list.dataset.key !== key) {
      this.#list.dataset.key = key;
      this.#list.replaceChildren(
        ...spans.slice(0, MOST_ROWS).map((span) => {
          const text = `${timeText(span.startMs)} – ${timeText(span.endMs)}`;
          const button = el('button', { type: 'button', class: 'quiet' }, text, el('span', { class: 'hint' }, lengthText(span.endMs - span.startMs)));
          button.addEventListener('click', () => this.#goTo(span.startMs));
          return el('li', {}, button);
        }),
      );
      if (spans.length > MOST_ROWS) this.#list.append(el('li', { class: 'hint' }, `and ${spans.length - MOST_ROWS} more`));
    }
    const now = at === null ? -1 : spans.findIndex((span) => at >= span.startMs && at < span.endMs);
    [...this.#list.querySelectorAll('button')].forEach((button, index) => {
      if (index === now) button.setAttribute('aria-current', 'true');
      else button.removeAttribute('aria-current');
    });
  }

  /** @param {string} path */
  #cameraOf(path) {
    return this.#cameras.find((camera) => camera.path === path);
  }

  /** @param {string} text */
  #say(text) {
    setText(this.#problem, text);
    this.#renderSoon();
  }

  /** @param {unknown} error */
  #fail(error) {
    if (error instanceof LoginNeeded) this.#page.loginNeeded();
    const name = this.#footages[0].displayName;
    const status = error instanceof LoginNeeded ? 401 : error instanceof Refused ? error.status : null;
    const { title, advice } = explainRecorded(status === null ? { kind: 'network' } : { kind: 'status', status }, name);
    this.#say(`${title}. ${advice}`);
  }
}

/** @param {string} name @param {number} ms */
function fileName(name, ms) {
  return `${name.replace(/[^\p{L}\p{N}._-]+/gu, '-')}-${dateText(ms)}-${timeText(ms).replaceAll(':', '')}`;
}

/** @param {string} url @param {string} name */
function download(url, name) {
  const link = el('a', { href: url, download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
}
