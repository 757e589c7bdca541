// The day as a bar: where there is footage, which part is chosen for a download, and the moment that is shown. It is a slider
// for the keyboard and for screen readers, and says where somebody wants to go; what that means is recordings.js.

import { el, setText } from './dom.js';
import { HOUR_MS, MINUTE_MS, SECOND_MS, spanAt, timeText } from './spans.js';

/** @typedef {import('./spans.js').Span} Span */
/** @typedef {import('./spans.js').Range} Range */

/** Distances of marks on the scale. */
const SCALES_MS = [10 * SECOND_MS, MINUTE_MS, 5 * MINUTE_MS, 15 * MINUTE_MS, HOUR_MS, 3 * HOUR_MS, 6 * HOUR_MS];
/** About what a mark's text takes, in pixels. */
const MARK_PX = 62;

export class Timeline {
  #bar = el('div', { class: 'timeline-bar', role: 'slider', tabindex: 0, 'aria-label': 'Time' });
  #rows = el('div', { class: 'timeline-rows' });
  #chosen = el('div', { class: 'timeline-chosen' });
  #head = el('div', { class: 'timeline-head' });
  #hint = el('div', { class: 'timeline-hint', hidden: true });
  #scale = el('div', { class: 'timeline-scale', 'aria-hidden': 'true' });
  /** @type {Range} */
  #shown = { fromMs: 0, toMs: 1 };
  /** @type {Span[][]} */
  #spans = [];
  /** @type {Range | null} */
  #part = null;
  /** @type {number | null} */
  #atMs = null;
  #drawn = '';

  /** @param {(ms: number) => void} wanted @param {(step: -1 | 1) => void} zoomed */
  constructor(wanted, zoomed) {
    this.#bar.append(this.#rows, this.#chosen, this.#head, this.#hint);
    this.element = el('div', { class: 'timeline' }, this.#bar, this.#scale);
    this.#bar.addEventListener('pointermove', (event) => this.#showHint(event));
    this.#bar.addEventListener('pointerleave', () => (this.#hint.hidden = true));
    this.#bar.addEventListener('click', (event) => wanted(this.#timeOf(event)));
    this.#bar.addEventListener('keydown', (event) => {
      if (event.key === '+' || event.key === '-') zoomed(event.key === '+' ? 1 : -1);
      const to = this.#keyed(event.key);
      if (to === null || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      wanted(to);
    });
    new ResizeObserver(() => this.#draw()).observe(this.#bar);
  }

  /**
   * @param {Range} shown what the bar's width stands for
   * @param {Span[][]} spans of each camera
   * @param {Range | null} part what is chosen
   */
  update(shown, spans, part) {
    this.#shown = shown;
    this.#spans = spans;
    this.#part = part;
    this.#draw();
    this.setTime(this.#atMs);
  }

  /** @param {number | null} ms what is shown now */
  setTime(ms) {
    this.#atMs = ms;
    const { fromMs, toMs } = this.#shown;
    const inside = ms !== null && ms >= fromMs && ms <= toMs;
    this.#head.hidden = !inside;
    if (inside) this.#head.style.left = this.#percent(ms);
    const now = Math.min(Math.max(ms ?? fromMs, fromMs), toMs);
    this.#bar.setAttribute('aria-valuemin', String(Math.floor(fromMs / SECOND_MS)));
    this.#bar.setAttribute('aria-valuemax', String(Math.floor(toMs / SECOND_MS)));
    this.#bar.setAttribute('aria-valuenow', String(Math.floor(now / SECOND_MS)));
    const there = spanAt(this.#spans[0] ?? [], now) ? '' : ', no footage';
    this.#bar.setAttribute('aria-valuetext', `${timeText(now)}${there}`);
  }

  /** Where a key leads. @param {string} key @returns {number | null} */
  #keyed(key) {
    const { fromMs, toMs } = this.#shown;
    const now = this.#atMs ?? fromMs;
    const leap = (toMs - fromMs) / 24;
    switch (key) {
      case 'ArrowLeft':
      case 'ArrowDown':
        return now - 10 * SECOND_MS;
      case 'ArrowRight':
      case 'ArrowUp':
        return now + 10 * SECOND_MS;
      case 'PageDown':
        return now - leap;
      case 'PageUp':
        return now + leap;
      case 'Home':
        return this.#spans[0]?.[0]?.startMs ?? fromMs;
      case 'End':
        return (this.#spans[0]?.at(-1)?.endMs ?? toMs) - 10 * SECOND_MS;
      default:
        return null;
    }
  }

  /** @param {MouseEvent} event */
  #timeOf(event) {
    const { left, width } = this.#bar.getBoundingClientRect();
    const { fromMs, toMs } = this.#shown;
    const part = Math.min(Math.max((event.clientX - left) / Math.max(width, 1), 0), 1);
    return Math.round(fromMs + part * (toMs - fromMs));
  }

  /** @param {PointerEvent} event */
  #showHint(event) {
    const ms = this.#timeOf(event);
    this.#hint.hidden = event.pointerType === 'touch';
    this.#hint.style.left = this.#percent(ms);
    setText(this.#hint, timeText(ms));
  }

  #draw() {
    const width = this.#bar.clientWidth;
    const key = JSON.stringify([this.#shown, this.#spans, this.#part, width]);
    if (width === 0 || this.#drawn === key) return;
    this.#drawn = key;
    const { fromMs, toMs } = this.#shown;
    this.#rows.replaceChildren(
      ...this.#spans.map((spans) => {
        const seen = spans.filter((span) => span.endMs > fromMs && span.startMs < toMs);
        return el('div', { class: 'timeline-row' }, ...seen.map((span) => this.#stretch('timeline-span', span.startMs, span.endMs)));
      }),
    );
    const part = this.#part;
    this.#chosen.hidden = part === null || part.toMs <= fromMs || part.fromMs >= toMs;
    if (part) this.#place(this.#chosen, part.fromMs, part.toMs);

    const most = Math.max(2, Math.floor(width / MARK_PX));
    const step = SCALES_MS.find((one) => (toMs - fromMs) / one <= most) ?? 12 * HOUR_MS;
    const marks = [];
    // Counted from midnight, whatever the zone; an hour that a change of clocks takes or gives shifts those behind it.
    const midnight = new Date(fromMs).setHours(0, 0, 0, 0);
    for (let at = midnight + Math.ceil((fromMs - midnight) / step) * step; at < toMs; at += step) {
      const mark = el('span', {}, step < MINUTE_MS ? timeText(at) : timeText(at).slice(0, 5));
      mark.style.left = this.#percent(at);
      marks.push(mark);
    }
    this.#scale.replaceChildren(...marks);
  }

  /** @param {string} name @param {number} startMs @param {number} endMs */
  #stretch(name, startMs, endMs) {
    const element = el('div', { class: name });
    this.#place(element, startMs, endMs);
    return element;
  }

  /** @param {HTMLElement} element @param {number} startMs @param {number} endMs */
  #place(element, startMs, endMs) {
    const { fromMs, toMs } = this.#shown;
    const [start, end] = [Math.max(startMs, fromMs), Math.min(endMs, toMs)];
    element.style.left = this.#percent(start);
    element.style.width = `${(Math.max(0, end - start) / (toMs - fromMs)) * 100}%`;
  }

  /** @param {number} ms */
  #percent(ms) {
    const { fromMs, toMs } = this.#shown;
    return `${((ms - fromMs) / (toMs - fromMs)) * 100}%`;
  }
}
