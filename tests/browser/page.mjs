// Opens Weir's own page, logs in if it asks, and plays a stream:
//   node page.mjs --url http://HOST:PORT/ --path STREAM --with flv|ws|hls [--user NAME --password-file FILE]
//                 [--screenshot FILE]
//   node page.mjs --link URL: the same with a link as Weir prints it.
// Prints one line of JSON: whether it asked for a login, the cameras it lists, and what its video element showed.
import { readFileSync } from "node:fs";

import { open, options, watch } from "./browser.mjs";

const { link, url, path, with: way, user, "password-file": file, screenshot, seconds = "3", limit = "30" } = options();
const { browser, page, errors } = await open();
try {
  await page.goto(link ?? `${url}?${new URLSearchParams({ play: path, with: way })}`);
  await page.waitForFunction(() => ["#login", "#main"].some((id) => document.querySelector(id)?.hidden === false), null, {
    timeout: 15_000,
  });
  const asked = await page.evaluate(() => document.querySelector("#login").hidden === false);
  if (asked && user) {
    await page.fill("#username", user);
    await page.fill("#password", readFileSync(file, "utf8").trim());
    await page.click("#login-button");
    await page.waitForFunction(() => document.querySelector("#main").hidden === false, null, { timeout: 15_000 });
  }
  const seen = asked && !user ? { advanced: 0 } : await watch(page, "#video-1", Number(seconds), Number(limit));
  const cameras = await page.evaluate(() => document.querySelector("#cameras").innerText);
  if (screenshot) await page.screenshot({ path: screenshot });
  console.log(JSON.stringify({ ...seen, asked, cameras, errors }));
} finally {
  await browser.close();
}
