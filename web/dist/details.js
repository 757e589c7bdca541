// What the page shows about the selected player: figures of the picture, why there is none, and the addresses that open
// the stream in VLC, ffplay and the like.

import { el, setText } from './dom.js';
import { WAYS, codecFamily, codecName, encodePath } from './ways.js';

/** @typedef {import('./tile.js').Tile} Tile */
/** @typedef {import('./session.js').Session} Session */
/** @typedef {import('./session.js').Endpoints} Endpoints */

const RTSP_PORT = 1554;

export class Details {
  #element;
  #session;
  #title = el('h2');
  #problem = el('div', { class: 'problem', hidden: true });
  /** @type {Map<string, {row: HTMLElement, value: HTMLElement}>} */
  #facts = new Map();
  #factList = el('dl', { class: 'facts' });
  /** @type {Map<string, {row: HTMLElement, input: HTMLInputElement}>} */
  #addresses = new Map();
  #addressList = el('div', { class: 'addresses' });
  #tokenNote = el('p', { class: 'hint' });

  /** @param {HTMLElement} element @param {Session} session */
  constructor(element, session) {
    this.#element = element;
    this.#session = session;
    for (const name of ['Way', 'Behind live', 'Buffer', 'Codec', 'Size', 'Sound', 'Source', 'Node', 'Viewers']) {
      const value = el('dd');
      const row = el('div', {}, el('dt', {}, name), value);
      this.#facts.set(name, { row, value });
      this.#factList.append(row);
    }
    for (const name of ['RTSP', 'HTTP-FLV', 'HLS', 'ffplay']) this.#addAddress(name);
    element.append(
      this.#title,
      this.#problem,
      this.#factList,
      el('h3', {}, 'Open in another player'),
      this.#addressList,
      el('p', { class: 'hint' }, 'In VLC: Media, Open Network Stream. RTSP asks for your user name and password unless anybody may watch.'),
      this.#tokenNote,
    );
  }

  /** @param {Tile} tile @param {Endpoints} endpoints */
  show(tile, endpoints) {
    this.#element.hidden = tile.path === null;
    if (tile.path === null) return;
    setText(this.#title, tile.displayName);
    this.#showProblem(tile);
    this.#showFacts(tile);
    this.#showAddresses(tile, endpoints);
  }

  /** @param {Tile} tile */
  #showProblem({ error }) {
    const text = error ? `${error.title}. ${error.advice}` : '';
    this.#problem.hidden = error === null;
    if (this.#problem.dataset.text === text + error?.tries) return;
    this.#problem.dataset.text = text + error?.tries;
    this.#problem.replaceChildren();
    if (!error) return;
    this.#problem.append(
      el('p', {}, el('strong', {}, `${error.title}. `), error.advice),
      el('p', { class: 'hint' }, `Tried: ${error.tries}`),
    );
  }

  /** @param {Tile} tile */
  #showFacts(tile) {
    const { camera, figures, way } = tile;
    const sounds = camera?.tracks?.filter((track) => track.kind === 'audio').map((track) => track.codec) ?? [];
    /** @param {number | null | undefined} value */
    const seconds = (value) => (value === null || value === undefined ? '' : `${value.toFixed(1)} s`);
    /** @type {Record<string, string>} */
    const values = {
      Way: way ? WAYS[way].label : '',
      'Behind live': tile.state === 'playing' ? seconds(figures?.latency) : '',
      Buffer: tile.state === 'playing' ? seconds(figures?.buffer) : '',
      Codec: codecName(tile.codec),
      Size: (tile.size || camera?.size || '').replace('x', ' × '),
      Sound: camera?.tracks?.length ? sounds.join(', ') || 'none' : '',
      Source: camera?.source ?? '',
      Node: camera?.node ?? '',
      Viewers: camera?.viewers === undefined ? '' : String(camera.viewers),
    };
    for (const [name, { row, value }] of this.#facts) {
      row.hidden = values[name] === '';
      setText(value, values[name]);
    }
  }

  /** @param {Tile} tile @param {Endpoints} endpoints */
  #showAddresses({ path, codec }, { rtsp = RTSP_PORT, tls = false, anonymousView = false }) {
    if (path === null) return;
    // The page may have come by TLS of a proxy, which takes no RTSP.
    const scheme = tls && location.protocol === 'https:' ? 'rtsps' : 'rtsp';
    const rtspUrl = `${scheme}://${location.hostname}:${rtsp}/${encodePath(path)}`;
    /** @param {import('./ways.js').Way} way */
    const http = (way) => (anonymousView ? this.#session.publicStreamUrl(path, way) : this.#session.streamUrl(path, way));
    /** @type {Record<string, string>} */
    const values = {
      RTSP: rtspUrl,
      // VLC has no decoder for H.265 in FLV.
      'HTTP-FLV': codecFamily(codec) === 'h265' ? '' : http('flv'),
      HLS: http('hls'),
      ffplay: `ffplay -rtsp_transport tcp "${rtspUrl}"`,
    };
    for (const [name, { row, input }] of this.#addresses) {
      row.hidden = values[name] === '';
      if (input.value !== values[name]) input.value = values[name];
    }
    const holdsToken = !anonymousView && this.#session.token !== '';
    setText(
      this.#tokenNote,
      holdsToken ? 'The HTTP addresses hold your access token: whoever has one watches as you until it ends.' : '',
    );
  }

  /** @param {string} name */
  #addAddress(name) {
    const id = `address-${name.toLowerCase()}`;
    const input = el('input', { id, type: 'text', readonly: true, spellcheck: 'false' });
    const copy = el('button', { type: 'button', class: 'copy', 'aria-label': `Copy ${name}` }, 'Copy');
    input.addEventListener('focus', () => input.select());
    copy.addEventListener('click', async () => {
      setText(copy, (await copyText(input)) ? 'Copied' : 'Press Ctrl+C');
      setTimeout(() => setText(copy, 'Copy'), 2000);
    });
    const row = el('div', { class: 'address' }, el('label', { for: id }, name), input, copy);
    this.#addresses.set(name, { row, input });
    this.#addressList.append(row);
  }
}

/** @param {HTMLInputElement} input @returns {Promise<boolean>} */
async function copyText(input) {
  try {
    await navigator.clipboard.writeText(input.value);
    return true;
  } catch {
    // Pages over plain HTTP have no clipboard object; the old command still works there.
    input.select();
    return document.execCommand('copy');
  }
}
