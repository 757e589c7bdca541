// The arithmetic of the recordings view, without a browser.

import assert from 'node:assert/strict';
import { test } from 'node:test';

process.env.TZ = 'Europe/Berlin';
const {
  HOUR_MS, MINUTE_MS, dateText, dayBeside, dayNamed, dayOf, footageFrom, footageMs, joined, lengthText, momentNamed, spanAt,
  startAfter, startBefore, timeNamed, timeText, windowOf,
} = await import('../src/spans.js');

const SPANS = [{ startMs: 1_000, endMs: 20_000 }, { startMs: 60_000, endMs: 90_000 }];

test('days are as long as clocks make them', () => {
  for (const [date, hours] of [['2026-03-29', 23], ['2026-10-25', 25], ['2026-11-25', 24]]) {
    const day = dayNamed(date);
    assert.equal((day.toMs - day.fromMs) / HOUR_MS, hours);
    assert.equal(dateText(day.fromMs), date);
    assert.deepEqual(dayOf(day.toMs - 1), day);
    assert.deepEqual(dayBeside(dayBeside(day, -1), 1), day);
  }
  assert.equal(timeText(dayNamed('2026-11-25').fromMs + 9 * HOUR_MS + 61_000), '09:01:01');
  assert.equal(timeNamed(dayNamed('2026-10-25'), '12:30:00'), Date.parse('2026-10-25T11:30:00Z'));
});

test('what is no day or time is none', () => {
  for (const text of ['', 'yesterday', '2026-13-01', '26-11-2026']) assert.equal(dayNamed(text), null);
  assert.equal(timeNamed(dayOf(0), ''), null);
  for (const text of [null, '', 'noon']) assert.equal(momentNamed(text), null);
  assert.equal(momentNamed('1764057600000'), momentNamed('2025-11-25T08:00:00Z'));
});

test('footage is found behind gaps and before them', () => {
  assert.equal(spanAt(SPANS, 20_000), undefined);
  assert.deepEqual([0, 5_000, 20_000, 89_999, 90_000].map((ms) => footageFrom(SPANS, ms)), [1_000, 5_000, 60_000, 89_999, null]);
  assert.deepEqual([59_900, 20_000].map((ms) => footageFrom(SPANS, ms)), [60_000, 60_000]);
  // Just before a beginning it is that one which is shown.
  assert.deepEqual([0, 990, 1_000, 59_990].map((ms) => startAfter(SPANS, ms)), [1_000, 60_000, 60_000, null]);
  // Just behind a beginning, it is the one before that is meant.
  assert.deepEqual([70_000, 61_000, 2_000].map((ms) => startBefore(SPANS, ms)), [60_000, 1_000, null]);
  assert.equal(footageMs(SPANS), 49_000);
});

test('two answers of one range are one', () => {
  const after = [{ startMs: 90_000, endMs: 95_000 }, { startMs: 99_000, endMs: 100_000 }];
  assert.deepEqual(joined(SPANS, after), [SPANS[0], { startMs: 60_000, endMs: 95_000 }, after[1]]);
  assert.deepEqual(SPANS[1], { startMs: 60_000, endMs: 90_000 });
});

test('a part of the day stays within the day', () => {
  const day = { fromMs: 0, toMs: 24 * HOUR_MS };
  assert.deepEqual(windowOf(day, 25 * HOUR_MS, 5), day);
  assert.deepEqual(windowOf(day, HOUR_MS, 5), { fromMs: 0, toMs: HOUR_MS });
  assert.deepEqual(windowOf(day, HOUR_MS, day.toMs), { fromMs: 23 * HOUR_MS, toMs: day.toMs });
});

test('lengths are written as people say them', () => {
  const all = [300, 45_000, 12 * MINUTE_MS, HOUR_MS, 3 * HOUR_MS + 20 * MINUTE_MS].map(lengthText);
  assert.deepEqual(all, ['1 s', '45 s', '12 min', '1 h', '3 h 20 min']);
});
