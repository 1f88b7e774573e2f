/** Types of the SDK, for TypeScript and for editors. The modules have the documentation, too. */
/// <reference path="./assets.d.ts" />
import type { Order } from './order.js';

export type * from './order.js';

/** A request to a model. */
export interface Question {
  /** One of the template's purposes; the operator's routes map it to a model. */
  purpose: string;
  /** The system message: the template's instructions, never order data. */
  system: string;
  /** The user message: the request, without order data. */
  user: string;
  /** Order data by name; it follows the user message, and the host delimits it. */
  data?: Record<string, unknown>;
  /**
   * JSON Schema (draft 2020-12, at most 64 KiB as text) of the reply. With a schema, the reply's
   * `value` is parsed JSON that the host has validated; without one, text.
   */
  schema?: object;
  /** Sampling temperature, 0.0 to 2.0. Default: the model's. */
  temperature?: number;
  /** Maximum length of the reply, in tokens. Default: the limit of the route. */
  maxOutputTokens?: number;
}

/** A complete, validated reply. */
export interface Reply<Value = any> {
  /** Parsed JSON if the question has a schema, otherwise text. */
  value: Value;
  /** The host's id of the call, for `new Failure(…, { aiCalls })` if the reply is unusable. */
  callId: string;
}

/**
 * Sends a request and waits for the complete, validated reply. The type of its value is not
 * checked: it has to fit the schema.
 *
 * @throws {Failure} if the call failed; the failure blames the call
 */
export function ask<Value = any>(question: Question): Reply<Value>;

/**
 * Sends several requests concurrently and waits for all replies.
 *
 * @throws {Failure} if at least one call failed; the failure blames all failed calls
 */
export function askAll<Name extends string, Value = any>(
  questions: Record<Name, Question>,
): Record<Name, Reply<Value>>;

/** Safe HTML, which `html` inserts without escaping. Made by `html` and `jsonForScript` alone. */
export class Html {
  private constructor();
  private readonly text: string;
  toString(): string;
}

/** What `html` inserts; `null`, `undefined` and `false` are empty. */
export type Insertable = string | number | boolean | null | undefined | Html | readonly Insertable[];

/** Renders a template literal as HTML, with escaped values. */
export function html(strings: TemplateStringsArray, ...values: Insertable[]): Html;

/** A value as JSON for a `<script>` element. */
export function jsonForScript(value: unknown): Html;

/**
 * Writes a file of the site. A file can be written once.
 *
 * @param path a relative path with `/` between its parts: `about/index.html`
 * @param content text, which is encoded as UTF-8, or bytes
 * @throws {Failure} if the path is invalid or taken, a limit is exceeded, or the host could not
 *   store the file
 */
export function writeFile(path: string, content: string | Html | Uint8Array): void;

/** Whether the run has written a file with exactly this path. */
export function fileExists(path: string): boolean;

/** A file that is written in chunks. Without `finish`, it is not written. */
export interface FileWriter {
  /** Adds text, which is encoded as UTF-8, or bytes at the end. */
  append(content: string | Html | Uint8Array): void;
  finish(): void;
}

/**
 * Begins a file that is written in chunks, so that a large one need not be in memory at once.
 *
 * @throws {Failure} as `writeFile`; `append` and `finish` too
 */
export function createFile(path: string): FileWriter;

/**
 * Reports the stage of the run and that `done` of `total` steps are complete. `total` is 0 if it is
 * not known.
 */
export function progress(stage: string, done: number, total: number): void;

/**
 * Adds a warning to the order's report. The run continues.
 *
 * @param code a short, stable code for programs: `no-opening-hours`
 * @param message the text for people
 */
export function warn(code: string, message: string): void;

/**
 * Why the template could not generate the site. Throw it to fail the run; the operator sees it in
 * the failure record. Any other exception is treated as a bug.
 */
export class Failure extends Error {
  constructor(
    code: string,
    message: string,
    details?: {
      /** Ids of the AI calls that caused the failure; a retry sends these calls again. */
      aiCalls?: string[];
      cause?: unknown;
      /** Further information, at most 32 entries. */
      attributes?: Record<string, string>;
    },
  );
  readonly code: string;
  readonly aiCalls: string[];
  readonly attributes: Record<string, string>;
}

/** What a template is and needs, and how it makes a site. */
export interface Definition {
  /** Lower-case letters, digits and `-`, beginning with a letter, at most 64 bytes. */
  name: string;
  /** The semantic version: `1.4.0`. */
  version: string;
  /** What the template generates, in one sentence of at most 1,000 bytes. */
  summary: string;
  /** The purposes of AI calls, at most 64: name and description. Without one, there are none. */
  purposes?: Record<string, string>;
  /** The languages in which the template can write, as BCP 47 tags; not empty. */
  locales: string[];
  /** The fields of the order that the template uses. It gets all fields anyway. */
  orderFields?: string[];
  /** Texts that no visitor may read, at most 64, each of 2 to 100 bytes. */
  copyMarks?: string[];
  /** One of `locales`, for orders in another language where the operator allows that. */
  fallbackLocale?: string;
  /** The bytes that a site is expected to have at most. */
  siteBytes?: number;
  /** The hosts, by name, that pages load from, at most 64; others are warned of. */
  externalHosts?: string[];
  /** The purposes whose replies are not texts for visitors, such as code. Pages are checked. */
  exemptPurposes?: string[];
  /** Generates the site of an order. It must not be async, because the engine has no async. */
  generate(order: Order): void;
}

/** A template. Export it as `generatorSync` from the module that is built. */
export interface Template {
  describe(): object;
  generate(order: string): void;
}

/** Defines a template. */
export function template(definition: Definition): Template;
