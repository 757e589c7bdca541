// The page in headless Chromium against the stand-in of test/support/server.js: logging in, the list, the grid, and the
// page's manners. How it plays is in play.test.js.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { logIn, playing, state, video } from './support/browser.js';
import { open, server } from './support/stage.js';

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

function camera(path, more = {}) {
  server.streams.set(path, {});
  const tracks = [{ kind: 'video', codec: 'H264', width: 320, height: 180 }, { kind: 'audio', codec: 'AAC' }];
  server.cameras.push({
    name: path, namespace: 'default', path, displayName: '', source: 'RTSP', node: 'media-node-0', ready: true,
    reason: 'Ready', message: '', codec: 'H264', size: '320x180', tracks, viewers: 0, ...more,
  });
}

test('asks for a login, says when it is wrong, and lists the cameras when it is right', async () => {
  camera('gate', { displayName: 'Gate' });
  const page = await open('/');
  await state(page, 'login');
  await logIn(page, 'wrong password');
  await page.getByText('don\'t fit').waitFor();
  await logIn(page);
  await state(page, 'list');
  await page.getByRole('button', { name: /^Gate/ }).waitFor();
  assert.equal(server.requests.some((line) => line.includes('password')), false);

  await page.reload();
  await page.getByRole('button', { name: /^Gate/ }).waitFor();
  await page.getByRole('button', { name: 'Log out' }).click();
  await state(page, 'login');
  await page.reload();
  await state(page, 'login');
});

test('shows each camera\'s live state, and why one is not ready, as it changes', async () => {
  camera('gate', { viewers: 3 });
  camera('yard', { ready: false, reason: 'AuthFailed', message: 'The camera refused the password.', codec: '', size: '' });
  camera('hall', { ready: false, reason: 'Idle', message: 'Starts for the first viewer.' });
  const page = await open(`/?token=${server.issueToken()}`);
  const row = (path) => page.locator(`.camera[data-path="${path}"]`);
  await row('gate').waitFor();
  assert.match(await row('gate').innerText(), /Live[\s\S]*H\.264 · 320 × 180 · RTSP · 3 viewers/);
  assert.match(await row('yard').innerText(), /AuthFailed[\s\S]*The camera refused the password\./);
  assert.match(await row('hall').innerText(), /On demand/);
  assert.deepEqual(await page.locator('.camera').evaluateAll((all) => all.map((one) => one.dataset.live)), ['live', 'idle', 'problem']);

  await row('yard').focus();
  Object.assign(server.cameras[1], { ready: true, reason: 'Ready', message: '', codec: 'H264', size: '640x360' });
  server.cameras.unshift({ ...server.cameras[0], name: 'attic', path: 'attic' });
  await row('yard').getByText('Live').waitFor({ timeout: 5000 });
  assert.doesNotMatch(await row('yard').innerText(), /refused/);
  // Renewing the list takes the focus from nobody.
  assert.equal(await row('yard').evaluate((element) => element === document.activeElement), true);
  assert.deepEqual(await page.locator('.camera').evaluateAll((all) => all.map((one) => one.dataset.path)), ['attic', 'gate', 'hall', 'yard']);
});

test('shows data as text, whatever it holds', async () => {
  const evil = '<img src=x onerror="document.title=\'owned\'">';
  camera('evil', { displayName: evil, ready: false, reason: evil, message: evil, codec: evil, size: evil, source: evil, node: evil });
  const page = await open(`/?play=evil&with=hls&token=${server.issueToken()}`);
  await page.locator('.camera').first().waitFor();
  await page.locator('#details').waitFor();
  assert.equal(await page.locator('.camera-name').first().innerText(), evil);
  assert.equal(await page.locator('main img').count(), 0);
  assert.equal(await page.title(), 'Weir');
});

test('finds cameras by what is typed, and plays a path that no camera has', async () => {
  camera('gate', { displayName: 'Gate' });
  camera('yard', { displayName: 'Yard' });
  server.streams.set('hr/door', {});
  const page = await open(`/?token=${server.issueToken()}`);
  const filter = page.getByLabel('Find a camera');
  await page.locator('.camera').nth(1).waitFor();
  await filter.fill('ya');
  assert.deepEqual(await page.locator('.camera-name').allInnerTexts(), ['Yard']);
  await filter.fill('/hr/door');
  await filter.press('Enter');
  assert.equal((await playing(page)).path, 'hr/door');
  assert.match(page.url(), /\?play=hr%2Fdoor$/);
});

test('an empty list says how to make a camera', async () => {
  const page = await open(`/?token=${server.issueToken()}`);
  await page.getByText('kubectl apply -f camera.yaml').waitFor();
});

test('says that the server is away, and goes on when it is back', async () => {
  camera('gate', { displayName: 'Gate' });
  const page = await open(`/?token=${server.issueToken()}`);
  await page.locator('.camera').waitFor();
  const { port } = server;
  await server.close();
  await page.getByText('The server can\'t be reached').waitFor();
  await state(page, 'error');
  await server.listen(port);
  await state(page, 'list');
  assert.equal(await page.locator('#notice').isVisible(), false);
});

test('a token in the link plays at once and does not stay in the address', async () => {
  camera('gate');
  const page = await open(`/?play=gate&with=flv&token=${server.issueToken()}`);
  await state(page, 'playing');
  const shown = await playing(page);
  assert.equal(shown.with, 'flv');
  assert.equal(new URL(page.url()).search, '?play=gate&with=flv');
  await page.reload();
  await playing(page);
});

test('a link without a token asks for the login first, then plays', async () => {
  camera('gate');
  const page = await open('/?play=gate');
  await state(page, 'login');
  await logIn(page);
  assert.equal((await playing(page)).path, 'gate');
});

test('where anybody may watch, a link plays without a login and addresses carry no token', async () => {
  server.anonymousView = true;
  camera('gate');
  const page = await open('/?play=gate');
  await playing(page);
  assert.equal(await page.getByLabel('HLS', { exact: true }).inputValue(), `${server.url}/streams/gate.m3u8`);
  await page.getByRole('button', { name: 'Log in to see the cameras' }).click();
  await logIn(page);
  await page.locator('.camera').waitFor();
  await playing(page);
});

test('gives the addresses for other players, to copy', async () => {
  camera('a/front door');
  const page = await open(`/?play=a/front%20door&token=${server.issueToken()}`, { permissions: ['clipboard-read', 'clipboard-write'] });
  await playing(page);
  const rtsp = 'rtsp://127.0.0.1:1554/a/front%20door';
  assert.equal(await page.getByLabel('RTSP', { exact: true }).inputValue(), rtsp);
  assert.equal(await page.getByLabel('ffplay', { exact: true }).inputValue(), `ffplay -rtsp_transport tcp "${rtsp}"`);
  for (const [name, extension] of [['HTTP-FLV', 'flv'], ['HLS', 'm3u8']]) {
    const address = await page.getByLabel(name, { exact: true }).inputValue();
    assert.match(address, new RegExp(`^${server.url}/streams/a/front%20door\\.${extension}\\?token=[0-9a-f]{32}$`));
  }
  await page.getByRole('button', { name: 'Copy RTSP' }).click();
  await page.getByText('Copied').waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), rtsp);
});

test('nine players run at once, one of them with sound, and the page still gets answers', async () => {
  for (let number = 1; number <= 9; number += 1) camera(`cam-${number}`);
  const page = await open(`/?grid=9&token=${server.issueToken()}`);
  await page.locator('.camera').first().waitFor();
  await page.getByRole('button', { name: 'Play all' }).click();
  for (let number = 1; number <= 9; number += 1) await playing(page, number);
  const ways = await page.locator('video').evaluateAll((all) => all.map((one) => one.dataset.with));
  assert.deepEqual(ways.filter((way) => way === 'flv').length, 3);
  assert.deepEqual(ways.filter((way) => way === 'ws').length, 6);

  const asked = server.requests.filter((line) => line.includes('/cameras')).length;
  await assert.doesNotReject(poll(() => server.requests.filter((line) => line.includes('/cameras')).length > asked + 1));

  for (const number of [2, 5]) {
    const tile = page.getByRole('region', { name: `Player ${number}` });
    await tile.hover();
    await tile.getByRole('button', { name: 'Sound on' }).click();
  }
  const audible = await page.locator('video').evaluateAll((all) => all.filter((one) => !one.muted).map((one) => one.id));
  assert.deepEqual(audible, ['video-5']);

  // A smaller grid keeps the selected player and closes the others' connections.
  await page.getByRole('button', { name: 'Player 5: cam-5' }).click();
  await page.getByText('1', { exact: true }).first().click();
  await poll(() => server.viewers.size === 1);
  assert.deepEqual([...server.viewers].map((viewer) => viewer.path), ['cam-5']);
  assert.equal(await page.locator('video:visible').getAttribute('id'), 'video-5');
});

test('a second camera takes the next free player; a third choice of the same shows it', async () => {
  camera('gate');
  camera('yard');
  const page = await open(`/?grid=4&token=${server.issueToken()}`);
  const row = (path) => page.locator(`.camera[data-path="${path}"]`);
  await row('gate').click();
  await row('yard').click();
  await playing(page, 2);
  await row('gate').click();
  assert.equal(await page.getByRole('heading', { level: 2 }).first().innerText(), 'gate');
  assert.equal((await video(page, 1)).path, 'gate');
  assert.equal((await video(page, 2)).path, 'yard');
  assert.equal((await video(page, 3)).state, 'empty');
  assert.equal(await row('gate').getAttribute('aria-current'), 'true');
});

test('fullscreen, sound and stop work from the keyboard', async () => {
  camera('gate');
  const page = await open(`/?play=gate&token=${server.issueToken()}`);
  await playing(page);
  const press = async (name) => {
    await page.getByRole('button', { name, exact: true }).focus();
    await page.keyboard.press('Enter');
  };
  await press('Sound on');
  assert.equal((await video(page)).muted, false);
  await press('Fullscreen');
  await page.waitForFunction(() => document.fullscreenElement?.classList.contains('tile'));
  await press('Fullscreen');
  await page.waitForFunction(() => document.fullscreenElement === null);
  await press('Stop');
  await state(page, 'list');
  await poll(() => server.viewers.size === 0);
});

for (const colorScheme of ['light', 'dark']) {
  test(`meets WCAG 2.1 AA in ${colorScheme}, as far as axe can tell`, async () => {
    camera('gate', { displayName: 'Gate' });
    camera('yard', { ready: false, reason: 'Unreachable', message: '10.1.2.9:554 refused the connection.' });
    camera('hall', { ready: false, reason: 'Idle' });
    camera('roof', { codec: 'H265' });
    const page = await open('/', { colorScheme });
    const axe = await readFile(AXE, 'utf8');
    const violations = async () => {
      await page.evaluate(axe);
      const found = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] }));
      return found.violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`);
    };
    await state(page, 'login');
    await logIn(page, 'wrong password');
    await page.getByText('don\'t fit').waitFor();
    assert.deepEqual(await violations(), []);
    await logIn(page);
    await page.getByText('4', { exact: true }).click();
    await page.locator('.camera[data-path="gate"]').click();
    await playing(page);
    await page.locator('.camera[data-path="roof"]').click();
    await page.locator('#details .problem').waitFor();
    assert.deepEqual(await violations(), []);
  });
}

/** Waits for a condition outside the browser. */
async function poll(condition) {
  for (const end = Date.now() + 10_000; Date.now() < end; ) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail(`never true: ${condition}`);
}
