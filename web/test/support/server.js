// A stand-in for the media node: serves dist under a strict CSP, the few API calls that the page makes, and streams in
// the forms that the real one has, from the clips of media.js. What a test wants broken is set per stream.

import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const DIST = fileURLToPath(new URL('../../dist/', import.meta.url));
const CSP =
  "default-src 'self'; media-src 'self' blob:; connect-src 'self' ws: wss:; worker-src 'self' blob:; img-src 'self' data:";
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
};
const UNMASKED_BINARY = 0x82;
const CLOSE = Buffer.from([0x88, 0x00]);

/**
 * How a stream behaves in one form: plays by default.
 * @typedef {{status?: number, hang?: boolean, breakAfterMs?: number, freezeAfterMs?: number}} Behaviour
 * @typedef {{flv?: Behaviour, ws?: Behaviour, hls?: Behaviour, fmp4?: boolean, burstMs?: number, muteButAnnounced?: boolean}} Stream
 */

/**
 * What was recorded of a camera. Spans last whole seconds: each is so many segments of the clip, from its beginning.
 * @typedef {{spans: {startMs: number, endMs: number}[], status?: {spans?: number, m3u8?: number, mp4?: number, jpg?: number}, most?: number}} Recorded
 */

export class FakeServer {
  /** @type {object[]} what /cameras lists */
  cameras = [];
  /** @type {Map<string, Stream>} by path; others are 404 */
  streams = new Map();
  /** @type {Map<string, Recorded>} by path; others are 404 */
  recorded = new Map();
  users = new Map([['admin', 'right password']]);
  anonymousView = false;
  /** Requests seen, as `METHOD path` without the query. @type {string[]} */
  requests = [];
  /** @type {Set<{path: string, form: string, end: () => void}>} open FLV connections */
  viewers = new Set();
  /** All of them: Node forgets the upgraded ones. @type {Set<import('node:net').Socket>} */
  #sockets = new Set();
  #access = new Set();
  /** @type {Map<string, string>} refresh token -> the access token that ends with it */
  #refresh = new Map();
  /** Access tokens that have ended for the API and go on for streams. */
  #endedForApi = new Set();
  /** @type {Map<string, number>} when the HLS of a path began */
  #hlsStart = new Map();

  constructor(media) {
    this.media = media;
    this.http = createServer((request, response) => {
      this.#answer(request, response).catch((error) => {
        response.statusCode = 500;
        response.end(String(error));
      });
    });
    this.http.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    this.http.on('upgrade', (request, socket) => this.#upgrade(request, socket));
  }

  async listen(port = 0) {
    await new Promise((resolve) => this.http.listen(port, '127.0.0.1', resolve));
    this.port = this.http.address().port;
    this.url = `http://127.0.0.1:${this.port}`;
    return this;
  }

  async close() {
    const closed = new Promise((resolve) => this.http.close(resolve));
    this.cutViewers();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /** A token as a link from the server would have it. */
  issueToken() {
    return this.#issue().access_token;
  }

  /** Ends them for API calls. Streams take them until the refresh, which ends the old pair, so that a test knows the order. */
  expireAccessTokensForApi() {
    this.#endedForApi = new Set(this.#access);
  }

  expireAllTokens() {
    this.#access.clear();
    this.#refresh.clear();
  }

  cutViewers() {
    for (const viewer of this.viewers) viewer.end();
  }

  #issue() {
    const pair = { access_token: randomBytes(16).toString('hex'), refresh_token: randomBytes(16).toString('hex') };
    this.#access.add(pair.access_token);
    this.#refresh.set(pair.refresh_token, pair.access_token);
    return pair;
  }

  async #answer(request, response) {
    const url = new URL(request.url, this.url);
    const path = decodeURIComponent(url.pathname);
    this.requests.push(`${request.method} ${path}`);
    if (path === '/api/v1/login' && request.method === 'POST') return this.#login(request, response);
    if (path === '/api/v1/refreshtoken') {
      const refresh = url.searchParams.get('token');
      if (!this.#refresh.has(refresh)) return text(response, 401, 'Token is not valid');
      this.#access.delete(this.#refresh.get(refresh));
      this.#refresh.delete(refresh);
      return json(response, this.#issue());
    }
    const token = url.searchParams.get('token');
    const allowed = this.#access.has(token) && !(path.startsWith('/api/') && this.#endedForApi.has(token));
    if (path === '/api/weir/v1/endpoints') {
      return json(response, { rtsp: 1554, http: this.port, rtmp: 1935, tls: false, anonymousView: this.anonymousView });
    }
    if (path === '/api/weir/v1/cameras') {
      return allowed ? json(response, { cameras: this.cameras }) : text(response, 401, 'Token is not valid');
    }
    if (path === '/api/weir/v1/recordings') return allowed ? this.#spans(url, response) : text(response, 401, 'Token is not valid');
    if (path.startsWith('/recordings/')) {
      if (!allowed) return text(response, 401, 'Token is not valid');
      return this.#footage(path.slice('/recordings/'.length), url, request, response);
    }
    if (path.startsWith('/streams/')) {
      if (!allowed && !this.anonymousView) return text(response, 401, 'Token is not valid');
      return this.#stream(path.slice('/streams/'.length), url, response);
    }
    return this.#file(path, response);
  }

  async #login(request, response) {
    const { username, password } = JSON.parse(Buffer.concat(await request.toArray()).toString());
    if (this.users.get(username) !== password) return text(response, 403, '用户名或密码错误');
    return json(response, this.#issue());
  }

  async #file(path, response) {
    const file = normalize(join(DIST, path === '/' ? 'index.html' : path));
    const bytes = file.startsWith(DIST) ? await readFile(file).catch(() => null) : null;
    if (bytes === null) return text(response, 404, '404 page not found');
    response.setHeader('Content-Type', TYPES[extname(file)] ?? 'application/octet-stream');
    response.setHeader('Content-Security-Policy', CSP);
    response.setHeader('X-Content-Type-Options', 'nosniff');
    response.end(bytes);
  }

  #stream(rest, url, response) {
    const segment = /^(.+)\/([^/]+\.(?:ts|m4s|mp4))$/.exec(rest);
    const path = segment ? segment[1] : rest.replace(/\.[^.]+$/, '');
    const stream = this.streams.get(path);
    if (!stream) return text(response, 404, '404 page not found');
    if (segment) return this.#segment(stream, segment[2], response);
    if (rest.endsWith('.m3u8')) {
      const { status, hang } = stream.hls ?? {};
      if (hang) return undefined;
      return status ? text(response, status, 'broken') : this.#playlist(path, stream, url, response);
    }
    const { status, hang } = stream.flv ?? {};
    if (hang) return undefined;
    if (status) return text(response, status, 'broken');
    response.writeHead(200, { 'Content-Type': 'video/x-flv' });
    this.#sendFlv({ path, form: 'flv', stream, behaviour: stream.flv }, response, (bytes) => response.write(bytes), () => response.end());
    return undefined;
  }

  #spans(url, response) {
    const [from, to] = ['from', 'to'].map((name) => Number(url.searchParams.get(name)));
    const found = this.recorded.get(url.searchParams.get('path'));
    if (!found) return text(response, 404, '404 page not found');
    if (found.status?.spans) return text(response, found.status.spans, 'broken');
    if (to - from > (found.most ?? Infinity)) return text(response, 400, 'the range has more than 10080 segments: ask for less');
    const spans = found.spans
      .filter((span) => span.endMs > from && span.startMs < to)
      .map((span) => ({ startMs: Math.max(span.startMs, from), endMs: Math.min(span.endMs, to) }));
    return json(response, { path: url.searchParams.get('path'), fromMs: from, toMs: to, spans });
  }

  #footage(rest, url, request, response) {
    const clip = this.media.fmp4;
    const piece = /^segments\/([^/]+)$/.exec(rest);
    if (piece) return this.#segment({ fmp4: true }, piece[1], response);
    const [, path, extension] = /^(.+)\.(m3u8|mp4|jpg)$/.exec(rest) ?? [];
    const found = this.recorded.get(path);
    const status = found?.status?.[extension] ?? (found ? 200 : 404);
    if (status !== 200) return text(response, status, 'broken');
    if (extension === 'jpg') {
      response.writeHead(200, { 'Content-Type': 'image/jpeg' });
      return response.end(Buffer.from([0xff, 0xd8, 0xff, 0xd9]));
    }
    const [from, to] = ['from', 'to'].map((name) => Number(url.searchParams.get(name)));
    const pieces = found.spans.flatMap(({ startMs, endMs }) =>
      clip.segments
        .slice(0, Math.round((endMs - startMs) / 1000))
        .map((segment, index) => ({ ...segment, startMs: startMs + index * 1000, first: index === 0 }))
        .filter((one) => one.startMs + 1000 > from && one.startMs < to));
    if (pieces.length === 0) return text(response, 404, '404 page not found');
    if (extension === 'mp4') return ranged(request, response, Buffer.concat([clip.init, ...pieces.map(({ bytes }) => bytes)]));
    const token = `?token=${url.searchParams.get('token')}`;
    const lines = ['#EXTM3U', '#EXT-X-VERSION:7', '#EXT-X-TARGETDURATION:2', '#EXT-X-PLAYLIST-TYPE:VOD', `#EXT-X-MAP:URI="/recordings/segments/init.mp4${token}"`];
    pieces.forEach(({ name, seconds, startMs, first }, index) => {
      if (first && index > 0) lines.push('#EXT-X-DISCONTINUITY');
      lines.push(`#EXT-X-PROGRAM-DATE-TIME:${new Date(startMs).toISOString()}`, `#EXTINF:${seconds.toFixed(3)},`, `/recordings/segments/${name}${token}`);
    });
    response.writeHead(200, { 'Content-Type': 'application/vnd.apple.mpegurl' });
    return response.end(`${[...lines, '#EXT-X-ENDLIST'].join('\n')}\n`);
  }

  #upgrade(request, socket) {
    const url = new URL(request.url, this.url);
    const path = decodeURIComponent(url.pathname).replace(/^\/streams\//, '').replace(/\.flv$/, '');
    this.requests.push(`WS ${decodeURIComponent(url.pathname)}`);
    socket.on('error', () => {});
    if (!this.anonymousView && !this.#access.has(url.searchParams.get('token'))) {
      socket.end('HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    const stream = this.streams.get(path);
    const { status, hang } = stream?.ws ?? {};
    if (hang) return;
    if (status) {
      socket.end(`HTTP/1.1 ${status} Broken\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    const accept = createHash('sha1')
      .update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
      .digest('base64');
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    if (!stream) {
      socket.end(CLOSE);
      return;
    }
    socket.on('data', () => {});
    this.#sendFlv({ path, form: 'ws', stream, behaviour: stream.ws }, socket, (bytes) => socket.write(message(bytes)), () => socket.end(CLOSE));
  }

  /** Sends the clip at its own pace; `burstMs` of it at once, as a hub with a GOP cache does. */
  #sendFlv({ path, form, stream, behaviour }, socket, write, end) {
    const clip = stream.muteButAnnounced ? this.media.silentFlv : this.media.flv;
    const header = Buffer.from(clip.header);
    if (stream.muteButAnnounced) header[4] = 0x05;
    write(header);
    const began = Date.now();
    let next = 0;
    const tick = () => {
      const elapsed = Math.min(Date.now() - began, behaviour?.freezeAfterMs ?? Infinity);
      const until = elapsed + (stream.burstMs ?? 0);
      while (next < clip.tags.length && clip.tags[next].ms <= until) write(clip.tags[next++].bytes);
      if (next === clip.tags.length || elapsed > (behaviour?.breakAfterMs ?? Infinity)) viewer.end();
    };
    const timer = setInterval(tick, 30);
    const forget = () => {
      clearInterval(timer);
      this.viewers.delete(viewer);
    };
    const viewer = {
      path,
      form,
      end() {
        forget();
        end();
      },
    };
    this.viewers.add(viewer);
    socket.on('close', forget);
    tick();
  }

  /** A live playlist with three segments over the clip, as the ipchub contract has it: segments carry the token. */
  #playlist(path, stream, url, response) {
    const clip = stream.fmp4 ? this.media.fmp4 : this.media.ts;
    const began = this.#hlsStart.get(path) ?? Date.now();
    this.#hlsStart.set(path, began);
    const newest = Math.min(clip.segments.length, 3 + Math.floor((Date.now() - began) / 1000));
    const token = url.searchParams.get('token');
    const address = (name) => `/streams/${path.split('/').map(encodeURIComponent).join('/')}/${name}${token ? `?token=${token}` : ''}`;
    const lines = ['#EXTM3U', '#EXT-X-VERSION:7', '#EXT-X-TARGETDURATION:2', `#EXT-X-MEDIA-SEQUENCE:${newest - 3}`];
    if (clip.init) lines.push(`#EXT-X-MAP:URI="${address('init.mp4')}"`);
    for (const { seconds, name } of clip.segments.slice(newest - 3, newest)) lines.push(`#EXTINF:${seconds.toFixed(3)},`, address(name));
    response.writeHead(200, { 'Content-Type': 'application/x-mpegURL', 'Cache-Control': 'no-cache' });
    response.end(`${lines.join('\n')}\n`);
  }

  #segment(stream, name, response) {
    const clip = stream.fmp4 ? this.media.fmp4 : this.media.ts;
    const bytes = name === 'init.mp4' ? clip.init : clip.segments.find((segment) => segment.name === name)?.bytes;
    if (!bytes) return text(response, 404, '404 page not found');
    response.writeHead(200, { 'Content-Type': stream.fmp4 ? 'video/mp4' : 'video/mp2ts' });
    return response.end(bytes);
  }
}

/** One binary WebSocket message from a server. */
function message(bytes) {
  if (bytes.length < 126) return Buffer.concat([Buffer.from([UNMASKED_BINARY, bytes.length]), bytes]);
  const head = Buffer.alloc(bytes.length < 65536 ? 4 : 10);
  head[0] = UNMASKED_BINARY;
  head[1] = bytes.length < 65536 ? 126 : 127;
  if (bytes.length < 65536) head.writeUInt16BE(bytes.length, 2);
  else head.writeBigUInt64BE(BigInt(bytes.length), 2);
  return Buffer.concat([head, bytes]);
}

function ranged(request, response, bytes) {
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
  const start = Number(first ?? 0);
  const end = last ? Math.min(Number(last), bytes.length - 1) : bytes.length - 1;
  const part = first === undefined ? {} : { 'Content-Range': `bytes ${start}-${end}/${bytes.length}` };
  response.writeHead(first === undefined ? 200 : 206, { 'Content-Type': 'video/mp4', 'Accept-Ranges': 'bytes', 'Content-Length': end - start + 1, ...part });
  response.end(request.method === 'HEAD' ? undefined : bytes.subarray(start, end + 1));
}

function json(response, value) {
  response.writeHead(200, { 'Content-Type': 'text/plain; charset=utf-8' });
  response.end(JSON.stringify(value));
}

function text(response, status, body) {
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' });
  response.end(`${body}\n`);
}
