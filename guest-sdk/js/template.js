import { panicked } from 'sitewright:template/diagnostics@0.1.0';
import { Failure, place } from './failure.js';
import orderSchema from './order.schema.json';

/**
 * What a template is. Export it as `generatorSync` from the file that is built:
 *
 * @example export const generatorSync = template({ name: 'landing', …, generate(order) { … } });
 *
 * @param {object} parts
 * @param {string} parts.name lower-case letters, digits and `-`
 * @param {string} parts.version semantic version: `1.4.0`
 * @param {string} parts.summary one sentence
 * @param {Record<string, string>} parts.purposes what its AI calls are for: name and description
 * @param {string[]} parts.locales the languages it writes in: `pt-BR`, `en`
 * @param {(order: any) => void} parts.generate makes the site of one order, whose fields are those of `order.schema.json`
 */
export function template({ name, version, summary, purposes, locales, generate }) {
  return {
    describe() {
      return {
        name,
        version,
        summary,
        orderSchema: JSON.stringify(orderSchema),
        aiPurposes: Object.entries(purposes).map(([name, description]) => ({ name, description })),
        locales,
      };
    },

    generate(order) {
      try {
        generate(JSON.parse(order));
      } catch (error) {
        if (error instanceof Failure) throw error.toRecord();
        throw bug(error);
      }
    },
  };
}

/** An exception that nobody expected: the host is told of it before the component stops. */
function bug(error) {
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const stack = error?.stack ?? '';
  console.error(`${message}\n${stack}`);
  panicked({ message, location: place(stack), backtrace: stack || undefined });
  return error;
}
