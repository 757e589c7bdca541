// Time as the recordings view counts it: spans that have footage, days of this browser's time zone, and how both are
// written. All times are milliseconds since 1970. Pure: no DOM, no network.

/** @typedef {{startMs: number, endMs: number}} Span in order, and without overlap */
/** @typedef {{fromMs: number, toMs: number}} Range */

export const SECOND_MS = 1_000;
export const MINUTE_MS = 60_000;
export const HOUR_MS = 3_600_000;

/** Footage that is less apart plays on without a break, as the server has it. */
const JOINED_MS = 500;

/** From midnight to midnight: 23 or 25 hours where clocks change. @param {number} ms @returns {Range} */
export function dayOf(ms) {
  const date = new Date(ms);
  const [year, month, day] = [date.getFullYear(), date.getMonth(), date.getDate()];
  return { fromMs: new Date(year, month, day).getTime(), toMs: new Date(year, month, day + 1).getTime() };
}

/** The day before or after. @param {Range} day @param {-1 | 1} step @returns {Range} */
export function dayBeside(day, step) {
  return dayOf(step < 0 ? day.fromMs - 1 : day.toMs);
}

/** `2026-11-25`, as date inputs have it. @param {number} ms */
export function dateText(ms) {
  const date = new Date(ms);
  return [String(date.getFullYear()).padStart(4, '0'), two(date.getMonth() + 1), two(date.getDate())].join('-');
}

/** `08:05:09`, as time inputs have it. @param {number} ms */
export function timeText(ms) {
  const date = new Date(ms);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':');
}

/** The day that a date input names. @param {string} text @returns {Range | null} */
export function dayNamed(text) {
  const ms = new Date(`${text}T12:00:00`).getTime();
  return /^\d{4}-\d\d-\d\d$/.test(text) && Number.isFinite(ms) ? dayOf(ms) : null;
}

/** The time of a day that a time input names. @param {Range} day @param {string} text @returns {number | null} */
export function timeNamed(day, text) {
  const ms = new Date(`${dateText(day.fromMs)}T${text}`).getTime();
  return text !== '' && Number.isFinite(ms) ? ms : null;
}

/** The time of a link: RFC 3339 or milliseconds. @param {string | null} text @returns {number | null} */
export function momentNamed(text) {
  const ms = text === null || text === '' ? NaN : /^\d+$/.test(text) ? Number(text) : Date.parse(text);
  return Number.isFinite(ms) ? ms : null;
}

/** `45 s`, `12 min`, `3 h 20 min`. @param {number} ms */
export function lengthText(ms) {
  if (ms < 2 * MINUTE_MS) return `${Math.max(1, Math.round(ms / SECOND_MS))} s`;
  const minutes = Math.round(ms / MINUTE_MS);
  if (minutes < 60) return `${minutes} min`;
  return minutes % 60 === 0 ? `${minutes / 60} h` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Joins what two answers say of one range. @param {Span[]} before @param {Span[]} after @returns {Span[]} */
export function joined(before, after) {
  const all = before.map((span) => ({ ...span }));
  for (const span of after) {
    const last = all.at(-1);
    if (last && span.startMs - last.endMs <= JOINED_MS) last.endMs = Math.max(last.endMs, span.endMs);
    else all.push({ ...span });
  }
  return all;
}

/** @param {Span[]} spans @param {number} ms @returns {Span | undefined} */
export function spanAt(spans, ms) {
  return spans.find((span) => ms >= span.startMs && ms < span.endMs);
}

/**
 * Where footage goes on behind the next gap. A picture may be a little earlier than the beginning that it is of.
 *
 * @param {Span[]} spans @param {number} ms @returns {number | null}
 */
export function startAfter(spans, ms) {
  return spans.find((span) => span.startMs > ms + JOINED_MS)?.startMs ?? null;
}

/**
 * Where the footage before this time begins; a little after a beginning that is the one before it.
 *
 * @param {Span[]} spans @param {number} ms @returns {number | null}
 */
export function startBefore(spans, ms) {
  return spans.findLast((span) => span.startMs < ms - 3 * SECOND_MS)?.startMs ?? null;
}

/** The moment nearest to this one that has footage: itself, or where it goes on. @param {Span[]} spans @param {number} ms @returns {number | null} */
export function footageFrom(spans, ms) {
  const span = spans.find(({ endMs }) => endMs > ms);
  return span ? Math.max(ms, span.startMs) : null;
}

/** @param {Span[]} spans */
export function footageMs(spans) {
  return spans.reduce((sum, span) => sum + span.endMs - span.startMs, 0);
}

/** So much of a day around a moment, within the day. @param {Range} day @param {number} lengthMs @param {number} aroundMs @returns {Range} */
export function windowOf(day, lengthMs, aroundMs) {
  const whole = day.toMs - day.fromMs;
  if (lengthMs >= whole) return day;
  const fromMs = Math.min(Math.max(aroundMs - lengthMs / 2, day.fromMs), day.toMs - lengthMs);
  return { fromMs, toMs: fromMs + lengthMs };
}

/** @param {number} number */
function two(number) {
  return String(number).padStart(2, '0');
}
