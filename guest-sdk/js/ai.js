import { completeAll } from 'sitewright:template/ai-sync@0.2.0';
import { Failure, kindOf } from './failure.js';
import { notePlace } from './place.js';

/**
 * A request to a model.
 *
 * @typedef {object} Question
 * @property {string} purpose one of the template's purposes; the operator's routes map it to a
 *   model
 * @property {string} system the system message: the template's instructions, never order data
 * @property {string} user the user message: the request, without order data
 * @property {Record<string, unknown>} [data] order data by name; it follows the user message, and
 *   the host delimits it as untrusted input; what is not text becomes JSON
 * @property {object} [schema] JSON Schema (draft 2020-12, at most 64 KiB as text) of the reply;
 *   with a schema, the reply's `value` is parsed JSON that the host has validated; without one,
 *   text
 * @property {number} [temperature] sampling temperature, 0.0 to 2.0; default: the model's
 * @property {number} [maxOutputTokens] maximum length of the reply, in tokens; default: the limit
 *   of the route
 */

/**
 * A complete, validated reply.
 *
 * @typedef {object} Reply
 * @property {any} value parsed JSON if the question has a schema, otherwise text
 * @property {string} callId the host's id of the call, for `new Failure(…, { aiCalls })` if the
 *   reply is unusable
 */

/**
 * Sends a request and waits for the complete, validated reply.
 *
 * @param {Question} question
 * @returns {Reply}
 * @throws {Failure} if the call failed; the failure blames the call
 * @throws {TypeError} if a field of the question is missing or has another type
 */
export function ask(question) {
  return askAll({ only: question }).only;
}

/**
 * Sends several requests concurrently and waits for all replies.
 *
 * @template {string} Name
 * @param {Record<Name, Question>} questions
 * @returns {Record<Name, Reply>}
 * @throws {Failure} if at least one call failed; the failure blames all failed calls
 * @throws {TypeError} if a field of a question is missing or has another type
 */
export function askAll(questions) {
  notePlace();
  const names = Object.keys(questions);
  for (const name of names) checkQuestion(questions[name], name);
  const outcomes = completeAll(names.map((name) => request(questions[name])));
  const failed = outcomes.filter((outcome) => outcome.tag === 'err').map((outcome) => outcome.val);
  if (failed.length > 0) {
    const aiCalls = failed.map((error) => error.callId);
    throw new Failure(`ai-${failed[0].kind}`, failed[0].message, { aiCalls });
  }
  const reply = ({ val }, name) => ({
    value: questions[name].schema ? JSON.parse(val.content) : val.content,
    callId: val.callId,
  });
  return Object.fromEntries(names.map((name, at) => [name, reply(outcomes[at], name)]));
}

/** The fields of a question: what each must be, and whether it must be there. */
const FIELDS = {
  purpose: ['a text', true],
  system: ['a text', true],
  user: ['a text', true],
  data: ['an object', false],
  schema: ['an object', false],
  temperature: ['a number', false],
  maxOutputTokens: ['a number', false],
};

/** Throws if a field of a question is missing or has another type. */
function checkQuestion(question, name) {
  const which = name === 'only' ? 'the question' : `the question \`${name}\``;
  if (kindOf(question) !== 'an object') {
    throw new TypeError(
      `${which} is ${kindOf(question)}: write \`{ purpose: …, system: …, user: … }\``,
    );
  }
  for (const [field, [expected, isNeeded]] of Object.entries(FIELDS)) {
    const found = kindOf(question[field]);
    if (found === 'nothing' && isNeeded) {
      throw new TypeError(`${which} has no \`${field}\`, which must be ${expected}`);
    }
    if (found !== 'nothing' && found !== expected) {
      throw new TypeError(`\`${field}\` of ${which} must be ${expected}, and is ${found}`);
    }
  }
  for (const [field, value] of Object.entries(question.data ?? {})) {
    if (['function', 'symbol', 'bigint'].includes(typeof value)) {
      throw new TypeError(
        `\`data.${field}\` of ${which} must be a value that JSON has, and is ${kindOf(value)}`,
      );
    }
  }
}

function request({ purpose, system, user, data = {}, schema, temperature, maxOutputTokens }) {
  const text = (val) => ({ tag: 'text', val });
  const parts = Object.entries(data ?? {}).map(([name, value]) => ({
    tag: 'data',
    val: {
      name,
      text: typeof value === 'string' ? value : JSON.stringify(value ?? null, null, 2),
    },
  }));
  return {
    purpose,
    messages: [
      { role: 'system', content: [text(system)] },
      { role: 'user', content: [text(user), ...parts] },
    ],
    format: schema ? { tag: 'json-schema', val: JSON.stringify(schema) } : { tag: 'text' },
    maxOutputTokens,
    temperature,
    seed: undefined,
    stop: [],
  };
}
