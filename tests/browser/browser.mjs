// A headless Chromium for the programs beside this one. It finds npm's packages where `tests/setup browser` put them:
// WEIR_TEST_BROWSER names the folder.
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const modules = createRequire(`${process.env.WEIR_TEST_BROWSER}/package.json`);
const { chromium } = modules("playwright-core");

/** The folder of npm's packages. */
export const packages = `${process.env.WEIR_TEST_BROWSER}/node_modules`;

/** The text of a file of an npm package. */
export const packaged = (file) => readFileSync(modules.resolve(file), "utf8");

/** Starts Chromium with one empty page; what it logs as errors is collected in `errors`. */
export async function open() {
  const browser = await chromium.launch({
    executablePath: process.env.WEIR_TEST_CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--autoplay-policy=no-user-gesture-required",
    ],
  });
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  const errors = [];
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.on("pageerror", (error) => errors.push(String(error)));
  return { browser, page, errors };
}

/**
 * Serves a page with that body from an origin of its own, as when another site embeds a player; and beside it what `script`
 * gives for a path.
 */
export async function site(body, script = () => null) {
  const server = createServer((request, reply) => {
    const text = request.url === "/" ? null : script(request.url);
    reply.setHeader("content-type", text === null ? "text/html" : "text/javascript");
    reply.end(text ?? `<!doctype html><title>site</title><link rel=icon href=data:,>${body}`);
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { port: server.address().port, close };
}

/** Watches a video element until its clock has gone on for `seconds`, or `limit` seconds are over. */
export async function watch(page, selector, seconds, limit) {
  const end = Date.now() + limit * 1000;
  const look = () =>
    page.evaluate((selector) => {
      const v = document.querySelector(selector);
      if (!v) return { missing: true };
      const quality = v.getVideoPlaybackQuality?.();
      return {
        time: v.currentTime,
        width: v.videoWidth,
        height: v.videoHeight,
        pictures: quality?.totalVideoFrames ?? 0,
        error: v.error?.message ?? null,
      };
    }, selector);
  let first = null;
  let now = await look();
  while (Date.now() < end) {
    now = await look();
    if (!now.missing && now.time > 0) {
      first ??= now.time;
      if (now.time - first >= seconds) break;
    }
    await new Promise((done) => setTimeout(done, 200));
  }
  return { ...now, advanced: first === null ? 0 : now.time - first };
}

/** `--name value` arguments as an object. */
export function options() {
  const found = {};
  for (let i = 2; i < process.argv.length; i += 2) found[process.argv[i].replace(/^--/, "")] = process.argv[i + 1];
  return found;
}
