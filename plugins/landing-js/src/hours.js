/**
 * Opening hours. The order contains `[{ day: 'monday', ranges: ['09:00-18:00'] }]`, sorted from
 * Monday to Sunday; a day without ranges is closed.
 */

/** Text for the prompt: `monday 09:00-18:00`. */
export function openingHours(hours) {
  return hours.map(({ day, ranges }) => `${day} ${ranges.join(', ') || 'closed'}`);
}

/** One row of the table for each day. Empty if the order has no hours. */
export function rows(hours, { words, twelveHours }) {
  const time = (text) => (twelveHours ? amPm(text) : text);
  const shown = (range) =>
    range === '00:00-24:00' ? words.allDay : range.split('-').map(time).join(' – ');
  return hours.map(({ day, ranges }) => ({
    day: words.days[day],
    times: ranges.length > 0 ? ranges.map(shown).join(', ') : words.closed,
  }));
}

function amPm(text) {
  const [hour, minute] = text.split(':').map(Number);
  const half = hour % 24 < 12 ? 'am' : 'pm';
  return `${hour % 12 || 12}${minute ? `:${String(minute).padStart(2, '0')}` : ''} ${half}`;
}
