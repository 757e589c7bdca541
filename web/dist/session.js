// The server as this page sees it: its JSON, the access token, and the URLs that carry the token. Tokens live in
// sessionStorage, so that a reload keeps the login and closing the tab ends it. Nothing here touches the page.

import { HOUR_MS, joined } from './spans.js';
import { encodePath, streamPath } from './ways.js';

/** @typedef {import('./ways.js').Way} Way */
/** @typedef {import('./spans.js').Span} Span */

/** @typedef {{kind: string, codec: string, width?: number, height?: number}} Track */
/**
 * @typedef {{name: string, namespace?: string, path: string, displayName?: string, source?: string, node?: string,
 *   ready: boolean, reason?: string, message?: string, codec?: string, size?: string, tracks?: Track[],
 *   viewers?: number}} Camera
 */
/** @typedef {{rtsp?: number, http?: number, rtmp?: number, tls?: boolean, anonymousView?: boolean}} Endpoints */

const ACCESS = 'weir.access_token';
const REFRESH = 'weir.refresh_token';
const DEADLINE_MS = 10_000;

/** The server wants a login that this session doesn't have, or no longer. */
export class LoginNeeded extends Error {}

/** The server answered with an error status. */
export class Refused extends Error {
  /** @param {number} status */
  constructor(status) {
    super(`the server answered ${status}`);
    this.status = status;
  }
}

export class Session {
  #base;
  #storage;
  /** @type {Promise<boolean> | null} one refresh at a time: a refresh token works once */
  #refreshing = null;

  /** @param {string} base URL of the page @param {Storage} storage */
  constructor(base, storage) {
    this.#base = base;
    this.#storage = storage;
  }

  get token() {
    return this.#storage.getItem(ACCESS) ?? '';
  }

  /** Takes the access token out of a link. @param {string} token */
  adopt(token) {
    this.forget();
    this.#storage.setItem(ACCESS, token);
  }

  forget() {
    this.#storage.removeItem(ACCESS);
    this.#storage.removeItem(REFRESH);
  }

  /**
   * @param {string} username @param {string} password
   * @returns {Promise<boolean>} false where the server doesn't know this name and password
   * @throws {Refused}
   */
  async login(username, password) {
    const options = {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ username, password }),
    };
    const { status, ok, json } = await request(this.#url('api/v1/login'), options, answer);
    if (status === 401 || status === 403) return false;
    if (!ok) throw new Refused(status);
    this.#keep(json);
    return true;
  }

  /** @returns {Promise<Camera[]>} @throws {LoginNeeded | Refused} */
  async cameras() {
    const { cameras } = await this.#get('api/weir/v1/cameras');
    return Array.isArray(cameras) ? cameras : [];
  }

  /** @returns {Promise<Endpoints>} @throws {LoginNeeded | Refused} */
  async endpoints() {
    return this.#get('api/weir/v1/endpoints');
  }

  /**
   * The spans of a range that have footage.
   *
   * @param {string} path @param {number} fromMs @param {number} toMs
   * @returns {Promise<Span[]>} @throws {LoginNeeded | Refused}
   */
  async spans(path, fromMs, toMs) {
    const query = new URLSearchParams({ path: path.replace(/^\/+/, ''), from: String(fromMs), to: String(toMs) });
    try {
      const { spans } = await this.#get(`api/weir/v1/recordings?${query}`);
      return Array.isArray(spans) ? spans : [];
    } catch (error) {
      // Short segments may be more than the server looks through at once: half the range has half as many.
      if (!(error instanceof Refused && error.status === 400) || toMs - fromMs <= HOUR_MS) throw error;
      const middleMs = Math.floor((fromMs + toMs) / 2);
      return joined(await this.spans(path, fromMs, middleMs), await this.spans(path, middleMs, toMs));
    }
  }

  /**
   * Where to get recorded footage, with the token of now.
   *
   * @param {string} path @param {'m3u8' | 'mp4' | 'jpg'} extension @param {Record<string, number>} times
   */
  recordingUrl(path, extension, times) {
    const url = this.#url(`recordings/${encodePath(path)}.${extension}`);
    for (const [name, ms] of Object.entries(times)) url.searchParams.set(name, String(Math.round(ms)));
    return this.withToken(url.href);
  }

  /** How large an MP4 of a range is. @param {string} path @param {number} from @param {number} to @throws {LoginNeeded | Refused} */
  async recordingBytes(path, from, to) {
    const address = () => this.recordingUrl(path, 'mp4', { from, to });
    const { response } = await this.#ask(address, { method: 'HEAD' }, (response) => ({ ...outcome(response), response }));
    return Number(response.headers.get('content-length') ?? 0);
  }

  /** The picture at a time, as JPEG. @param {string} path @param {number} at @returns {Promise<Blob>} @throws {LoginNeeded | Refused} */
  async picture(path, at) {
    const address = () => this.recordingUrl(path, 'jpg', { at });
    const read = async (/** @type {Response} */ response) => ({ ...outcome(response), blob: await response.blob() });
    return (await this.#ask(address, {}, read)).blob;
  }

  /** Where to get a stream, with the token of now. @param {string} path @param {Way} way */
  streamUrl(path, way) {
    return this.withToken(this.publicStreamUrl(path, way));
  }

  /** Where to get a stream that anybody may watch. @param {string} path @param {Way} way */
  publicStreamUrl(path, way) {
    const url = this.#url(streamPath(path, way));
    if (way === 'ws') url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    return url.href;
  }

  /**
   * The same URL with the token of now, if it is one of this server's. A playlist carries the token it was asked
   * with into its segments, and a refresh ends that token while the playlist still plays.
   *
   * @param {string} address
   */
  withToken(address) {
    const url = new URL(address, this.#base);
    const token = this.token;
    if (token !== '' && url.host === new URL(this.#base).host) url.searchParams.set('token', token);
    return url.href;
  }

  /**
   * What the server says to a request for this stream, asked for its status alone. WebSockets hide it.
   *
   * @param {string} path @returns {Promise<number>} 0 where there was no answer
   */
  async streamStatus(path) {
    const url = new URL(this.streamUrl(path, 'flv'));
    return request(url, {}, (response) => response.status).catch(() => 0);
  }

  /**
   * Trades the refresh token for a new pair. `used` is the access token that was refused: where another request has
   * refreshed it meanwhile, there is nothing left to do.
   *
   * @param {string} used
   * @returns {Promise<boolean>} whether there is a token worth trying
   */
  async refresh(used) {
    if (this.token !== used) return this.token !== '';
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  async #refresh() {
    const refresh = this.#storage.getItem(REFRESH);
    if (refresh === null) return false;
    const url = this.#url('api/v1/refreshtoken');
    url.searchParams.set('token', refresh);
    const { status, ok, json } = await request(url, {}, answer);
    if (status === 401 || status === 403) {
      this.forget();
      return false;
    }
    if (!ok) throw new Refused(status);
    this.#keep(json);
    return true;
  }

  /** @param {string} path */
  async #get(path) {
    return (await this.#ask(() => this.withToken(this.#url(path).href), {}, answer)).json;
  }

  /**
   * Asks, once more with a new token where the old one has ended.
   *
   * @template {{status: number, ok: boolean}} T
   * @param {() => string} address with the token of now @param {RequestInit} options
   * @param {(response: Response) => T | Promise<T>} read
   * @returns {Promise<T>} @throws {LoginNeeded | Refused}
   */
  async #ask(address, options, read) {
    const ask = () => request(new URL(address()), options, read);
    const used = this.token;
    let told = await ask();
    if (told.status === 401 && (await this.refresh(used))) told = await ask();
    if (told.status === 401) throw new LoginNeeded();
    if (!told.ok) throw new Refused(told.status);
    return told;
  }

  /** @param {{access_token: string, refresh_token: string}} pair */
  #keep(pair) {
    this.#storage.setItem(ACCESS, pair.access_token);
    this.#storage.setItem(REFRESH, pair.refresh_token);
  }

  /** @param {string} path */
  #url(path) {
    return new URL(path, this.#base);
  }
}

/**
 * Runs a request with a deadline that covers the whole answer. What `read` makes of the response is the result.
 *
 * @template T
 * @param {URL} url @param {RequestInit} options @param {(response: Response) => T | Promise<T>} read
 * @returns {Promise<T>}
 */
async function request(url, options, read) {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), DEADLINE_MS);
  try {
    const init = { cache: /** @type {const} */ ('no-store'), signal: abort.signal, ...options };
    return await read(await fetch(url, init));
  } finally {
    clearTimeout(timer);
    abort.abort();
  }
}

/** @param {Response} response */
async function answer(response) {
  return { ...outcome(response), json: response.ok ? await response.json() : null };
}

/** @param {Response} response */
function outcome({ status, ok }) {
  return { status, ok };
}
