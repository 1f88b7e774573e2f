/**
 * Runs a template in the Node.js of a test: without WebAssembly, host or network.
 *
 * @example
 * import { Harness, sampleOrder } from 'sitewright/testing';
 * import { generatorSync } from '../src/template.js';
 *
 * const run = Harness.scripted(script).run(generatorSync, sampleOrder()).ok();
 * assert.match(run.text('index.html'), /Padaria Ana/);
 *
 * A script answers the AI calls, in the TOML format of the host's `scripted` provider. The program
 * `sitewright` answers the template's calls with the host's own rules: it checks manifest and
 * order, chooses and validates replies, and accepts or refuses files. It is looked for in the
 * environment variable `SITEWRIGHT`, which `sitewright template test` sets, and on the PATH.
 *
 * Not checked are limits of memory and time, the language of the order, and the finished site; the
 * conformance suite does. Node.js has more than the engine of a component: `Intl` and `\p{…}` work
 * here and not there.
 */
import { readFileSync } from 'node:fs';
import { during } from './host.js';
import { ask } from './program.js';

/** The version of this package, for messages of the program. */
const { version: VERSION } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
);

/**
 * An AI call of a run.
 *
 * @typedef {object} Call
 * @property {object} request the request of the template
 * @property {{ tag: 'ok' | 'err', val: any }} reply the completion, or the error with `kind`,
 *   `message`, `retryable` and `status`, that the template received
 * @property {string} prompt the texts of all messages, joined by empty lines
 */

/** The result and the side effects of a run. */
export class Run {
  /**
   * Why no site was made, as the host gets it: `code`, `message`, `causes`, `location`, `aiCalls`,
   * `attributes`. `undefined` if the run succeeded.
   */
  failure = undefined;
  /** The written files, by path. The host keeps them only if the run succeeds.
   * @type {Map<string, Uint8Array>} */
  files = new Map();
  /** All reports of progress, oldest first.
   * @type {{ stage: string, done: number, total: number }[]} */
  progress = [];
  /** All diagnostics, oldest first: `severity`, `code`, `message`. */
  reports = [];
  /** All log lines, oldest first: `level` and `message`. */
  logs = [];
  /** All AI calls, in the order in which they were sent.
   * @type {Call[]} */
  aiCalls = [];
  /** Maximum number of AI calls that were in flight at the same time. */
  mostCallsAtOnce = 0;

  /**
   * The run itself.
   *
   * @throws {Error} if the run failed; with code, message and causes
   */
  ok() {
    if (this.failure) throw new Error(`the run failed: ${described(this.failure)}`);
    return this;
  }

  /**
   * The content of a file as text.
   *
   * @param {string} path
   * @throws {Error} if the file was not written; lists those that were, and says how the run ended
   */
  text(path) {
    const bytes = this.files.get(path);
    if (bytes) return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    const written = [...this.files.keys()].join(', ') || 'none';
    const ended = this.failure ? described(this.failure) : 'a site';
    throw new Error(
      `no file ${JSON.stringify(path)} was written; written: ${written}; the run ended with ` +
        ended,
    );
  }
}

/**
 * Runs templates with a script that answers their AI calls. Without a script, every AI call fails
 * with `no-route`.
 */
export class Harness {
  #script;

  /** @param {string} [script] */
  constructor(script) {
    this.#script = script;
  }

  /**
   * A harness with a script. If it is wrong, each run fails with the code `bad-script`.
   *
   * @param {string} script
   */
  static scripted(script) {
    return new Harness(script);
  }

  /**
   * Runs a template with an order. Each run starts at the beginning of the script. An exception of
   * the template that is not a `Failure` is thrown here, as it is a bug of the template.
   *
   * @param {ReturnType<typeof import('../template.js').template>} template what the template's
   *   module exports as `generatorSync`
   * @param {object | string} order a document in any shape that the host reads, as an object or as
   *   JSON text
   * @returns {Run}
   */
  run(template, order) {
    const run = new Run();
    // A manifest that is wrong is thrown, and reported first.
    const manifest = during(new Running(run), () => template.describe());
    const begun = ask({
      op: 'begin',
      sdk: VERSION,
      manifest: {
        name: manifest.name,
        version: manifest.version,
        summary: manifest.summary,
        order_schema: manifest.orderSchema,
        ai_purposes: manifest.aiPurposes,
        locales: manifest.locales,
        order_fields: manifest.orderFields,
        copy_marks: manifest.copyMarks,
        fallback_locale: manifest.fallbackLocale,
        site_bytes: manifest.siteBytes === undefined ? undefined : Number(manifest.siteBytes),
        external_hosts: manifest.externalHosts,
        exempt_purposes: manifest.exemptPurposes,
      },
      order: typeof order === 'string' ? order : JSON.stringify(order),
      script: this.#script ?? null,
    });
    if (begun.refused) {
      run.failure = { aiCalls: [], attributes: [], ...begun.refused };
      return run;
    }
    try {
      during(new Running(run), () => template.generate(begun.order));
    } catch (thrown) {
      // The record of the contract, which a `Failure` becomes; everything else is an exception.
      if (thrown instanceof Error || thrown?.aiCalls === undefined) throw thrown;
      run.failure = thrown;
    }
    return run;
  }
}

/** The functions of the contract for one run. */
class Running {
  #run;

  constructor(run) {
    this.#run = run;
    this.progress = run.progress;
    this.reports = run.reports;
    this.logs = run.logs;
  }

  ask(requests) {
    const run = this.#run;
    const { replies } = ask({ op: 'ask', requests: requests.map(sent) });
    run.mostCallsAtOnce = Math.max(run.mostCallsAtOnce, requests.length);
    return replies.map(({ completion, error }, at) => {
      const val = completion ?? error;
      const { call_id: callId, ...others } = val;
      const reply = { tag: completion ? 'ok' : 'err', val: { callId, ...others } };
      const request = requests[at];
      const texts = request.messages.flatMap(({ content }) => content.map(textOf));
      const prompt = texts.join('\n\n');
      run.aiCalls.push({ request, reply, prompt });
      return reply;
    });
  }

  write(path, bytes) {
    this.#accepted('write', path, bytes.length);
    this.#run.files.set(path, Uint8Array.from(bytes));
  }

  /** Throws what `write` would throw for a file of this size. */
  check(path, size) {
    this.#accepted('check', path, size);
  }

  #accepted(op, path, bytes) {
    const { refused } = ask({ op, path, bytes });
    if (refused) {
      const payload = { kind: refused.code, message: refused.message };
      throw Object.assign(new Error(refused.message), { payload });
    }
  }

  exists(path) {
    return this.#run.files.has(path);
  }

  /** The exception follows, and the test shows it. */
  panicked() {}
}

/** The text of a part of a message. For the model, the host delimits that of data. */
const textOf = ({ tag, val }) => (tag === 'data' ? val.text : val);

function sent({ format, maxOutputTokens, messages, ...request }) {
  const part = ({ tag, val }) => ({ [tag]: val });
  return {
    ...request,
    messages: messages.map(({ role, content }) => ({ role, content: content.map(part) })),
    format: format.val === undefined ? format.tag : { [format.tag]: format.val },
    max_output_tokens: maxOutputTokens,
  };
}

function described({ code, message, location, causes = [] }) {
  const at = location ? ` (${location.file}:${location.line})` : '';
  return [`${code}: ${message}${at}`, ...causes.map((cause) => `  because: ${cause}`)].join('\n');
}

/** A small, valid order document for tests to change. */
export function sampleOrder() {
  return {
    id: 'sample-1',
    locale: 'pt-BR',
    business_name: 'Padaria Ana',
    business_email: 'ana@example.com',
    business_phone: '+5519955501010',
    niche: 'other',
    custom_niche: 'bakery',
    primary_city: 'Campinas',
    state: 'SP',
    services: ['Pães', 'Bolos'],
    primary_service: 'Pães',
  };
}
