/**
 * Asks the program `sitewright`, which answers the calls of a template with the host's rules.
 *
 * The functions of a template block, so a question blocks too: a thread of its own talks with the
 * program, and this one waits for it. The thread does not keep the process alive.
 */
import { MessageChannel, Worker, receiveMessageOnPort } from 'node:worker_threads';

let started;

/**
 * The answer to a question.
 *
 * @param {object} question
 * @returns {any}
 */
export function ask(question) {
  started ??= start();
  const { flag, port } = started;
  Atomics.store(flag, 0, 0);
  port.postMessage(JSON.stringify(question));
  Atomics.wait(flag, 0, 0);
  const { line, error } = receiveMessageOnPort(port).message;
  if (error !== undefined) {
    started = undefined;
    throw new Error(error);
  }
  return JSON.parse(line);
}

function start() {
  const flag = new Int32Array(new SharedArrayBuffer(4));
  const { port1: port, port2: theirs } = new MessageChannel();
  const worker = new Worker(new URL('worker.js', import.meta.url), {
    workerData: { flag, port: theirs, program: process.env.SITEWRIGHT || 'sitewright' },
    transferList: [theirs],
    // Not the hooks of this thread.
    execArgv: [],
  });
  worker.unref();
  port.unref();
  return { flag, port };
}
