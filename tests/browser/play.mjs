// Plays a URL with hls.js or mpegts.js: node play.mjs --engine hls|hls-ll|flv|mpegts --url URL [--seconds 3] [--limit 30]
// Prints one line of JSON: how far the clock went, the picture's size, and the errors of the player and the page; with hls-ll
// also how far the picture is behind, in seconds, and how many parts were loaded.
import { open, options, packaged, site, watch } from "./browser.mjs";

const { engine, url, seconds = "3", limit = "30" } = options();
const { port, close } = await site("<video muted autoplay></video>");
const { browser, page, errors } = await open();
try {
  await page.goto(`http://127.0.0.1:${port}/`);
  await page.addScriptTag({ content: packaged(engine.startsWith("hls") ? "hls.js/dist/hls.js" : "mpegts.js/dist/mpegts.js") });
  await page.evaluate(
    ({ engine, url }) => {
      window.failures = [];
      const video = document.querySelector("video");
      if (engine.startsWith("hls")) {
        const hls = (window.hls = new Hls({ lowLatencyMode: engine === "hls-ll" }));
        window.parts = 0;
        hls.on(Hls.Events.FRAG_LOADED, (_, data) => data.part && window.parts++);
        hls.on(Hls.Events.ERROR, (_, data) => data.fatal && window.failures.push(`${data.type} ${data.details}`));
        hls.loadSource(url);
        hls.attachMedia(video);
      } else {
        const player = mpegts.createPlayer({ type: engine, isLive: true, url });
        player.on(mpegts.Events.ERROR, (type, detail) => window.failures.push(`${type} ${detail}`));
        player.attachMediaElement(video);
        player.load();
      }
      video.play().catch((error) => window.failures.push(String(error)));
    },
    { engine, url },
  );
  const seen = await watch(page, "video", Number(seconds), Number(limit));
  const failures = await page.evaluate(() => window.failures);
  const ll = engine === "hls-ll" ? await page.evaluate(() => ({ latency: window.hls.latency, parts: window.parts })) : {};
  console.log(JSON.stringify({ ...seen, ...ll, errors: [...failures, ...errors] }));
} finally {
  await browser.close();
  close();
}
