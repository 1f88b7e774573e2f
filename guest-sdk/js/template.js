import { panicked } from 'sitewright:template/diagnostics@0.2.0';
import { withoutAsync } from './engine.js';
import { Failure, described, kindOf, location } from './failure.js';
import { readable } from './stack.js';
import orderSchema from './order.schema.json';

/**
 * Defines a template. Export the result as `generatorSync` from the module that is built:
 *
 * @example export const generatorSync = template({ name: 'landing', …, generate(order) { … } });
 *
 * @param {object} definition
 * @param {string} definition.name the name of the template: lower-case letters, digits and `-`,
 *   beginning with a letter, at most 64 bytes
 * @param {string} definition.version the semantic version of the template: `1.4.0`
 * @param {string} definition.summary what the template generates, in one sentence of at most 1,000
 *   bytes
 * @param {Record<string, string>} [definition.purposes] the purposes of AI calls, at most 64: name
 *   and description; without one, the template calls no model
 * @param {string[]} definition.locales the languages in which the template can write, as BCP 47
 *   tags: `pt-BR`, `en`; not empty
 * @param {string[]} [definition.orderFields] the fields of the order that the template uses, for
 *   operators and forms; the template gets all fields anyway
 * @param {string[]} [definition.copyMarks] texts of the template's own prompts and layouts that no
 *   visitor may read, at most 64, each of 2 to 100 bytes
 * @param {string} [definition.fallbackLocale] one of `locales`, for orders in another language
 *   where the operator allows that and names none that the template writes
 * @param {number} [definition.siteBytes] the bytes that a site is expected to have at most; a
 *   larger one is published with a warning
 * @param {string[]} [definition.externalHosts] the hosts, by name, that pages load from:
 *   `fonts.example.com`, at most 64; pages that load from others are published with a warning,
 *   because each host learns of every visitor; addresses that the order names need no declaration
 * @param {string[]} [definition.exemptPurposes] the purposes whose replies are not texts for
 *   visitors, such as code: the host does not check them as copy, but checks all pages
 * @param {(order: any) => void} definition.generate generates the site of an order, which has the
 *   fields of `order.schema.json`; it must not be async, because the engine has no async: a promise
 *   or a timer that it creates fails the run
 */
export function template(definition) {
  const problem = problemOf(definition);
  // Thrown when the host asks: only then the lines of the author's files are known. Its stack is
  // that of the author's call.
  const wrong = problem && new TypeError(problem);
  const { generate } = definition ?? {};
  return {
    describe() {
      if (wrong) throw refused(wrong);
      const { name, version, summary, locales, siteBytes } = definition;
      const purposes = Object.entries(definition.purposes ?? {});
      return {
        name,
        version,
        summary,
        orderSchema: JSON.stringify(orderSchema),
        aiPurposes: purposes.map(([purpose, description]) => ({ name: purpose, description })),
        locales,
        orderFields: definition.orderFields ?? undefined,
        copyMarks: definition.copyMarks ?? [],
        fallbackLocale: definition.fallbackLocale ?? undefined,
        siteBytes: siteBytes === undefined || siteBytes === null ? undefined : BigInt(siteBytes),
        externalHosts: definition.externalHosts ?? [],
        exemptPurposes: definition.exemptPurposes ?? [],
      };
    },

    generate(order) {
      try {
        withoutAsync(() => generate(JSON.parse(order)));
      } catch (error) {
        if (error instanceof Failure) throw error.toRecord();
        throw reported(error);
      }
    },
  };
}

const isText = (value) => typeof value === 'string';
const areTexts = (value) => Array.isArray(value) && value.every(isText);

/** The fields of a definition: what each must be, whether it is, and whether it must be there. */
const FIELDS = {
  name: ['a text', isText, true],
  version: ['a text', isText, true],
  summary: ['a text', isText, true],
  purposes: [
    'an object of texts',
    (value) => kindOf(value) === 'an object' && Object.values(value).every(isText),
    false,
  ],
  locales: ['an array of texts', areTexts, true],
  orderFields: ['an array of texts', areTexts, false],
  copyMarks: ['an array of texts', areTexts, false],
  fallbackLocale: ['a text', isText, false],
  siteBytes: [
    'a whole number',
    (value) => (typeof value === 'bigint' || Number.isSafeInteger(value)) && value >= 0,
    false,
  ],
  externalHosts: ['an array of texts', areTexts, false],
  exemptPurposes: ['an array of texts', areTexts, false],
};

/** What is wrong with the types of a definition; `undefined` if nothing. The host checks more. */
function problemOf(definition) {
  const given = kindOf(definition);
  if (given !== 'an object') {
    return `the template is ${given}: write \`template({ name: …, generate(order) … })\``;
  }
  for (const [field, [expected, fits, isNeeded]] of Object.entries(FIELDS)) {
    const value = definition[field];
    const kind = kindOf(value);
    if (kind === 'nothing' && isNeeded) {
      return `the template has no \`${field}\`, which must be ${expected}`;
    }
    if (kind !== 'nothing' && !fits(value)) {
      const found = isText(value) ? JSON.stringify(value) : partOf(value);
      return `\`${field}\` of the template must be ${expected}, and is ${found}`;
    }
  }
  if (typeof definition.generate !== 'function') {
    return 'the template has no function `generate`, which makes the site of an order';
  }
  return undefined;
}

/** What a value is, with what is no text in an array or an object. */
function partOf(value) {
  const parts = typeof value === 'object' && value !== null ? Object.entries(value) : [];
  const odd = parts.find(([, part]) => !isText(part));
  return odd ? `${kindOf(value)} with ${kindOf(odd[1])} at \`${odd[0]}\`` : kindOf(value);
}

/** Reports a wrong definition, with the author's line, before it traps the component. */
function refused(error) {
  const place = location(error.stack);
  const at = place ? ` (${place.file}:${place.line})` : '';
  panicked({ message: `${error.message}${at}`, location: place, backtrace: undefined });
  return error;
}

/** Reports an unexpected exception to the host, before it traps the component. */
function reported(error) {
  const message = messageOf(error);
  const stack = readable(error?.stack);
  console.error(`${message}\n${stack}`);
  panicked({ message, location: location(error?.stack), backtrace: stack || undefined });
  return error;
}

/** Maximum causes in a message. */
const MAX_CAUSES = 16;

/** The message of an exception with those of its causes, outermost first. */
function messageOf(error) {
  // The engine throws this text if its heap is full; the host knows it by this text alone.
  if (error === 'out of memory') return error;
  if (!(error instanceof Error)) {
    return (
      `${String(error)} (thrown without an \`Error\`, so its line is not known: write ` +
      '`throw new Error(…)`)'
    );
  }
  const texts = [described(error)];
  let { cause } = error;
  while (cause !== undefined && cause !== null && texts.length <= MAX_CAUSES) {
    texts.push(described(cause));
    cause = cause.cause;
  }
  return texts.join('; caused by: ');
}
