// What a test in TypeScript does with `sitewright/testing`: the compiler checks the types, and the
// run that they are those of the values. A line below `@ts-expect-error` must not compile.

import { type Order, ask, progress, template, warn, writeFile } from 'sitewright';
import {
  type Call,
  type Completion,
  type Run,
  type RunFailure,
  Harness,
  sampleOrder,
} from 'sitewright/testing';

function equal<Value>(found: Value, expected: Value): void {
  if (found !== expected) throw new Error(`${String(found)} is not ${String(expected)}`);
}

const probe = template({
  name: 'probe',
  version: '0.1.0',
  summary: 'What a test needs.',
  purposes: { copywriting: 'the text' },
  locales: ['en'],
  generate(order) {
    progress('copy', 0, 1);
    const question = { purpose: 'copywriting', system: 'Write.', user: 'A line.' };
    const { value } = ask<string>({ ...question, data: { city: order.primary_city } });
    warn('no-hours', 'the order has no opening hours');
    writeFile('index.html', value);
  },
});

const order: Order = { ...sampleOrder(), services: ['Pães'] };
const run: Run = Harness.scripted('[[rule]]\nanswer = { text = "x" }\n').run(probe, order).ok();
equal(run.text('index.html'), 'x');
equal(run.files.get('index.html')?.length, 1);
equal(run.failure, undefined);
equal(run.progress[0]?.stage, 'copy');
equal(run.reports[0]?.severity, 'warning');
equal(run.reports[0]?.code, 'no-hours');
equal(run.mostCallsAtOnce, 1);
const call: Call | undefined = run.aiCalls[0];
equal(call?.request.messages[0]?.role, 'system');
const part = call?.request.messages[1]?.content[1];
equal(part?.tag === 'data' ? part.val.name : undefined, 'city');
equal(call?.request.format.tag, 'text');
equal(call?.prompt.includes('Campinas'), true);
if (call?.reply.tag !== 'ok') throw new Error('the call has a reply');
const completion: Completion = call.reply.val;
equal(completion.content, 'x');
equal(completion.callId, 'call-1');

const limited = Harness.scripted('[[rule]]\nanswer = { fault = { status = 401 } }\n');
const failed = limited.run(probe, JSON.stringify(order));
const failure: RunFailure | undefined = failed.failure;
equal(failure?.code, 'ai-auth');
equal(failure?.aiCalls[0], 'call-1');
equal(failure?.causes.length, 0);
const reply = failed.aiCalls[0]?.reply;
if (reply?.tag !== 'err') throw new Error('the call has an error');
equal(reply.val.status, 401);
equal(reply.val.retryable, false);
equal(new Harness().run(probe, order).failure?.code, 'ai-no-route');

// Never called: for the compiler alone.
export function wrong(): void {
  // @ts-expect-error a misspelled property
  run.aicalls;
  // @ts-expect-error a script is text
  Harness.scripted(7);
  // @ts-expect-error an order is not a number
  limited.run(probe, 7);
  // @ts-expect-error a class with a method `generate` that takes an object is no template
  limited.run({ generate: (given: Order) => given }, order);
  // @ts-expect-error a run that failed has no reply
  reply.val.content;
}
