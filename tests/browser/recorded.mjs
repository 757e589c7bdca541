// Looks at recordings in Weir's own page: `gate`, and `yard` beside it, two cameras whose pictures have their number in them.
//   node recorded.mjs --url http://HOST:PORT/ --token TOKEN --from MS --gap MS --on MS [--screenshot FILE]
// Footage is there from `from` to `gap`, and again from `on`. Prints one line of JSON: the pictures where it went,
// how many pictures the two were apart while they played, where the time leapt over the gap, and how the MP4 played.
import { open, options } from "./browser.mjs";

const { url, token, from, gap, on, screenshot } = options();
const [begin, end, again] = [from, gap, on].map(Number);
const { browser, page, errors } = await open();

/** Of a video element: the number in its picture, and what the page says of its time. */
await page.addInitScript(() => {
  const canvas = document.createElement("canvas");
  canvas.width = 640;
  canvas.height = 64;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  window.stamp = (id) => {
    const video = document.getElementById(id);
    // The page says the time of the picture as of the last of these.
    video.dispatchEvent(new Event("timeupdate"));
    context.drawImage(video, 0, 0, 640, 64, 0, 0, 640, 64);
    let number = 0;
    for (let bit = 0; bit < 9; bit += 1) {
      if (context.getImageData(bit * 64 + 32, 32, 1, 1).data[1] > 128) number += 1 << bit;
    }
    return { number, wall: Number(video.dataset.wall) };
  };
  // The clock runs on where a decoder is late: the next picture that is shown, and what the page says of its own time. One from
  // before a gap, when the clock is behind it already, is of neither time.
  window.shown = (id) =>
    new Promise((done) => {
      const video = document.getElementById(id);
      const next = (_, { mediaTime }) => {
        if (Math.abs(mediaTime - video.currentTime) > 1) return video.requestVideoFrameCallback(next);
        const now = window.stamp(id);
        return done({ number: now.number, wall: Math.round(now.wall + (mediaTime - video.currentTime) * 1000) });
      };
      video.requestVideoFrameCallback(next);
    });
});

const press = (name) => page.getByRole("button", { name, exact: true }).click();
const shows = (number, first, last, states = ["playing", "paused"]) =>
  page.waitForFunction(
    ([id, first, last, states]) => {
      const { dataset, seeking } = document.getElementById(id);
      return !seeking && states.includes(dataset.state) && Number(dataset.wall) >= first && Number(dataset.wall) <= last;
    },
    [`footage-${number}`, first, last, states],
    { timeout: 15_000 },
  );

try {
  await page.goto(`${url}?${new URLSearchParams({ recordings: "gate", at: end - 2_500, token })}`);
  await shows(1, begin, end);

  // Over the gap: the time of the picture leaps, and it plays on. It is watched before the second camera is there, because a
  // busy machine takes longer for that than is left until the gap.
  const leaps = page.evaluate(
    (again) =>
      new Promise((done, fail) => {
        const video = document.getElementById("footage-1");
        let last = 0;
        setTimeout(() => fail(new Error(`the gap is not passed: ${last}`)), 20_000);
        video.addEventListener("timeupdate", () => {
          const wall = Number(video.dataset.wall);
          if (last > 0 && wall >= again - 200) done([last, wall]);
          last = wall;
        });
      }),
    again,
  );
  const both = async () => {
    await page.selectOption("#recordings-beside", "yard");
    await shows(2, begin, again + 600_000, ["playing"]);
  };
  const [leap] = await Promise.all([leaps, both()]);

  // Together.
  await page.waitForFunction(() => ["footage-1", "footage-2"].every((id) => document.getElementById(id).dataset.state === "playing"));
  await page.waitForTimeout(1_500);
  if (screenshot) await page.screenshot({ path: screenshot });
  const apart = [];
  for (let times = 0; times < 12; times += 1) {
    const [one, two] = await page.evaluate(() => [window.stamp("footage-1"), window.stamp("footage-2")]);
    apart.push(((one.number - two.number + 450) % 300) - 150);
    await page.waitForTimeout(100);
  }

  // Each picture at its time, whence ever one comes to it, as soon as it moves.
  const stops = [];
  const stop = async (first, last) => {
    await shows(1, first, last, ["playing"]);
    await page.waitForFunction(
      (id) => {
        const now = document.getElementById(id).currentTime;
        window.before ??= now;
        return now > window.before + 0.2;
      },
      "footage-1",
    );
    stops.push(await page.evaluate(() => ((window.before = undefined), window.shown("footage-1"))));
  };
  await stop(again, again + 600_000);
  await page.getByRole("slider", { name: "Time" }).focus();
  await page.keyboard.press("Home");
  await stop(begin - 200, begin + 1_500);
  await press("Later footage");
  await stop(again - 200, again + 1_500);
  const span = await page.locator(".timeline-span").first().boundingBox();
  await page.mouse.click(span.x + span.width / 2, span.y + span.height / 2);
  await stop(begin + 500, end);

  // The MP4 in an element of the browser's own.
  const answers = [];
  page.on("response", (response) => {
    if (response.url().includes(".mp4?from=")) answers.push([response.status(), response.headers()["content-range"] ?? ""]);
  });
  const mp4 = await page.evaluate(
    async ([from, to]) => {
      const video = document.createElement("video");
      const happens = (name) =>
        new Promise((done, fail) => {
          video.addEventListener(name, done, { once: true });
          setTimeout(() => fail(new Error(`the MP4: no ${name}: ${video.error?.message}`)), 10_000);
        });
      video.id = "file";
      video.muted = true;
      document.body.append(video);
      const ready = happens("loadeddata");
      video.src = `/recordings/gate.mp4?from=${from}&to=${to}&token=${sessionStorage.getItem("weir.access_token")}`;
      await ready;
      const at = async (seconds) => {
        const there = happens("seeked");
        video.currentTime = seconds;
        await there;
        return window.stamp("file").number;
      };
      const numbers = [await at(0.5), await at(2.5)];
      const before = video.currentTime;
      await video.play();
      while (video.currentTime < before + 1 && !video.ended) await new Promise((done) => setTimeout(done, 50));
      return { duration: video.duration, advanced: video.currentTime - before, numbers };
    },
    [begin, end],
  );
  console.log(JSON.stringify({ stops, apart, leap, mp4: { ...mp4, answers }, errors }));
} finally {
  await browser.close();
}
