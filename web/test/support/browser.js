// Headless Chromium for the tests, and what every test expects of a page: nothing from other hosts, nothing that the
// CSP had to stop, no uncaught error.

import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export function launch() {
  return chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
}

/** A page of its own session, and the check to run at its end. @param {import('playwright-core').Browser} browser */
export async function openPage(browser, server, path = '/', options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
  const page = await context.newPage();
  const problems = [];
  page.on('pageerror', (error) => problems.push(`uncaught: ${error.stack ?? error}`));
  page.on('console', (message) => {
    const said = message.text();
    // Chromium itself reports each answer of 400 and above; tests provoke those.
    if (message.type() === 'error' && !/Failed to load resource|WebSocket connection to/.test(said)) problems.push(`console: ${said}`);
    if (/Content.Security.Policy/i.test(said)) problems.push(`CSP: ${said}`);
    if (/[0-9a-f]{32}/.test(said) && !/WebSocket connection to/.test(said)) problems.push(`a token in the console: ${said}`);
  });
  page.on('request', (request) => {
    const { protocol, host } = new URL(request.url());
    if (protocol.startsWith('http') && host !== new URL(server.url).host) problems.push(`request to ${host}`);
  });
  await page.goto(server.url + path);
  return {
    page,
    async end() {
      await context.close();
      assert.deepEqual(problems, []);
    },
  };
}

/** Waits until <html data-state> is this. */
export function state(page, wanted, timeout = 15_000) {
  return page.locator(`html[data-state="${wanted}"]`).waitFor({ timeout, state: 'attached' });
}

/** Waits until a player shows moving pictures, and returns its data attributes. */
export async function playing(page, number = 1, timeout = 30_000) {
  await page.locator(`#video-${number}[data-state="playing"]`).waitFor({ timeout });
  const before = await video(page, number);
  await page.waitForFunction(
    ([id, time]) => document.getElementById(id).currentTime > time + 0.8,
    [`video-${number}`, before.currentTime],
    { timeout },
  );
  return video(page, number);
}

/** @returns {Promise<{currentTime: number, width: number, height: number, muted: boolean} & Record<string, string>>} */
export function video(page, number = 1) {
  return page.locator(`#video-${number}`).evaluate((element) => ({
    ...element.dataset,
    currentTime: element.currentTime,
    width: element.videoWidth,
    height: element.videoHeight,
    muted: element.muted,
  }));
}

export async function logIn(page, password = 'right password') {
  await page.getByLabel('User name').fill('admin');
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Log in' }).click();
}
