/**
 * What the engine of a template lacks, replaced by functions that say so.
 *
 * The functions of the contract block, and a run ends when `generate` returns. Nothing waits for a
 * promise or a timer: a site would be published although code that belongs to it failed later or
 * never ran. So nothing can create a promise or a timer while `generate` runs.
 */

/** The template used something that the engine does not have. */
export class Unsupported extends Error {
  name = 'Unsupported';
}

const NO_ASYNC =
  'this JavaScript engine has no async: nothing waits for promises and timers, and the run ends ' +
  'when `generate` returns';

/** The message for a `generate` that is async or returns a promise. */
const ASYNC_GENERATE =
  `\`generate\` is async or returned a promise, and ${NO_ASYNC}; remove \`async\` and \`await\`: ` +
  '`ask` and `askAll` wait for the replies themselves';

const EnginePromise = globalThis.Promise;
let generating = false;

/**
 * Calls `generate`. Until it returns, creating or awaiting a promise throws.
 *
 * @param {() => unknown} generate
 * @throws {Unsupported} if it returns a promise
 */
export function withoutAsync(generate) {
  generating = true;
  let returned;
  try {
    returned = generate();
  } finally {
    generating = false;
  }
  if (typeof returned?.then === 'function') throw new Unsupported(ASYNC_GENERATE);
}

function refusePromise() {
  if (!generating) return;
  throw new Unsupported(
    `an async function or a promise was used, and ${NO_ASYNC}; remove \`async\`, \`await\` and ` +
      '`Promise`: `ask` and `askAll` wait for the replies themselves',
  );
}

// The bundler turns async functions into code that calls this constructor (`template build` sets
// `--supported:async-await=false`).
globalThis.Promise = class Promise extends EnginePromise {
  constructor(executor) {
    refusePromise();
    super(executor);
  }

  static [Symbol.hasInstance](value) {
    return value instanceof EnginePromise;
  }
};

// Promises of the engine itself, for example those of `crypto.subtle`.
for (const name of ['then', 'catch', 'finally']) {
  const original = EnginePromise.prototype[name];
  Object.defineProperty(EnginePromise.prototype, name, {
    value(...handlers) {
      refusePromise();
      return original.apply(this, handlers);
    },
    configurable: true,
    writable: true,
  });
}

for (const name of ['setTimeout', 'setInterval', 'queueMicrotask']) {
  replace(name, `\`${name}\` was called, and ${NO_ASYNC}; call the function directly`);
}
for (const name of ['fetch', 'Request', 'Response', 'WebSocket', 'EventSource']) {
  replace(
    name,
    `\`${name}\` was used, and templates have no network: import files when the template is ` +
      'built, and ask models with `ask`',
  );
}

/** Replaces a global of the engine by a function that throws. A global that it lacks stays so. */
function replace(name, message) {
  if (!(name in globalThis)) return;
  const refuse = function () {
    throw new Unsupported(message);
  };
  Object.defineProperty(globalThis, name, { value: refuse, configurable: true, writable: true });
}
