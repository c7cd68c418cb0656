// The explanations of this window, and which of them is shown. No VS Code in here.
import { isRefusal } from '../chat/chat_controller';
import type { ExplainState, ExplanationView } from '../webview/protocol';

// What was explained, kept so that it can be explained again and gone to.
export interface Source {
  uri: string;
  range: { start: { line: number; character: number }; end: { line: number; character: number } };
  label: string;
}

export interface Explanation extends ExplanationView {
  origin: Source;
  isTold?: boolean; // a page knows that it has ended
}

export interface HistoryHooks {
  ask(source: Source, onPiece: (text: string) => void, cancel: AbortSignal): Promise<unknown>;
  changed(): void;
  piece(id: string, offset: number, text: string): void;
}

const mostKept = 50;

export class ExplainHistory {
  private entries: Explanation[] = [];
  private index = 0;
  private nextId = 1;
  private readonly running = new Map<string, AbortController>();

  constructor(private readonly hooks: HistoryHooks) {}

  get shown(): Explanation | undefined {
    return this.entries[this.index];
  }

  state(): ExplainState {
    const state: ExplainState = { type: 'explainState', index: this.index, total: this.entries.length };
    if (!this.shown) return state;
    const shown: ExplanationView & Partial<Explanation> = { ...this.shown };
    delete shown.origin;
    delete shown.isTold;
    return { ...state, shown };
  }

  // The same for a page that listens: that an answer has ended is news once, also to a page that comes up after it.
  tell(): ExplainState {
    const state = this.state();
    if (!this.shown || !state.shown || this.shown.isTold || this.shown.state === 'streaming') return state;
    this.shown.isTold = true;
    return { ...state, shown: { ...state.shown, isNews: true } };
  }

  // Resolves with the text when it has ended, however it ended. One is written at a time: a new one stops that before.
  async explain(origin: Source): Promise<string> {
    this.stopAll();
    const entry: Explanation = { id: `e${this.nextId++}`, source: origin.label, text: '', state: 'streaming', origin };
    this.entries = [...this.entries, entry].slice(-mostKept);
    this.index = this.entries.length - 1;
    return this.run(entry);
  }

  // Explains the shown one's source anew, in its place.
  async again(): Promise<void> {
    const entry = this.shown;
    if (!entry || entry.state === 'streaming') return;
    this.stopAll();
    const fresh: Explanation = { ...entry, id: `e${this.nextId++}`, text: '', state: 'streaming' };
    delete fresh.error;
    delete fresh.failure;
    delete fresh.isTold;
    this.entries[this.index] = fresh;
    await this.run(fresh);
  }

  move(by: -1 | 1): void {
    const index = this.index + by;
    if (!this.entries[index]) return;
    this.index = index;
    this.hooks.changed();
  }

  stop(): void {
    if (this.shown) this.running.get(this.shown.id)?.abort();
  }

  stopAll(): void {
    for (const run of this.running.values()) run.abort();
  }

  private async run(entry: Explanation): Promise<string> {
    const cancel = new AbortController();
    this.running.set(entry.id, cancel);
    this.hooks.changed();
    const onPiece = (text: string): void => {
      if (cancel.signal.aborted) return; // stopped means that nothing more is written
      const offset = entry.text.length;
      entry.text += text;
      if (entry === this.shown) this.hooks.piece(entry.id, offset, text);
    };
    try {
      const text = await this.hooks.ask(entry.origin, onPiece, cancel.signal);
      if (typeof text === 'string' && !cancel.signal.aborted) entry.text = text;
      entry.state = 'done';
    } catch (error) {
      entry.state = 'failed';
      entry.error = error instanceof Error ? error.message : String(error);
      entry.failure = isRefusal(error) ? 'refused' : 'unreachable';
    }
    if (cancel.signal.aborted) {
      entry.state = 'stopped';
      delete entry.error;
    }
    this.running.delete(entry.id);
    this.hooks.changed();
    return entry.text;
  }
}
