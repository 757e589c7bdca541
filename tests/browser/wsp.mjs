// Plays a stream by WSP with Streamedian's player: node wsp.mjs --socket WS_URL --source RTSP_URL
//   [--seconds 3] [--limit 30] [--once]
// Prints one line of JSON: what the video element showed at first, after a pause, after a seek, and after a teardown, with what
// the player makes anew; what went over its sockets, and the errors until the teardown. With `--once yes`, only the first.
import { existsSync, readFileSync } from "node:fs";

import { open, options, packages, site, watch } from "./browser.mjs";

const { socket, source, seconds = "3", limit = "30", once } = options();
const { port, close } = await site("", script);
const { browser, page, errors } = await open();

// What goes over each of the page's sockets.
const sockets = [];
page.on("websocket", (one) => {
  const seen = { url: one.url(), said: [], heard: [], packets: {}, closed: false };
  sockets.push(seen);
  one.on("framesent", ({ payload }) => {
    const [, command, method = ""] = /^WSP\/1\.1 (\w+)[^]*?\r\n\r\n(\w*)/.exec(payload) ?? [null, "?"];
    seen.said.push(`${command} ${method}`.trim());
  });
  one.on("framereceived", ({ payload }) => {
    // A packet is `$` and the channel; all else is text.
    if (typeof payload === "string") seen.heard.push(payload);
    else seen.packets[payload[1]] = (seen.packets[payload[1]] ?? 0) + 1;
  });
  one.on("close", () => (seen.closed = true));
});

/**
 * The player's modules as they are published, where each looks for the others. (A bundle is published with them, but of an
 * older player, which takes parameter sets for pictures; Chromium decodes none then.)
 */
function script(path) {
  // Of this it needs a name: only a proxy of its makers' gives it a key to encrypt with. They have it from a fork of their own.
  if (path === "/node_modules/jsencrypt/src/jsencrypt.js") return 'export { JSEncrypt } from "/node_modules/jsencrypt/lib/index.js";';
  const file = packages + (path.startsWith("/node_modules/") ? path.slice("/node_modules".length) : `/streamedian${path}`);
  return readFileSync(existsSync(file) ? file : `${file}.js`, "utf8");
}

/** Makes a player in a video element of that name, as the manual of the player has it. */
const start = (id) =>
  page.evaluate(
    async ({ id, socket, source }) => {
      const [{ WSPlayer }, client, transport] = await Promise.all(
        ["/src/player.js", "/src/client/rtsp/client.js", "/src/transport/websocket.js"].map((path) => import(path)),
      );
      const video = document.createElement("video");
      Object.assign(video, { id, autoplay: true, muted: true });
      const child = document.createElement("source");
      Object.assign(child, { src: source, type: "application/x-rtsp" });
      video.append(child);
      document.body.append(video);
      window.player = new WSPlayer(video, {
        modules: [{ client: client.default, transport: { constructor: transport.default, options: { socket } } }],
        errorHandler: (error) => console.error(`the player: ${error?.message ?? error}`),
      });
    },
    { id, socket, source },
  );
const look = async (id) => ({
  ...(await watch(page, `#${id}`, Number(seconds), Number(limit))),
  sound: await page.evaluate((id) => document.getElementById(id).webkitAudioDecodedByteCount, id),
});
const until = (is, what) =>
  new Promise((done, fail) => {
    const timer = setInterval(() => is() && (clearInterval(timer), clearTimeout(late), done()), 50);
    const late = setTimeout(() => (clearInterval(timer), fail(new Error(`${what}: ${JSON.stringify(sockets)}`))), 10_000);
  });

try {
  await page.goto(`http://127.0.0.1:${port}/`);
  await start("one");
  const first = await look("one");
  if (once) {
    console.log(JSON.stringify({ first, sockets, errors }));
  } else {
    const [stood, resumed] = [
      await page.evaluate(async () => {
        const video = document.getElementById("one");
        video.pause();
        const before = video.currentTime;
        await new Promise((done) => setTimeout(done, 1_500));
        const stood = video.currentTime - before;
        await video.play();
        return stood;
      }),
      await look("one"),
    ];
    // To the newest picture: a player of live streams has nowhere else to go.
    const leapt = await page.evaluate(() => {
      const video = document.getElementById("one");
      const before = video.currentTime;
      video.currentTime = video.buffered.end(video.buffered.length - 1) - 0.2;
      return video.currentTime - before;
    });
    const sought = await look("one");
    const before = [...errors];
    const these = [...sockets];
    // Its sessions know TEARDOWN, though no button of its own asks them.
    await page.evaluate(() => {
      const { sessions } = window.player.client.clientSM;
      return Promise.all(Object.values(sessions).map((session) => session.stop()));
    });
    await until(() => these.every(({ closed }) => closed), "the sockets stay open");
    await start("two");
    const again = await look("two");
    console.log(JSON.stringify({ first, stood, resumed, leapt, sought, again, sockets, errors: before }));
  }
} finally {
  await browser.close();
  close();
}
