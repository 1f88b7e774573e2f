/** The AI requests, and how the text of the replies is cleaned before a page shows it. */
import { Failure, askAll } from 'sitewright';
import { openingHours } from './hours.js';

export const PURPOSE = 'copywriting';

/** Maximum number of services with a description; the page lists the others by name. */
const MAX_DESCRIBED = 12;

const RULES = `You are a senior copywriter of a web design agency. \
You write one part of a single-page site for a local business.

Rules, without exception:
- Write only in the language the request names, as an educated native speaker of that place writes.
- Use only facts from the data. \
Never invent prices, numbers, years, awards, names, addresses, opening hours or quotations.
- Be concrete and plain: no clichés, no superlatives without proof, no exclamation marks, no emoji.
- Plain text only: no HTML, no Markdown, no links, no placeholders.`;

const text = (description) => ({ type: 'string', description });
const list = (items, description) => ({ type: 'array', items, description });
const object = (properties) => ({
  type: 'object',
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
});

/** The parts of the page: the task and the JSON schema of the reply for each. */
const PARTS = {
  opening: {
    task: 'Write the beginning of the page. The headline names a benefit, not the business.',
    schema: object({
      title: text("For the browser's tab: 20 to 60 characters, without the business's name."),
      description: text('For search results: 70 to 155 characters.'),
      headline: text('At most 60 characters, no full stop.'),
      lead: text('One or two sentences, at most 220 characters.'),
    }),
  },
  services: {
    task:
      'Write about what the business offers: one text for each entry of the data `services`, ' +
      'in its order.',
    schema: object({
      heading: text('2 to 6 words.'),
      lead: text('One sentence.'),
      texts: list(
        { type: 'string' },
        'One or two sentences for each service, in the order of the data.',
      ),
    }),
  },
  about: {
    task: 'Write about the business itself, in the first person plural.',
    schema: object({
      heading: text('2 to 6 words.'),
      paragraphs: list({ type: 'string' }, '1 to 3 paragraphs.'),
    }),
  },
  questions: {
    task:
      'Write the questions that customers ask before the first contact, with honest answers.',
    schema: object({
      questions: list(
        object({
          question: text('As a customer asks it.'),
          answer: text('One to three sentences.'),
        }),
        '3 to 6.',
      ),
    }),
  },
};

/**
 * Requests the copy of all parts concurrently and cleans it.
 *
 * Throws `empty-copy` if the headline or the text about the business is empty.
 */
export function write(order, { tag, name, voice }) {
  const data = { order: facts(order), services: services(order).slice(0, MAX_DESCRIBED) };
  const questions = Object.entries(PARTS).map(([part, { task, schema }]) => [
    part,
    {
      purpose: PURPOSE,
      system: RULES,
      // Scripted replies match the first three lines.
      user:
        `part: ${part}\nlocale: ${tag}\norder: ${order.id}\n\n` +
        `Language: ${name} (${tag}).${voice && ` ${voice}`} Tone: ${order.tone}.\n${task}`,
      data,
      schema,
      temperature: 0.7,
    },
  ]);
  const replies = askAll(Object.fromEntries(questions));

  const { opening, services: offered, about, questions: asked } = replies;
  const paragraphs = about.value.paragraphs.map((paragraph) => cut(paragraph, 900)).filter(Boolean);
  if (paragraphs.length === 0) throw emptyCopy('about.paragraphs', about);
  const headline = cut(opening.value.headline, 90);
  if (headline === '') throw emptyCopy('opening.headline', opening);
  const lead = cut(opening.value.lead, 320);
  return {
    title: cut(opening.value.title, 70) || headline,
    description: cut(opening.value.description, 180) || lead || headline,
    headline,
    lead,
    services: {
      heading: cut(offered.value.heading, 80),
      lead: cut(offered.value.lead, 240),
      texts: offered.value.texts.map((service) => cut(service, 320)),
    },
    about: { heading: cut(about.value.heading, 80), paragraphs: paragraphs.slice(0, 4) },
    questions: asked.value.questions
      .map(({ question, answer }) => ({ question: cut(question, 160), answer: cut(answer, 800) }))
      .filter(({ question, answer }) => question && answer)
      .slice(0, 8),
  };
}

/** Services without duplicates, the primary one first. */
export function services(order) {
  const names = [order.primary_service ?? '', ...order.services].map((name) => cut(name, 120));
  return [...new Set(names)].filter(Boolean);
}

/**
 * Collapses white space and control characters, and truncates the text at a word boundary to at
 * most `max` characters plus an ellipsis.
 */
export function cut(value, max) {
  const line = value.replace(/[\s\u0000-\u001f\u007f-\u009f]+/g, ' ').trim();
  const characters = [...line];
  if (characters.length <= max) return line;
  const short = characters.slice(0, max).join('');
  const space = short.lastIndexOf(' ');
  return `${short.slice(0, space > max / 2 ? space : undefined).replace(/[ ,;:.]+$/, '')}…`;
}

/**
 * Error for a reply that fits its schema and has no text. It blames the AI call, so that a retry of
 * the order requests a new reply.
 */
function emptyCopy(field, { callId }) {
  const message = `the model's reply has nothing in \`${field}\`; a retry asks it again`;
  return new Failure('empty-copy', message, { aiCalls: [callId] });
}

/** The fields of the order that the model sees, truncated: no payment or contact data. */
function facts(order) {
  const short = (value, max) => value && cut(value, max);
  return {
    business_name: cut(order.business_name, 200),
    trade: short(order.custom_niche, 200) || order.niche,
    city: short(order.primary_city, 100),
    state: short(order.state, 100),
    service_areas: order.service_areas.slice(0, 30),
    objective: short(order.site_objective, 200),
    description: short(order.site_description, 2000),
    owner: short(order.about_owner, 2000),
    years_in_business: order.years_in_business,
    opening_hours: openingHours(order.business_hours),
    customers_said: order.testimonials.slice(0, 6).map(({ text }) => cut(text, 300)),
  };
}
