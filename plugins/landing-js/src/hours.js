/**
 * Opening hours. The order contains `[{ day: 'monday', ranges: ['09:00-18:00'] }]`, sorted from
 * Monday to Sunday; a day without ranges is closed.
 */
import { DAYS, fill, isRightToLeft } from './words.js';

/** Text for the prompt: `monday 09:00-18:00`. */
export function openingHours(hours) {
  return hours.map(({ day, ranges }) => `${day} ${ranges.join(', ') || 'closed'}`);
}

/**
 * The rows of the table: days and times. Consecutive days with the same hours share a row. Empty if
 * the order has no hours.
 */
export function rows(hours, lang) {
  // A week that is read from right to left begins on Sunday.
  const week = isRightToLeft(lang) ? [DAYS[6], ...DAYS.slice(0, 6)] : DAYS;
  const groups = [];
  week.forEach((day, at) => {
    const known = hours.find((entry) => entry.day === day);
    if (!known) return;
    const key = known.ranges.join();
    const group = groups.at(-1);
    if (group && group.key === key && group.last === at - 1) {
      group.days.push(day);
      group.last = at;
    } else {
      groups.push({ days: [day], key, ranges: known.ranges, last: at });
    }
  });
  return groups.map(({ days, ranges }) => ({
    days: span(days, lang.words),
    times: ranges.length > 0 ? ranges.map((range) => time(range, lang)) : [lang.words.closed],
  }));
}

function span(days, words) {
  const [first, last] = [words.days[days[0]], words.days[days.at(-1)]];
  const pattern = [undefined, '{}', words.daysTwo][days.length] ?? words.daysSpan;
  const [letter, ...rest] = fill(pattern, first, last);
  return letter.toUpperCase() + rest.join('');
}

function time(range, { code, words }) {
  if (range === '00:00-24:00') return words.allDay;
  const [open, close] = range.split('-');
  if (code === 'en') return `${amPm(open)} – ${amPm(close)}`;
  if (code === 'ja') return [open, close].map((text) => text.replace(/^0/, '')).join('～');
  return `${open} – ${close}`;
}

function amPm(text) {
  const [hour, minute] = text.split(':').map(Number);
  const half = hour % 24 < 12 ? 'am' : 'pm';
  return `${hour % 12 || 12}${minute ? `:${String(minute).padStart(2, '0')}` : ''} ${half}`;
}
