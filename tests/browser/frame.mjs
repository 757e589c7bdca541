// Shows a page in a frame of a page of another origin, as when a site embeds a player: node frame.mjs --url URL [--seconds 3]
// [--limit 30]. Prints one line of JSON: what the video in the frame showed, what the framed page says of itself, and errors.
import { open, options, site, watch } from "./browser.mjs";

const { url, seconds = "3", limit = "30" } = options();
const { port, close } = await site("<iframe width=850 height=550></iframe>");
const { browser, page, errors } = await open();
try {
  // Another port is the same site to a browser, another name is not.
  await page.goto(`http://localhost:${port}/`);
  await page.evaluate((url) => {
    window.doClicks = () => (window.told = true);
    document.querySelector("iframe").src = url;
  }, url);
  const handle = await page.waitForSelector("iframe");
  const frame = await handle.contentFrame();
  await frame.waitForURL(url);
  const seen = await watch(frame, "video", Number(seconds), Number(limit));
  const state = await frame.evaluate(() => document.documentElement.dataset.state);
  console.log(JSON.stringify({ ...seen, state, errors }));
} finally {
  await browser.close();
  close();
}
