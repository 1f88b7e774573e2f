/**
 * Why no site was made. Throw one from `generate`, and the operator reads all of it in the order's failure record.
 *
 * @example throw new Failure('missing-service', 'the order names no service, and this template lists services');
 */
export class Failure extends Error {
  /**
   * @param {string} code short and stable, for machines: `missing-service`
   * @param {string} message for the operator: what happened, and what would be right
   * @param {{ aiCalls?: string[], cause?: unknown, attributes?: Record<string, string> }} [details] `aiCalls`: ids of the AI calls
   *   it comes from; a retry of the order asks those again and pays for no other
   */
  constructor(code, message, { aiCalls = [], cause, attributes = {} } = {}) {
    super(message, { cause });
    this.name = 'Failure';
    this.code = code;
    this.aiCalls = aiCalls;
    this.attributes = attributes;
  }

  /** The record that the contract wants. */
  toRecord() {
    return {
      code: this.code,
      message: this.message,
      causes: causes(this),
      location: place(this.stack),
      aiCalls: this.aiCalls,
      attributes: Object.entries(this.attributes).map(([name, value]) => ({ name, value: String(value) })),
    };
  }
}

/** The messages of all causes, from the outermost to the root. */
export function causes(error) {
  const texts = [];
  for (let cause = error.cause; cause !== undefined && cause !== null && texts.length < 16; cause = cause.cause) {
    texts.push(String(cause.message ?? cause));
  }
  return texts;
}

/**
 * Where an error began, from its stack: lines like `price@template.js:12:7`, innermost first. Functions of this package that fail for
 * their caller are passed over.
 */
export function place(stack) {
  const lines = (stack ?? '').split('\n').filter((line) => !/^(Failure|ask|askAll|writeFile)@/.test(line));
  const found = /^[^@]*@(.+):(\d+):(\d+)$/.exec(lines[0] ?? '');
  if (!found) return undefined;
  const [, path, line, column] = found;
  // The folder it was built in says nothing to anybody.
  return { file: path.split('/').at(-1), line: Number(line), column: Number(column) };
}
