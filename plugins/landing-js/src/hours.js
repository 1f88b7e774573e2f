/** Opening hours. An order has `[{ day: 'monday', ranges: ['09:00-18:00'] }]`, in the order of the week. */

/** For the model and for machines: `monday 09:00-18:00`. */
export function openingHours(hours) {
  return hours.map(({ day, ranges }) => `${day} ${ranges.join(', ') || 'closed'}`);
}

/** One line for each day, as a visitor reads it. Empty when nothing is known. */
export function rows(hours, { words, twelveHours }) {
  const time = (text) => (twelveHours ? amPm(text) : text);
  const shown = (range) => (range === '00:00-24:00' ? words.allDay : range.split('-').map(time).join(' – '));
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
