// What the page tells a person when something doesn't play: what is wrong, then what to do. Pure: no DOM, no network.

import { WAYS, codecFamily, codecName } from './ways.js';

/** @typedef {import('./ways.js').Way} Way */
/** @typedef {import('./session.js').Camera} Camera */

/**
 * Why one try to play ended.
 * - `status`: the server answered with this HTTP status
 * - `network`: no answer, or the connection broke
 * - `ended`: the server ended the stream
 * - `timeout`: no picture in time
 * - `stalled`: the picture stood still
 * - `codec`: this browser has no decoder for it
 * - `media`: the decoder or the page's demuxer gave up
 * - `browser`: the browser lacks what this way needs
 *
 * @typedef {{kind: 'status' | 'network' | 'ended' | 'timeout' | 'stalled' | 'codec' | 'media' | 'browser',
 *   status?: number, detail?: string}} Failure
 */

/** @typedef {{way: Way, failure: Failure}} Try */
/** @typedef {{title: string, advice: string, tries: string}} Explanation */

/**
 * @param {Try[]} tries what was tried since the last picture, at least one
 * @param {{path: string, codec?: string, camera?: Camera}} stream
 * @returns {Explanation}
 */
export function explain(tries, stream) {
  const failure = mostTelling(tries.map((one) => one.failure));
  return {
    ...titleAndAdvice(failure, stream),
    tries: tries.map(({ way, failure: one }) => `${WAYS[way].label}: ${inShort(one)}`).join(' · '),
  };
}

/** Whether another try later can end better without anybody doing anything. @param {Try[]} tries */
export function worthRetrying(tries) {
  return !tries.every(({ failure }) => failure.kind === 'codec' || failure.kind === 'browser');
}

/** The one among several failures that says most about the cause. @param {Failure[]} failures */
function mostTelling(failures) {
  /** @param {Failure} failure */
  const rank = ({ kind, status }) => {
    if (kind === 'status') return status === 401 || status === 403 ? 9 : status === 404 ? 8 : 6;
    return { codec: 7, media: 5, stalled: 4, timeout: 3, ended: 2, network: 2, browser: 1 }[kind];
  };
  return failures.reduce((best, one) => (rank(one) > rank(best) ? one : best));
}

/**
 * @param {Failure} failure @param {{path: string, codec?: string, camera?: Camera}} stream
 * @returns {{title: string, advice: string}}
 */
function titleAndAdvice(failure, { path, codec, camera }) {
  const { kind, status } = failure;
  if (kind === 'status' && status === 401) {
    return { title: 'The login has ended', advice: 'Log in again to go on.' };
  }
  if (kind === 'status' && status === 403) {
    return {
      title: 'You may not watch this stream',
      advice: `Ask an administrator to allow your account to pull /${plainPath(path)}, or log in as somebody else.`,
    };
  }
  if (kind === 'codec') {
    const name = codecName(codec) || 'this codec';
    const h265 = codecFamily(codec) === 'h265';
    return {
      title: `This browser can't decode ${name}`,
      advice: h265
        ? 'Open the RTSP address below in VLC or ffplay, use Safari, or Chrome or Edge on a machine whose graphics card decodes H.265, or set the camera to H.264.'
        : 'Open the RTSP address below in VLC or ffplay.',
    };
  }
  if (camera && !camera.ready && camera.reason !== 'Idle') {
    return {
      title: camera.reason ? `The camera isn't live: ${camera.reason}` : 'The camera isn\'t live',
      advice: camera.message || `See what the camera reports: kubectl describe camera ${camera.name}`,
    };
  }
  if (kind === 'status' && status === 404) {
    return camera
      ? {
          title: 'The server has no picture to give',
          advice: 'The camera is known, but its stream isn\'t there in this form. Choose another way to play above, or wait: the page tries again.',
        }
      : {
          title: `There is no stream /${plainPath(path)}`,
          advice: 'Check the path. The list shows the cameras; other streams need a Route that matches, or somebody who publishes to this path.',
        };
  }
  switch (kind) {
    case 'status':
      return {
        title: `The server refused the stream with status ${status}`,
        advice: 'The page tries again. If it stays like this, look into the logs of the media node.',
      };
    case 'media':
      return {
        title: 'The picture can\'t be decoded',
        advice: 'Choose another way to play above, or open one of the addresses below in VLC or ffplay.',
      };
    case 'browser':
      return {
        title: 'This browser can\'t play live streams',
        advice: 'Use a current Chrome, Edge, Firefox or Safari, or open one of the addresses below in VLC or ffplay.',
      };
    case 'timeout':
    case 'stalled':
      return {
        title: kind === 'timeout' ? 'No picture has come' : 'The picture stood still',
        advice: 'The page tries again. If other players show the stream, choose WebSocket-FLV above: a proxy in between may hold back endless responses, and a browser opens only six connections to a server.',
      };
    default:
      return {
        title: 'The connection to the server broke',
        advice: 'The page tries again. Check that the server runs and that this computer reaches it.',
      };
  }
}

/**
 * Why recorded footage isn't shown, or not saved.
 *
 * @param {Failure} failure @param {string} name of the camera @param {string} [codec]
 * @returns {{title: string, advice: string}}
 */
export function explainRecorded({ kind, status }, name, codec) {
  if (kind === 'status') {
    switch (status) {
      case 400:
        return { title: 'That is too much at once', advice: 'Choose a shorter part: half a day of MP4 is about the most.' };
      case 401:
        return { title: 'The login has ended', advice: 'Log in again to go on.' };
      case 403:
        return {
          title: 'You may not watch this camera',
          advice: `Ask an administrator to allow your account to pull ${name}, or log in as somebody else.`,
        };
      case 404:
        return { title: 'There is no footage of this time', advice: 'Choose a time that the bar shows as recorded.' };
      case 503:
        return {
          title: 'The server can\'t read that now',
          advice: 'Its object store may be away, or it has no ffmpeg to make pictures. Try again; the logs of the media node say more.',
        };
      default:
        return {
          title: `The server refused with status ${status}`,
          advice: 'Try again. If it stays like this, look into the logs of the media node.',
        };
    }
  }
  switch (kind) {
    case 'codec':
      return {
        title: `This browser can't decode ${codecName(codec) || 'this footage'}`,
        advice: 'Download the part below as MP4 and open it in VLC, or use Safari, or Chrome or Edge on a machine whose graphics card decodes it.',
      };
    case 'media':
      return { title: 'The picture can\'t be decoded', advice: 'Choose another time, or download the part below as MP4 and open it in VLC.' };
    case 'browser':
      return { title: 'This browser can\'t play recordings', advice: 'Use a current Chrome, Edge, Firefox or Safari, or download the part below as MP4.' };
    case 'timeout':
      return { title: 'No picture has come', advice: 'Press Play to try again. A slow object store, or a slow line to it, is the usual cause.' };
    default:
      return {
        title: 'The connection to the server broke',
        advice: 'Press Play to try again. Check that the server runs and that this computer reaches it.',
      };
  }
}

/** @param {Failure} failure */
function inShort({ kind, status, detail }) {
  const words = {
    status: `status ${status}`,
    network: 'no connection',
    ended: 'ended by the server',
    timeout: 'no picture in time',
    stalled: 'stood still',
    codec: 'no decoder',
    media: 'not decodable',
    browser: 'not in this browser',
  };
  return detail ? `${words[kind]} (${detail})` : words[kind];
}

/** @param {string} path */
function plainPath(path) {
  return path.replace(/^\/+/, '');
}
