/** The functions of the contract in a native test: they are those of the run that is going on. */

let run;

/** Runs `work` while the functions call `current`. */
export function during(current, work) {
  const outer = run;
  run = current;
  try {
    return work();
  } finally {
    run = outer;
  }
}

function current() {
  if (!run) throw new Error('this is outside of a run: use `Harness` of sitewright/testing');
  return run;
}

// `ai-sync`
export const completeAll = (requests) => current().ask(requests);
export const complete = (request) => {
  const [{ tag, val }] = current().ask([request]);
  if (tag === 'err') throw Object.assign(new Error(val.message), { payload: val });
  return val;
};

// `site`
export const write = (path, bytes) => current().write(path, bytes);
export const exists = (path) => current().exists(path);

export class Writer {
  #path;
  #size = 0;
  #chunks = [];

  static create(path) {
    current().check(path, 0);
    const writer = new Writer();
    writer.#path = path;
    return writer;
  }

  append(bytes) {
    current().check(this.#path, this.#size + bytes.length);
    this.#size += bytes.length;
    this.#chunks.push(Buffer.from(bytes));
  }

  static finish(writer) {
    write(writer.#path, Buffer.concat(writer.#chunks));
  }
}

// `diagnostics`
export const report = (diagnostic) => current().reports.push(diagnostic);
export const progress = (stage, done, total) => current().progress.push({ stage, done, total });
export const log = (level, message) => current().logs.push({ level, message });
export const panicked = (panic) => current().panicked(panic);
