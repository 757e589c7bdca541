import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HTTP_FLV_PLAYERS, automatic, codecFamily, codecName, encodePath, isWay, streamPath } from '../src/ways.js';

test('H.264 starts with FLV, H.265 with HLS, and each has something to fall back to', () => {
  assert.deepEqual(automatic('H264', 0), ['flv', 'ws', 'hls']);
  assert.deepEqual(automatic('H265', 0), ['hls', 'ws', 'flv']);
  assert.deepEqual(automatic(undefined, 0), ['flv', 'ws', 'hls']);
  assert.deepEqual(automatic('AV1', 0), ['hls']);
});

test('the automatic choice leaves connections for the page itself', () => {
  assert.equal(automatic('H264', HTTP_FLV_PLAYERS - 1)[0], 'flv');
  assert.equal(automatic('H264', HTTP_FLV_PLAYERS)[0], 'ws');
});

test('a codec is known by the names of statuses and of media', () => {
  for (const name of ['H264', 'h.264', 'AVC', 'avc1.42c00c']) assert.equal(codecFamily(name), 'h264', name);
  for (const name of ['H265', 'HEVC', 'hvc1.1.6.L93.B0', 'hev1.1']) assert.equal(codecFamily(name), 'h265', name);
  assert.equal(codecFamily('AV1'), 'av1');
  assert.equal(codecFamily('MJPEG'), 'other');
  assert.equal(codecFamily(''), 'unknown');
  assert.equal(codecName('HEVC'), 'H.265');
  assert.equal(codecName('MJPEG'), 'MJPEG');
});

test('paths keep their slashes and nothing else of a URL\'s grammar', () => {
  assert.equal(encodePath('/a/front door'), 'a/front%20door');
  assert.equal(encodePath('a?b#c'), 'a%3Fb%23c');
  assert.equal(streamPath('gate/a1', 'ws'), 'streams/gate/a1.flv');
  assert.equal(streamPath('gate/a1', 'hls'), 'streams/gate/a1.m3u8');
});

test('only the three ways are ways', () => {
  assert.equal(isWay('flv'), true);
  assert.equal(isWay('toString'), false);
  assert.equal(isWay(null), false);
});
