import { ownFrame } from './stack.js';

/**
 * Why the template could not generate the site. Throw it to fail the run; the operator sees it in
 * the failure record. Any other exception is treated as a bug.
 *
 * @example throw new Failure('missing-service', 'the order has no services, which are required');
 */
export class Failure extends Error {
  /**
   * @param {string} code a short, stable code for programs: `missing-service`
   * @param {string} message what happened and what to do about it, for the operator
   * @param {object} [details]
   * @param {string[]} [details.aiCalls] ids of the AI calls that caused the failure; a retry of the
   *   order sends these calls again and replays all others
   * @param {unknown} [details.cause] the error that caused the failure
   * @param {Record<string, string>} [details.attributes] further information, at most 32 entries
   */
  constructor(code, message, { aiCalls = [], cause, attributes = {} } = {}) {
    super(message, { cause });
    this.name = 'Failure';
    this.code = code;
    this.aiCalls = aiCalls;
    this.attributes = attributes;
  }

  /** The failure as the record of the contract. */
  toRecord() {
    return {
      code: this.code,
      message: this.message,
      causes: causes(this),
      location: location(this.stack),
      aiCalls: this.aiCalls,
      attributes: Object.entries(this.attributes).map(([name, value]) => ({
        name,
        value: String(value),
      })),
    };
  }
}

/** The messages of at most 16 causes, outermost first. */
export function causes(error) {
  const texts = [];
  let { cause } = error;
  while (cause !== undefined && cause !== null && texts.length < 16) {
    texts.push(String(cause.message ?? cause));
    cause = cause.cause;
  }
  return texts;
}

/** An error as text: its class and message, or what was thrown in its place. */
export function described(error) {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

/** What a value is, for messages: `nothing`, `a text`, `an array`, `a number`. */
export function kindOf(value) {
  if (value === undefined || value === null) return 'nothing';
  if (typeof value === 'string') return 'a text';
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

/**
 * The location where an error was thrown: the innermost line of the author's code in its stack. Of
 * code that this package calls on behalf of the author, it is the line of the author's call.
 */
export function location(stack) {
  const found = ownFrame(stack);
  return found && { file: found.file, line: found.line, column: found.column };
}
