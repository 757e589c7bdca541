// The list of cameras: a row each with its state, filtered by what is typed, in the order of their names. Rows are kept
// and updated in place, because the list is renewed every two seconds while somebody may be reaching for a row.

import { el, setText } from './dom.js';
import { codecName } from './ways.js';

/** @typedef {import('./session.js').Camera} Camera */

/** More rows than anybody reads; the filter finds the rest. */
const MOST_ROWS = 300;

/** Reasons for not being ready that are nobody's fault. */
const PASSING = new Set(['Connecting', 'Moving', 'Disabled', 'WaitingForPublisher']);

export class CameraList {
  #list;
  #note;
  #filter;
  #play;
  /** @type {Map<string, Row>} by path */
  #rows = new Map();
  /** @type {Camera[]} */
  #cameras = [];
  /** @type {Set<string>} */
  #playing = new Set();

  /**
   * @param {{list: HTMLUListElement, note: HTMLElement, filter: HTMLInputElement}} elements
   * @param {(path: string) => void} play
   */
  constructor({ list, note, filter }, play) {
    this.#list = list;
    this.#note = note;
    this.#filter = filter;
    this.#play = play;
    filter.addEventListener('input', () => this.#render());
    filter.form?.addEventListener('submit', (event) => {
      event.preventDefault();
      const first = this.#list.querySelector('button');
      if (this.#filter.value.trim() !== '') first?.click();
    });
  }

  /** @param {Camera[]} cameras @param {Set<string>} playing paths in lower case */
  update(cameras, playing) {
    this.#cameras = [...cameras].sort((a, b) => title(a).localeCompare(title(b), undefined, { numeric: true }));
    this.#playing = playing;
    this.#render();
  }

  /** @param {Set<string>} playing paths in lower case */
  setPlaying(playing) {
    this.#playing = playing;
    for (const row of this.#rows.values()) row.setPlaying(playing.has(row.path.toLowerCase()));
  }

  #render() {
    const wanted = this.#filter.value.trim().toLowerCase();
    const matching = this.#cameras.filter((camera) => searchText(camera).includes(wanted));
    const shown = matching.slice(0, MOST_ROWS);
    const manyNamespaces = new Set(this.#cameras.map((camera) => camera.namespace)).size > 1;

    /** @type {Map<string, Row>} */
    const rows = new Map();
    for (const camera of shown) {
      const row = this.#rows.get(camera.path) ?? new Row(camera.path, this.#play);
      row.update(camera, manyNamespaces);
      row.setPlaying(this.#playing.has(camera.path.toLowerCase()));
      rows.set(camera.path, row);
    }
    this.#rows = rows;
    const elements = [...rows.values()].map((row) => row.element);

    // A Route or a publisher may serve a path that no camera has.
    const path = this.#filter.value.trim().replace(/^\/+/, '');
    if (path !== '' && matching.length === 0) elements.push(this.#otherStream(path));
    place(this.#list, elements);
    setText(this.#note, this.#noteText(matching.length - shown.length));
  }

  /** @param {number} left */
  #noteText(left) {
    if (this.#cameras.length === 0) {
      return 'No cameras yet. Make one with kubectl apply -f camera.yaml or, on one machine, put that file into the manifests folder.';
    }
    return left > 0 ? `${left} more: type a name to find them.` : '';
  }

  /** @param {string} path */
  #otherStream(path) {
    const button = el(
      'button',
      { type: 'button', class: 'camera' },
      el('span', { class: 'camera-name' }, `Play /${path}`),
      el('span', { class: 'camera-facts' }, 'No camera has this name, but a Route or a publisher may have the path.'),
    );
    button.addEventListener('click', () => this.#play(path));
    return el('li', {}, button);
  }
}

class Row {
  #name = el('span', { class: 'camera-name' });
  #state = el('span', { class: 'camera-state' });
  #facts = el('span', { class: 'camera-facts' });
  #message = el('span', { class: 'camera-message' });
  #button = el('button', { type: 'button', class: 'camera' }, this.#name, this.#state, this.#facts, this.#message);
  element = el('li', {}, this.#button);

  /** @param {string} path @param {(path: string) => void} play */
  constructor(path, play) {
    this.path = path;
    this.#button.dataset.path = path;
    this.#button.addEventListener('click', () => play(path));
  }

  /** @param {Camera} camera @param {boolean} withNamespace */
  update(camera, withNamespace) {
    const live = liveState(camera);
    this.#button.dataset.ready = String(camera.ready);
    this.#button.dataset.live = live.kind;
    setText(this.#name, title(camera));
    setText(this.#state, live.label);
    const size = camera.size?.replace('x', ' × ');
    const viewers = camera.viewers ? `${camera.viewers} ${camera.viewers === 1 ? 'viewer' : 'viewers'}` : '';
    const where = withNamespace ? camera.namespace : '';
    const facts = [where, codecName(camera.codec), size, camera.source, viewers];
    setText(this.#facts, facts.filter(Boolean).join(' · '));
    setText(this.#message, camera.ready ? '' : (camera.message ?? ''));
  }

  /** @param {boolean} playing */
  setPlaying(playing) {
    if (playing) this.#button.setAttribute('aria-current', 'true');
    else this.#button.removeAttribute('aria-current');
  }
}

/** @param {Camera} camera @returns {{kind: 'live' | 'idle' | 'problem', label: string}} */
function liveState({ ready, reason }) {
  if (reason === 'Idle') return { kind: 'idle', label: 'On demand' };
  if (ready) return { kind: 'live', label: 'Live' };
  return { kind: PASSING.has(reason ?? '') ? 'idle' : 'problem', label: reason || 'Not ready' };
}

/** @param {Camera} camera */
function title(camera) {
  return camera.displayName || camera.name || camera.path;
}

/** @param {Camera} camera */
function searchText({ displayName, name, namespace, path, reason }) {
  return [displayName, name, namespace, path, reason].join('\n').toLowerCase();
}

/** Makes these the children of a list, moving only what is out of place. @param {Element} list @param {Element[]} elements */
function place(list, elements) {
  elements.forEach((element, index) => {
    if (list.children[index] !== element) list.insertBefore(element, list.children[index] ?? null);
  });
  while (list.children.length > elements.length) list.lastElementChild?.remove();
}
