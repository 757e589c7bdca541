// What the page shows of recordings, in headless Chromium against the stand-in of test/support/server.js. With footage that
// a node has recorded it is played in tests/tests/loopback_browser.rs.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { logIn, state } from './support/browser.js';
import { browser, media, open, server } from './support/stage.js';

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
/** In UTC, as the browser is told. */
const YESTERDAY = Date.parse(new Date(Date.now() - 86_400_000).toISOString().slice(0, 10));
const AT_EIGHT = YESTERDAY + 8 * 3_600_000;

/** Spans by their beginning, in seconds behind 08:00 of yesterday, and their length. */
function recorded(path, ...spans) {
  server.cameras.push({ name: path, path, displayName: path, ready: true, reason: 'Ready', codec: 'H264', tracks: [] });
  const found = { spans: spans.map(([start, seconds]) => ({ startMs: AT_EIGHT + start * 1000, endMs: AT_EIGHT + (start + seconds) * 1000 })) };
  server.recorded.set(path, found);
  return found;
}

/** A link that shows recordings. */
const look = (query, options = {}) => open(`/?${query}&token=${server.issueToken()}`, { timezoneId: 'UTC', ...options });

/** Waits until a picture of that time is shown, in seconds behind 08:00. */
async function shown(page, from, to, number = 1, wanted = ['playing', 'paused']) {
  await page.waitForFunction(
    ([id, first, last, states]) => {
      const { wall, state } = document.getElementById(id).dataset;
      return states.includes(state) && Number(wall) >= first && Number(wall) < last;
    },
    [`footage-${number}`, AT_EIGHT + from * 1000, AT_EIGHT + to * 1000, wanted],
    { timeout: 15_000 },
  );
}

const press = (page, name) => page.getByRole('button', { name, exact: true }).click();

test('yesterday\'s footage plays from where it is clicked, and on over a gap', async () => {
  recorded('gate', [0, 60], [120, 60]);
  const page = await look('recordings=gate');
  await page.getByText('No footage of this day').waitFor();
  await press(page, 'Day before');
  await shown(page, 0, 20, 1, ['playing']);
  await state(page, 'playing');
  await page.getByText('2 min of footage in 2 parts').waitFor();
  assert.equal(await page.locator('.timeline-span').count(), 2);

  // The last of the first span, then the second.
  const bar = page.getByRole('slider', { name: 'Time' });
  const [box, span] = [await bar.boundingBox(), await page.locator('.timeline-span').first().boundingBox()];
  await page.mouse.click(span.x + span.width * 0.96, box.y + box.height / 2);
  await shown(page, 55, 60);
  await shown(page, 120, 130, 1, ['playing']);
  const { searchParams } = new URL(page.url());
  assert.equal(searchParams.get('recordings'), 'gate');
  assert.match(searchParams.get('at'), /T08:00:5\d/);

  // The link shows the same again.
  await page.reload();
  await shown(page, 55, 60);
});

test('all of it works from the keyboard', async () => {
  recorded('gate', [0, 40], [100, 40]);
  const page = await look(`recordings=gate&at=${AT_EIGHT}`);
  await shown(page, 0, 10);
  const press = async (name) => {
    await page.getByRole('button', { name, exact: true }).focus();
    await page.keyboard.press('Enter');
  };
  await press('Pause');
  await shown(page, 0, 20, 1, ['paused']);
  const bar = page.getByRole('slider', { name: 'Time' });
  await bar.focus();
  await page.keyboard.press('Home');
  await shown(page, 0, 1);
  for (const [key, from, to] of [['ArrowRight', 10, 11], ['ArrowRight', 20, 21], ['ArrowLeft', 10, 11], ['End', 130, 131]]) {
    await page.keyboard.press(key);
    await shown(page, from, to);
  }
  assert.match(await bar.getAttribute('aria-valuetext'), /^08:02:10$/);
  await press('Earlier footage');
  await shown(page, 100, 101);
  await press('Earlier footage');
  await shown(page, 0, 1);
  await press('Later footage');
  await shown(page, 100, 101);
  await press('Later footage');
  await page.getByText('This is the newest that is stored').waitFor();
  await page.getByRole('button', { name: /08:00:00 – 08:00:40/ }).focus();
  await page.keyboard.press('Enter');
  await shown(page, 0, 1);
  await page.getByLabel('Speed').selectOption('4');
  await press('Play');
  await shown(page, 10, 40, 1, ['playing']);
  assert.equal(await page.locator('#footage-1').evaluate((video) => video.playbackRate), 4);
});

test('a second camera keeps together with the first, and says where it has nothing', async () => {
  recorded('gate', [0, 100]);
  // It began so much later that the same time is at another place in its playlist.
  recorded('yard', [7, 30]);
  const page = await look(`recordings=gate&at=${AT_EIGHT + 10_000}`);
  await shown(page, 10, 20);
  await page.getByLabel('Beside it').selectOption('yard');
  await shown(page, 10, 30, 2, ['playing']);
  const apart = () =>
    page.evaluate(() => {
      const [gate, yard] = [1, 2].map((number) => document.getElementById(`footage-${number}`).currentTime);
      return Math.abs(gate - (yard + 7));
    });
  await page.waitForFunction(() => {
    const [gate, yard] = [1, 2].map((number) => document.getElementById(`footage-${number}`));
    return !yard.seeking && Math.abs(gate.currentTime - yard.currentTime - 7) < 0.1;
  });
  for (let times = 0; times < 5; times += 1) {
    assert.ok((await apart()) < 0.2, String(await apart()));
    await page.waitForTimeout(200);
  }
  await page.getByRole('slider').focus();
  await page.keyboard.press('End');
  await page.locator('#footage-2[data-state="none"]').waitFor({ state: 'attached' });
  await page.getByText('No footage at this time').waitFor();
  await page.getByRole('button', { name: /08:00:00 –/ }).click();
  await press(page, 'On 10 s');
  await shown(page, 10, 20, 2, ['playing']);
  assert.equal(new URL(page.url()).searchParams.get('beside'), 'yard');
});

test('a part is saved as MP4, and the picture as JPEG', async () => {
  recorded('gate', [0, 60]);
  const page = await look(`recordings=gate&at=${AT_EIGHT}`, { acceptDownloads: true });
  await shown(page, 0, 10);
  await page.getByLabel('From', { exact: true }).fill('08:00:10');
  await page.getByLabel('to', { exact: true }).fill('08:00:20');
  const saved = async (name) => {
    const [file] = await Promise.all([page.waitForEvent('download'), press(page, name)]);
    return { name: file.suggestedFilename(), bytes: await readFile(await file.path()) };
  };
  const clip = await saved('Download MP4');
  assert.match(clip.name, /^gate-\d{4}-\d\d-\d\d-080010\.mp4$/);
  const { init, segments } = media.fmp4;
  assert.equal(clip.bytes.length, Buffer.concat([init, ...segments.slice(10, 20).map(({ bytes }) => bytes)]).length);
  const picture = await saved('Save the picture');
  assert.match(picture.name, /^gate-.*\.jpg$/);
  assert.equal(picture.bytes.readUInt16BE(0), 0xffd8);

  await page.getByLabel('to', { exact: true }).fill('08:00:05');
  await press(page, 'Download MP4');
  await page.getByText('The part ends before it begins').waitFor();
});

test('says in plain words what is wrong, and goes on when it is mended', async () => {
  const gate = recorded('gate', [0, 60]);
  gate.status = { jpg: 503, mp4: 400, m3u8: 503 };
  const page = await look(`recordings=gate&at=${AT_EIGHT}`);
  await page.locator('#footage-1[data-state="error"]').waitFor({ timeout: 20_000 });
  await state(page, 'error');
  await page.getByText('The server can\'t read that now').waitFor();
  await press(page, 'Download MP4');
  await page.getByText('That is too much at once').waitFor();
  await press(page, 'Save the picture');
  await page.locator('#recordings-problem').getByText('no ffmpeg to make pictures').waitFor();
  gate.status = {};
  await press(page, 'Play');
  await shown(page, 0, 20, 1, ['playing']);

  gate.status = { spans: 403 };
  await press(page, 'Day before');
  await page.getByText('You may not watch this camera').waitFor();
  gate.status = {};
  await press(page, 'Day after');
  await page.locator('#recordings-problem:empty').waitFor({ state: 'attached' });
  await shown(page, 0, 20);
});

test('a day of short segments is asked for in parts', async () => {
  recorded('gate', [0, 60]).most = 3 * 3_600_000;
  const page = await look(`recordings=gate&at=${AT_EIGHT}`);
  await page.getByText('60 s of footage without a gap').waitFor();
});

test('a token that ends while footage plays is renewed; a login that ends is asked for', async () => {
  recorded('gate', [0, 100]);
  const page = await open(`/?recordings=gate&at=${AT_EIGHT}`, { timezoneId: 'UTC' });
  await state(page, 'login');
  await logIn(page);
  await shown(page, 0, 20, 1, ['playing']);
  server.expireAccessTokensForApi();
  await page.getByRole('button', { name: 'Day after' }).click();
  await page.getByText('No footage of this day').waitFor();
  server.expireAllTokens();
  await press(page, 'Day before');
  await state(page, 'login');
  await logIn(page);
  await shown(page, 0, 20);
});

test('live players end while recordings are looked at, and come back', async () => {
  recorded('gate', [0, 60]);
  server.streams.set('gate', {});
  const page = await look('play=gate&with=flv');
  await state(page, 'playing');
  await page.getByText('Recordings', { exact: true }).first().click();
  await page.getByRole('heading', { name: 'gate' }).waitFor();
  await page.getByText('No footage of this day').waitFor();
  assert.equal(server.viewers.size, 0);
  await press(page, 'Earlier footage');
  await shown(page, 0, 10, 1, ['playing']);
  await page.getByText('Live', { exact: true }).first().click();
  await page.locator('#video-1[data-state="playing"]').waitFor();
  assert.equal(new URL(page.url()).search, '?play=gate&with=flv');
});

test('a browser whose scripts can\'t feed a decoder plays the MP4', async () => {
  recorded('gate', [0, 60]);
  const context = await browser.newContext({ timezoneId: 'UTC' });
  const page = await context.newPage();
  await page.addInitScript(() => {
    delete window.MediaSource;
    delete window.ManagedMediaSource;
  });
  await page.goto(`${server.url}/?recordings=gate&at=${AT_EIGHT}&token=${server.issueToken()}`);
  await shown(page, 1, 20, 1, ['playing']);
  assert.ok(server.requests.includes('GET /recordings/gate.mp4'));
  await context.close();
});

for (const colorScheme of ['light', 'dark']) {
  test(`recordings meet WCAG 2.1 AA in ${colorScheme} and fit a phone, as far as machines can tell`, async () => {
    recorded('gate', [0, 60], [90, 60], [20_000, 20]);
    recorded('yard', [30, 60]);
    const page = await look(`recordings=gate&at=${AT_EIGHT}&beside=yard`, { colorScheme });
    const axe = await readFile(AXE, 'utf8');
    for (const width of [1280, 360]) {
      await page.setViewportSize({ width, height: 760 });
      await shown(page, 0, 60);
      await page.evaluate(axe);
      const found = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] }));
      assert.deepEqual(found.violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`), []);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), true);
    }
  });
}
