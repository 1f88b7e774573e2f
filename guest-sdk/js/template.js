import { panicked } from 'sitewright:template/diagnostics@0.2.0';
import { withoutAsync } from './engine.js';
import { Failure, described, location } from './failure.js';
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
 * @param {string} [definition.fallbackLocale] one of `locales`, for orders in another language where
 *   the operator allows that and names none that the template writes
 * @param {number} [definition.siteBytes] the bytes that a site is expected to have at most; a larger
 *   one is published with a warning
 * @param {string[]} [definition.externalHosts] the hosts, by name, that pages load from:
 *   `fonts.example.com`, at most 64; pages that load from others are published with a warning,
 *   because each host learns of every visitor; addresses that the order names need no declaration
 * @param {string[]} [definition.exemptPurposes] the purposes whose replies are not texts for
 *   visitors, such as code: the host does not check them as copy, but checks all pages
 * @param {(order: any) => void} definition.generate generates the site of an order, which has the
 *   fields of `order.schema.json`; it must not be async, because the engine has no async: a promise
 *   or a timer that it creates fails the run
 */
export function template({
  name,
  version,
  summary,
  purposes = {},
  locales,
  orderFields,
  copyMarks = [],
  fallbackLocale,
  siteBytes,
  externalHosts = [],
  exemptPurposes = [],
  generate,
}) {
  return {
    describe() {
      return {
        name,
        version,
        summary,
        orderSchema: JSON.stringify(orderSchema),
        aiPurposes: Object.entries(purposes).map(([name, description]) => ({ name, description })),
        locales,
        orderFields,
        copyMarks,
        fallbackLocale,
        siteBytes: siteBytes === undefined ? undefined : BigInt(siteBytes),
        externalHosts,
        exemptPurposes,
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
