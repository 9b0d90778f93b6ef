import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { FlagdCore, MemoryStorage } from '@openfeature/flagd-core';
import {
  type EvaluationContext,
  type JsonValue,
  type Logger,
  OpenFeatureEventEmitter,
  type Provider,
  ProviderEvents,
} from '@openfeature/server-sdk';
import type { FlagsLog } from './log.ts';

/** What flagd's core says to a logger is said by us, with the file. */
export const silent: Logger = { error() {}, warn() {}, info() {}, debug() {} };

/**
 * Flags from a file in flagd's format, checked against flagd's schemas and evaluated by flagd's own core. The file is looked at every `reloadMs`, by its
 * content: a mounted file is swapped by a link, which watching misses. What cannot be used (half written, not of the schema, gone) is logged once and the
 * last good flags stay; before there are any, every evaluation fails, and its caller has the default.
 */
export class FlagFileProvider implements Provider {
  readonly metadata = { name: 'flags file' };
  readonly runsOn = 'server';
  readonly events = new OpenFeatureEventEmitter();
  readonly #file: string;
  readonly #reloadMs: number;
  readonly #log: FlagsLog;
  /** Rules are interpreted, not compiled: who may write the file may not thereby run code here. */
  readonly #storage = new MemoryStorage(silent, { disableDynamicCodeGeneration: true });
  readonly #core = new FlagdCore(this.#storage, silent);
  /** The last content, or why there was none. */
  #seen = '';
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: { readonly file: string; readonly reloadMs: number; readonly log: FlagsLog }) {
    this.#file = options.file;
    this.#reloadMs = options.reloadMs;
    this.#log = options.log;
  }

  async initialize(): Promise<void> {
    try {
      this.#take(readFileSync(this.#file, 'utf8'));
    } catch (error) {
      this.#refuse(error);
    }
    this.#again();
  }

  async onClose(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  async resolveBooleanEvaluation(key: string, fallback: boolean, context: EvaluationContext) {
    return this.#core.resolveBooleanEvaluation(key, fallback, context, silent);
  }

  async resolveStringEvaluation(key: string, fallback: string, context: EvaluationContext) {
    return this.#core.resolveStringEvaluation(key, fallback, context, silent);
  }

  async resolveNumberEvaluation(key: string, fallback: number, context: EvaluationContext) {
    return this.#core.resolveNumberEvaluation(key, fallback, context, silent);
  }

  async resolveObjectEvaluation<T extends JsonValue>(key: string, fallback: T, context: EvaluationContext) {
    return this.#core.resolveObjectEvaluation(key, fallback, context, silent);
  }

  #again(): void {
    this.#timer = setTimeout(() => void this.#look(), this.#reloadMs).unref();
  }

  async #look(): Promise<void> {
    try {
      const flagsChanged = this.#take(await readFile(this.#file, 'utf8'));
      if (flagsChanged.length > 0 && !this.#closed) this.events.emit(ProviderEvents.ConfigurationChanged, { flagsChanged });
    } catch (error) {
      this.#refuse(error);
    }
    if (!this.#closed) this.#again();
  }

  /** Gives the flags that have changed. Throws when the text is no set of flags, and then changes nothing. */
  #take(text: string): string[] {
    if (text === this.#seen) return [];
    this.#seen = text;
    return this.#storage.setConfigurations(text, true);
  }

  #refuse(error: unknown): void {
    const { code, message, cause } = error as NodeJS.ErrnoException & { cause?: unknown };
    // the same fault of reading is told once; one of the content is met once a content
    if (code !== undefined && this.#seen === code) return;
    if (code !== undefined && !isParseError(code)) this.#seen = code;
    const kept = this.#storage.getFlags().size > 0 ? 'the former flags stay' : 'the defaults in code are used';
    const detail = cause instanceof Error ? `${message}: ${cause.message}` : message;
    this.#log.error({ file: this.#file, detail: detail.slice(0, 1_000) }, `the file of flags cannot be used; ${kept}`);
  }
}

/** OpenFeature's errors have a code, too. */
function isParseError(code: string): boolean {
  return code === 'PARSE_ERROR';
}
