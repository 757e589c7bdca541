// How the page plays, in headless Chromium with real FLV and HLS: each way, the automatic choice, what it falls back to,
// how it comes back, and what it says when nothing works.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { logIn, playing, state, video } from './support/browser.js';
import { HEIGHT, WIDTH } from './support/media.js';
import { open, server } from './support/stage.js';

/** Opens a link that plays `path`. */
const play = (path, way) => open(`/?play=${path}${way ? `&with=${way}` : ''}&token=${server.issueToken()}`);

function camera(path, more = {}) {
  server.cameras.push({ name: path, path, ready: true, codec: 'H264', size: '320x180', tracks: [], ...more });
}

const requested = (line) => server.requests.includes(line);

for (const [way, fmp4, library, request] of [
  ['flv', false, 'mpegts.js', 'GET /streams/gate.flv'],
  ['ws', false, 'mpegts.js', 'WS /streams/gate.flv'],
  ['hls', false, 'hls.light.min.js', 'GET /streams/gate.m3u8'],
  ['hls', true, 'hls.light.min.js', 'GET /streams/gate/init.mp4'],
]) {
  test(`plays ${way}${fmp4 ? ' of fMP4' : ''} by ${library}, near the live edge`, async () => {
    server.streams.set('gate', { fmp4, burstMs: 1000 });
    const page = await play('gate', way);
    await playing(page);
    await page.locator('#video-1[data-latency]:not([data-latency=""])').waitFor();
    const shown = await video(page);
    assert.equal(shown.with, way);
    assert.deepEqual([shown.width, shown.height, shown.size], [WIDTH, HEIGHT, `${WIDTH}x${HEIGHT}`]);
    assert.match(shown.codec, /^avc1\./);
    assert.ok(Number(shown.latency) > 0 && Number(shown.latency) < (way === 'hls' ? 5 : 3), shown.latency);
    assert.ok(shown.buffer !== '' && Number(shown.buffer) < 5, shown.buffer);
    assert.equal(shown.muted, true);
    assert.ok(requested(`GET /vendor/${library}`) && requested(request));
    assert.match(await page.locator('#details').innerText(), /H\.264[\s\S]*320 × 180/);
  });
}

test('chases the live edge when the stream comes with much of its past', async () => {
  server.streams.set('gate', { burstMs: 8000 });
  const page = await play('gate', 'flv');
  await playing(page);
  await page.waitForFunction(() => Number(document.getElementById('video-1').dataset.latency || 99) < 1.5, null, { timeout: 10_000 });
});

test('H.264 plays by HTTP-FLV without being told', async () => {
  camera('gate');
  server.streams.set('gate', {});
  assert.equal((await playing(await play('gate'))).with, 'flv');
});

test('falls back from way to way until one plays', async () => {
  camera('gate');
  server.streams.set('gate', { flv: { status: 500 }, ws: { status: 500 } });
  const page = await play('gate');
  assert.equal((await playing(page)).with, 'hls');
  const tried = server.requests.filter((line) => /^(GET|WS) \/streams\/gate\.(flv|m3u8)$/.test(line));
  assert.deepEqual(tried.slice(0, 2), ['GET /streams/gate.flv', 'WS /streams/gate.flv']);
});

test('falls back when a way stays silent', async () => {
  camera('gate');
  server.streams.set('gate', { flv: { hang: true } });
  const page = await play('gate');
  assert.equal((await playing(page, 1, 40_000)).with, 'ws');
});

test('a way that was chosen is the only one tried', async () => {
  camera('gate');
  server.streams.set('gate', { flv: { status: 500 } });
  const page = await play('gate', 'flv');
  await state(page, 'error');
  assert.equal((await video(page)).failure, 'status');
  await page.getByText('refused the stream with status 500').first().waitFor();
  assert.equal(requested('WS /streams/gate.flv'), false);
  await page.getByLabel('How to play').selectOption('Automatic');
  assert.equal((await playing(page)).with, 'ws');
  assert.equal(new URL(page.url()).search, '?play=gate');
});

test('H.265 without a decoder: names other players and does not bother the server', async () => {
  camera('roof', { codec: 'H265' });
  server.streams.set('roof', {});
  const page = await play('roof');
  await state(page, 'error');
  await page.locator('#details').getByText('This browser can\'t decode H.265').waitFor();
  assert.match(await page.locator('#details .problem').innerText(), /VLC/);
  assert.equal(server.requests.some((line) => line.includes('/streams/')), false);
  assert.equal(await page.getByLabel('RTSP', { exact: true }).inputValue(), 'rtsp://127.0.0.1:1554/roof');
});

test('a path that nobody serves is said to be unknown', async () => {
  const page = await play('nowhere', 'ws');
  await page.locator('#details').getByText('There is no stream /nowhere').waitFor();
  await state(page, 'error');
});

test('shows what a broken camera reports, and plays by itself once it is live', async () => {
  camera('gate', { ready: false, reason: 'Unreachable', message: '10.1.2.9:554 refused the connection.', codec: '' });
  const page = await play('gate');
  await page.locator('.tile-cover').getByText('The camera isn\'t live: Unreachable').waitFor();
  assert.match(await page.locator('.tile-cover').first().innerText(), /10\.1\.2\.9:554 refused the connection/);
  server.streams.set('gate', {});
  Object.assign(server.cameras[0], { ready: true, reason: 'Ready', message: '', codec: 'H264' });
  await playing(page);
  assert.equal(await page.locator('#details .problem').isVisible(), false);
});

test('comes back when the server ends the stream', async () => {
  camera('gate');
  server.streams.set('gate', {});
  const page = await play('gate');
  await playing(page);
  server.cutViewers();
  await page.waitForFunction(() => document.getElementById('video-1').dataset.state !== 'playing');
  await playing(page);
  assert.equal(server.viewers.size, 1);
});

test('comes back after the server was away', async () => {
  camera('gate');
  server.streams.set('gate', {});
  const page = await play('gate');
  await playing(page);
  const { port } = server;
  await server.close();
  await state(page, 'error');
  await server.listen(port);
  await playing(page);
});

test('starts anew when the picture stands still, and lets the dead connection go', async () => {
  camera('gate');
  server.streams.set('gate', { flv: { freezeAfterMs: 3000 } });
  const page = await play('gate');
  await playing(page);
  const [frozen] = server.viewers;
  assert.equal(frozen.form, 'flv');
  await page.locator('#video-1[data-state="playing"][data-with="ws"]').waitFor({ timeout: 30_000 });
  assert.equal(server.viewers.has(frozen), false);
});

test('plays a camera that announces sound and never sends any', async () => {
  camera('gate');
  server.streams.set('gate', { muteButAnnounced: true });
  const page = await play('gate', 'flv');
  await playing(page, 1, 60_000);
});

test('an access token that ends is renewed behind the picture', async () => {
  camera('gate');
  server.streams.set('gate', {});
  const page = await open('/?play=gate&with=hls');
  await logIn(page);
  await playing(page);
  await page.locator('#video-1').evaluate((element) => {
    element.addEventListener('emptied', () => {
      element.dataset.restarted = 'true';
    });
  });
  server.expireAccessTokensForApi();
  const before = server.requests.length;
  await page.waitForFunction((time) => document.getElementById('video-1').currentTime > time + 6, (await video(page)).currentTime);
  assert.equal((await video(page)).restarted, undefined);
  assert.equal(server.requests.slice(before).filter((line) => line.includes('refreshtoken')).length, 1);
});

test('when no token is left the login form comes, and after it the picture', async () => {
  camera('gate');
  server.streams.set('gate', {});
  const page = await play('gate');
  await playing(page);
  server.expireAllTokens();
  await state(page, 'login');
  assert.equal(server.viewers.size, 0);
  await logIn(page);
  await playing(page);
});
