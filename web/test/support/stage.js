// What the tests of the page stand on. Whoever imports this has a browser and media for the whole file, and for each test a
// server of its own and pages that are looked at and closed when it ends.

import { after, afterEach, before, beforeEach } from 'node:test';
import { launch, openPage } from './browser.js';
import { makeMedia } from './media.js';
import { FakeServer } from './server.js';

export let media;
/** @type {import('playwright-core').Browser} */
export let browser;
/** @type {FakeServer} */
export let server;
let opened;

before(async () => {
  media = await makeMedia();
  browser = await launch();
});
after(() => browser.close());

beforeEach(async () => {
  server = await new FakeServer(media).listen();
  opened = [];
});
afterEach(async () => {
  for (const one of opened) await one.end();
  await server.close();
});

/** A page of the server. `options` are those of the browser's context. */
export async function open(path, options = {}) {
  const one = await openPage(browser, server, path, options);
  opened.push(one);
  return one.page;
}
