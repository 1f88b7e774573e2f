/** The thread that talks with the program `sitewright`. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { workerData } from 'node:worker_threads';

const { flag, port, program } = workerData;

function answer(message) {
  port.postMessage(message);
  Atomics.store(flag, 0, 1);
  Atomics.notify(flag, 0);
}

const child = spawn(program, ['template', 'harness'], { stdio: ['pipe', 'pipe', 'inherit'] });
let ended;

function end(error) {
  ended ??= error;
  answer({ error: ended });
}

child.on('error', (error) =>
  end(
    `cannot run ${JSON.stringify(program)}, which answers the calls of a template in a test ` +
      `(${error.message}); run the tests with \`sitewright template test --native\`, put ` +
      '`sitewright` on the PATH, or set SITEWRIGHT to its path',
  ),
);
child.on('exit', (code) =>
  end(`\`sitewright template harness\` has ended (exit code ${code}); its message is above`),
);
// The exit says why.
child.stdin.on('error', () => {});
createInterface({ input: child.stdout }).on('line', (line) => answer({ line }));
port.on('message', (line) => {
  if (ended === undefined) child.stdin.write(`${line}\n`);
  else answer({ error: ended });
});
