// The ways to play a stream in a browser: their names, their URLs, and which to try first. Pure: no DOM, no network.

/** @typedef {'flv' | 'ws' | 'hls'} Way */

/** @type {Record<Way, {label: string, extension: string}>} */
export const WAYS = {
  flv: { label: 'HTTP-FLV', extension: 'flv' },
  ws: { label: 'WebSocket-FLV', extension: 'flv' },
  hls: { label: 'HLS', extension: 'm3u8' },
};

/**
 * How many players of one page use HTTP-FLV before the automatic choice turns to WebSocket-FLV. Over HTTP/1.1 a
 * browser opens six connections to a server, and an endless FLV response holds one: with nine the page itself,
 * which asks for the cameras' state, would never get an answer.
 */
export const HTTP_FLV_PLAYERS = 3;

/** @param {string | null} text @returns {text is Way} */
export function isWay(text) {
  return text !== null && Object.hasOwn(WAYS, text);
}

/**
 * The ways to try, best first. H.264 starts with FLV because it shows the picture about a second after the camera
 * saw it; H.265 with HLS, whose fMP4 form every browser with an H.265 decoder takes.
 *
 * @param {string | undefined} codec as the camera's status names it
 * @param {number} httpFlvPlayers players of this page that hold an HTTP-FLV connection
 * @returns {Way[]}
 */
export function automatic(codec, httpFlvPlayers) {
  switch (codecFamily(codec)) {
    case 'h265':
      return ['hls', 'ws', 'flv'];
    case 'h264':
    case 'unknown':
      return httpFlvPlayers < HTTP_FLV_PLAYERS ? ['flv', 'ws', 'hls'] : ['ws', 'hls', 'flv'];
    default:
      return ['hls'];
  }
}

/** @param {string | undefined} codec @returns {'h264' | 'h265' | 'av1' | 'other' | 'unknown'} */
export function codecFamily(codec) {
  const plain = (codec ?? '').toLowerCase().replace(/[^a-z0-9]/g, '');
  if (plain === '') return 'unknown';
  if (/^(h264|avc)/.test(plain)) return 'h264';
  if (/^(h265|hevc|hvc1|hev1)/.test(plain)) return 'h265';
  if (/^av(1|01)/.test(plain)) return 'av1';
  return 'other';
}

/** What people call a codec. @param {string | undefined} codec */
export function codecName(codec) {
  const names = { h264: 'H.264', h265: 'H.265', av1: 'AV1', other: codec ?? '', unknown: '' };
  return names[codecFamily(codec)];
}

/** `a/front door` -> `a/front%20door`; a slash in front is dropped. @param {string} path */
export function encodePath(path) {
  return path.replace(/^\/+/, '').split('/').map(encodeURIComponent).join('/');
}

/** The path of a stream in one form, relative to the server's root. @param {string} path @param {Way} way */
export function streamPath(path, way) {
  return `streams/${encodePath(path)}.${WAYS[way].extension}`;
}
