/** Types of `sitewright/testing`. The module has the documentation, too. */
import type { Order, Template } from '../index.js';

/** A part of a message: the template's text, or data, which the host delimits for the model. */
export type Part =
  | { tag: 'text'; val: string }
  | { tag: 'data'; val: { name: string; text: string } };

/** The request of an AI call, as the host gets it. */
export interface Request {
  /** One of the template's purposes. */
  purpose: string;
  /** The messages, the instructions first. */
  messages: { role: 'system' | 'user' | 'assistant'; content: Part[] }[];
  /** The format of the reply; `val` is the JSON Schema, as text. */
  format: { tag: 'text' } | { tag: 'json' } | { tag: 'json-schema'; val: string };
  /** Maximum length of the reply, in tokens; `undefined` for the limit of the route. */
  maxOutputTokens: number | undefined;
  /** Sampling temperature; `undefined` for the model's default. */
  temperature: number | undefined;
  /** Seed of the sampling; `undefined` if the model chooses one. */
  seed: number | undefined;
  /** Texts at which the reply ends. */
  stop: string[];
}

/** A reply that the template received. */
export interface Completion {
  /** The text of the reply: JSON if the request has a schema. */
  content: string;
  /** The host's id of the call, which a `Failure` can blame. */
  callId: string;
  provider: string;
  model: string;
}

/** The error that the template received in place of a reply. */
export interface CallError {
  /** The contract's name of the kind: `rate-limited`, `schema-mismatch`. */
  kind: string;
  message: string;
  /** The number of requests that were sent for the call. */
  attempts: number;
  callId: string;
  /** Whether the same call may succeed later. */
  retryable: boolean;
  /** The HTTP status of the response; `null` if there was none. */
  status: number | null;
}

/** An AI call of a run. */
export interface Call {
  request: Request;
  /** What the template received. */
  reply: { tag: 'ok'; val: Completion } | { tag: 'err'; val: CallError };
  /** The texts of all messages, joined by empty lines. */
  prompt: string;
}

/** Why no site was made, as the host gets it. */
export interface RunFailure {
  /** The code of a `Failure`, or `bad-manifest`, `invalid-order`, `bad-script`. */
  code: string;
  message: string;
  /** The messages of the causes, outermost first. */
  causes: string[];
  /** Where the template threw it, in the author's files; `undefined` if unknown. */
  location?: { file: string; line: number; column?: number };
  /** Ids of the AI calls that are blamed. */
  aiCalls: string[];
  attributes: { name: string; value: string }[];
}

/** A diagnostic, as `warn` reports it. */
export interface Diagnostic {
  severity: 'info' | 'warning' | 'error';
  code: string;
  message: string;
  causes: string[];
  location: { file: string; line: number; column?: number } | undefined;
  attributes: { name: string; value: string }[];
}

/** The result and the side effects of a run. */
export class Run {
  /** Why no site was made. `undefined` if the run succeeded. */
  failure: RunFailure | undefined;
  /** The written files, by path. The host keeps them only if the run succeeds. */
  files: Map<string, Uint8Array>;
  /** All reports of progress, oldest first. */
  progress: { stage: string; done: number; total: number }[];
  /** All diagnostics, oldest first. */
  reports: Diagnostic[];
  /** All log lines, oldest first. */
  logs: { level: string; message: string }[];
  /** All AI calls, in the order in which they were sent. */
  aiCalls: Call[];
  /** Maximum number of AI calls that were in flight at the same time. */
  mostCallsAtOnce: number;
  /**
   * The run itself.
   *
   * @throws {Error} if the run failed; with code, message and causes
   */
  ok(): this;
  /**
   * The content of a file as text.
   *
   * @throws {Error} if the file was not written; lists those that were, and says how the run ended
   */
  text(path: string): string;
}

/**
 * Runs templates with a script that answers their AI calls. Without a script, every AI call fails
 * with `no-route`.
 */
export class Harness {
  /** @param script rules in the TOML format of the host's `scripted` provider */
  constructor(script?: string);
  /** A harness with a script. If it is wrong, each run fails with the code `bad-script`. */
  static scripted(script: string): Harness;
  /**
   * Runs a template with an order. Each run starts at the beginning of the script. An exception of
   * the template that is not a `Failure` is thrown here, as it is a bug of the template.
   *
   * @param template what the template's module exports as `generatorSync`
   * @param order a document in any shape that the host reads, as an object or as JSON text
   */
  run(template: Template, order: object | string): Run;
}

/** A small, valid order document for tests to change. */
export function sampleOrder(): Order;
