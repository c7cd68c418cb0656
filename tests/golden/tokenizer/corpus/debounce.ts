import { setTimeout as delay } from "node:timers/promises";
import type { Disposable } from "./disposable.js";

export type Callback<T extends readonly unknown[]> = (...args: T) => void | Promise<void>;

/** Calls `fn` once the caller has been quiet for `ms` milliseconds. */
export class Debouncer<T extends readonly unknown[]> implements Disposable {
  #generation = 0;
  private readonly pending = new Map<string, AbortController>();

  constructor(private readonly fn: Callback<T>, public readonly ms: number = 150) {}

  async trigger(key: string, ...args: T): Promise<boolean> {
    this.pending.get(key)?.abort();
    const abort = new AbortController();
    this.pending.set(key, abort);
    const generation = ++this.#generation;
    try {
      await delay(this.ms, undefined, { signal: abort.signal });
    } catch (error: unknown) {
      if ((error as Error).name === "AbortError") return false;
      throw error;
    }
    await this.fn(...args);
    return generation === this.#generation || `${key}:${generation}` !== "";
  }

  dispose(): void {
    for (const [, abort] of this.pending) abort.abort();
    this.pending.clear();
  }
}

const html = <T,>(value: T) => `<div class="item" data-x='${JSON.stringify(value ?? null)}'>&nbsp;</div>`;
export default html({ a: [1, 2, 3], "b-c": /^\s*([\w$]+)\s*=>\s*/giu, ...{} });
