// The conversations: which one is shown, what is asked, stopped and asked again. It knows neither VS Code nor the page, which see
// it through ChatHooks; answers go on being written while no page is there.
import type { ChatState, MessageView } from '../webview/protocol';
import { chatMessages, parseChatResult, type ChatMessage } from './request';
import {
  addMessage,
  attachmentLabel,
  cleanName,
  nameFromQuestion,
  newSession,
  type Attachment,
  type Message,
  type Session,
} from './session';

export interface ChatStore {
  load(): Promise<Session[]>;
  save(session: Session): Promise<void>;
  remove(id: string): Promise<void>;
}

export interface ChatHooks {
  ask(messages: ChatMessage[], onPiece: (text: string) => void, cancel: AbortSignal): Promise<unknown>;
  // Something other than a streamed text has changed.
  changed(): void;
  piece(id: string, offset: number, text: string): void;
  now(): number;
  newId(): string;
  // Which session was shown last, over restarts.
  current: { get(): string | undefined; set(id: string): void };
  texts: { newChat: string; explainThis: string };
}

// An answer that is being written is saved this often, so that a crash costs little of it.
const saveEveryMs = 1000;

export class ChatController {
  private sessions: Session[] = [];
  private shown: Session;
  private readonly pending = new Map<string, Attachment[]>();
  private readonly running = new Map<string, AbortController>();

  constructor(
    private readonly store: ChatStore,
    private readonly hooks: ChatHooks,
  ) {
    this.shown = this.add();
  }

  // Replaces the empty session of the beginning by those of earlier windows.
  async load(): Promise<void> {
    const loaded = await this.store.load();
    const current = loaded.find((session) => session.id === this.hooks.current.get());
    // What was begun while the disk was read stays.
    this.sessions = [...this.sessions.filter((session) => session.messages.length > 0), ...loaded];
    this.shown = this.sessions.includes(this.shown) ? this.shown : (current ?? this.sessions[0] ?? this.add());
    this.hooks.changed();
  }

  get session(): Session {
    return this.shown;
  }

  get all(): readonly Session[] {
    return this.sessions;
  }

  get busy(): boolean {
    return this.running.has(this.shown.id);
  }

  state(notice: string | undefined): ChatState {
    const state: ChatState = {
      type: 'chatState',
      sessions: this.sessions.map(({ id, name }) => ({ id, name })),
      current: this.shown.id,
      messages: this.shown.messages.map((message) => messageView(this.shown, message)),
      attachments: this.attachments().map(attachmentLabel),
    };
    return notice === undefined ? state : { ...state, notice };
  }

  attach(attachment: Attachment): void {
    const label = attachmentLabel(attachment);
    const others = this.attachments().filter((other) => attachmentLabel(other) !== label);
    this.pending.set(this.shown.id, [...others, attachment]);
    this.hooks.changed();
  }

  detach(index: number): void {
    this.pending.set(
      this.shown.id,
      this.attachments().filter((_, i) => i !== index),
    );
    this.hooks.changed();
  }

  // Resolves when the answer has ended, however it ended.
  async send(text: string): Promise<void> {
    const attachments = this.attachments();
    const question = text.trim() || (attachments.length > 0 ? this.hooks.texts.explainThis : '');
    if (this.busy || !question) return;
    const session = this.shown;
    this.pending.delete(session.id);
    addMessage(session, 'user', question, attachments);
    if (!session.named && session.messages.length === 1) session.name = nameFromQuestion(question) ?? session.name;
    await this.answer(session);
  }

  // Asks the last question again; the answer it had is gone.
  async again(): Promise<void> {
    const session = this.shown;
    if (this.busy || session.messages.length === 0) return;
    if (session.messages.at(-1)?.role === 'assistant') session.messages.pop();
    await this.answer(session);
  }

  stop(): void {
    this.running.get(this.shown.id)?.abort();
  }

  stopAll(): void {
    for (const run of this.running.values()) run.abort();
  }

  create(): void {
    // One empty session is enough.
    const empty = this.sessions.find((session) => session.messages.length === 0 && !session.named);
    this.show(empty ?? this.add());
  }

  switchTo(id: string): void {
    const session = this.sessions.find((candidate) => candidate.id === id);
    if (session) this.show(session);
  }

  async rename(name: string): Promise<void> {
    const clean = cleanName(name);
    if (clean === undefined) return;
    const session = this.shown;
    session.name = clean;
    session.named = true;
    this.hooks.changed();
    await this.store.save(session);
  }

  async remove(): Promise<void> {
    const gone = this.shown;
    this.running.get(gone.id)?.abort();
    const index = this.sessions.indexOf(gone);
    this.sessions = this.sessions.filter((session) => session !== gone);
    this.pending.delete(gone.id);
    this.show(this.sessions[Math.min(index, this.sessions.length - 1)] ?? this.add());
    await this.store.remove(gone.id);
  }

  private attachments(): Attachment[] {
    return this.pending.get(this.shown.id) ?? [];
  }

  private add(): Session {
    const session = newSession(this.hooks.newId(), this.hooks.texts.newChat, this.hooks.now());
    this.sessions = [session, ...this.sessions];
    return session;
  }

  private show(session: Session): void {
    this.shown = session;
    this.hooks.current.set(session.id);
    this.hooks.changed();
  }

  private async answer(session: Session): Promise<void> {
    const messages = chatMessages(session);
    const answer = addMessage(session, 'assistant', '');
    answer.state = 'streaming';
    const run = new AbortController();
    this.running.set(session.id, run);
    this.hooks.current.set(session.id);
    this.touch(session);
    const saving = setInterval(() => void this.save(session), saveEveryMs);
    try {
      await this.stream(session, answer, messages, run.signal);
    } finally {
      clearInterval(saving);
      this.running.delete(session.id);
      this.touch(session);
    }
    await this.save(session);
  }

  private async stream(session: Session, answer: Message, messages: ChatMessage[], cancel: AbortSignal): Promise<void> {
    const onPiece = (text: string): void => {
      if (cancel.aborted) return; // stopped means that nothing more is written
      const offset = answer.text.length;
      answer.text += text;
      if (session === this.shown) this.hooks.piece(viewId(session, answer), offset, text);
    };
    try {
      const result = parseChatResult(await this.hooks.ask(messages, onPiece, cancel));
      if (!cancel.aborted) answer.text = result.text;
      answer.state = result.finish === 'length' ? 'cutOff' : 'done';
      if (result.leftOut > 0) answer.leftOut = result.leftOut;
    } catch (error) {
      if (!cancel.aborted) fail(answer, error);
    }
    if (cancel.aborted) answer.state = 'stopped';
  }

  private touch(session: Session): void {
    session.updatedAt = this.hooks.now();
    void this.save(session);
    this.hooks.changed();
  }

  // A session that was deleted while its answer came stays deleted.
  private async save(session: Session): Promise<void> {
    if (this.sessions.includes(session)) await this.store.save(session);
  }
}

// LSP's RequestFailed: the server has understood, and says why not and what to do.
const requestFailed = -32803;

export function isRefusal(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === requestFailed;
}

function fail(answer: Message, error: unknown): void {
  answer.state = 'failed';
  answer.error = error instanceof Error ? error.message : String(error);
  answer.failure = isRefusal(error) ? 'refused' : 'unreachable';
}

function viewId(session: Session, message: Message): string {
  return `${session.id}:${message.id}`;
}

function messageView(session: Session, message: Message): MessageView {
  const { role, text, state } = message;
  const view: MessageView = { id: viewId(session, message), role, text, state, attachments: message.attachments.map(attachmentLabel) };
  if (message.error !== undefined) view.error = message.error;
  if (message.failure !== undefined) view.failure = message.failure;
  if (message.leftOut !== undefined) view.leftOut = message.leftOut;
  return view;
}
