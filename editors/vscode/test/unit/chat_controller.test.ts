import { describe, expect, test } from 'vitest';
import { ChatController, type ChatHooks } from '../../src/chat/chat_controller';
import { chatMessages, type ChatMessage } from '../../src/chat/request';
import { addMessage, newSession, type Session } from '../../src/chat/session';

interface Asked {
  messages: ChatMessage[];
  piece(text: string): void;
  finish(result: unknown): void;
  fail(error: unknown): void;
  cancel: AbortSignal;
}

class Disk {
  files = new Map<string, string>();
  load(): Promise<Session[]> {
    return Promise.resolve([...this.files.values()].map((text) => JSON.parse(text) as Session));
  }
  save(session: Session): Promise<void> {
    this.files.set(session.id, JSON.stringify(session));
    return Promise.resolve();
  }
  remove(id: string): Promise<void> {
    this.files.delete(id);
    return Promise.resolve();
  }
}

function setUp(disk = new Disk()) {
  const asked: Asked[] = [];
  const pieces: [string, number, string][] = [];
  let n = 0;
  let current: string | undefined;
  const hooks: ChatHooks = {
    ask: (messages, piece, cancel) =>
      new Promise((finish, fail) => {
        asked.push({ messages, piece, finish, fail, cancel });
        cancel.addEventListener('abort', () => fail(new Error('Canceled')));
      }),
    changed: () => undefined,
    piece: (...piece) => pieces.push(piece),
    now: () => ++n,
    newId: () => `id-${++n}`,
    current: { get: () => current, set: (id) => (current = id) },
    texts: { newChat: 'New Chat', explainThis: 'Explain this code.' },
  };
  const chat = new ChatController(disk, hooks);
  const last = (): Asked => asked.at(-1) as Asked;
  return { chat, disk, asked, pieces, last, hooks };
}

const code = { path: 'a.py', languageId: 'python', text: 'x = 1' };

describe('a question', () => {
  test('is answered piece by piece, and the answer is kept', async () => {
    const { chat, last, pieces, disk } = setUp();
    const sent = chat.send(' Why? ');
    expect(chat.busy).toBe(true);
    expect(last().messages).toEqual([{ role: 'user', content: 'Why?' }]);
    last().piece('Be');
    last().piece('cause.');
    expect(chat.state(undefined).messages.at(-1)).toMatchObject({ role: 'assistant', text: 'Because.', state: 'streaming' });
    last().finish({ text: 'Because.', finish: 'stop', leftOut: 0 });
    await sent;
    expect(pieces.map(([, offset, text]) => [offset, text])).toEqual([[0, 'Be'], [2, 'cause.']]);
    expect(chat.state(undefined).messages.at(-1)).toMatchObject({ text: 'Because.', state: 'done' });
    expect(chat.session.name).toBe('Why?');
    expect((await disk.load())[0]?.messages).toHaveLength(2);
  });

  test('takes what is attached with it, once', async () => {
    const { chat, last } = setUp();
    chat.attach({ ...code, lines: [1, 2] });
    chat.attach({ ...code, lines: [1, 2], text: 'newer' });
    chat.attach(code);
    expect(chat.state(undefined).attachments).toEqual(['a.py:1-2', 'a.py']);
    chat.detach(1);
    const sent = chat.send('');
    expect(last().messages).toEqual([
      { role: 'user', content: 'Explain this code.', context: [{ path: 'a.py', languageId: 'python', text: 'newer' }] },
    ]);
    expect(chat.state(undefined).attachments).toEqual([]);
    last().finish({ text: 'It assigns.' });
    await sent;
  });

  test('is not sent when empty, nor while another is answered', async () => {
    const { chat, asked } = setUp();
    await chat.send('  ');
    void chat.send('one');
    await chat.send('two');
    expect(asked).toHaveLength(1);
  });

  test('carries the conversation along', async () => {
    const { chat, last } = setUp();
    const first = chat.send('one');
    last().finish({ text: 'eins' });
    await first;
    void chat.send('two');
    expect(last().messages.map(({ role, content }) => `${role}: ${content}`)).toEqual(['user: one', 'assistant: eins', 'user: two']);
  });
});

describe('an answer', () => {
  test('that is stopped keeps what was there, and nothing comes after', async () => {
    const { chat, last, pieces } = setUp();
    const sent = chat.send('Why?');
    last().piece('Be');
    chat.stop();
    last().piece('late');
    await sent;
    expect(last().cancel.aborted).toBe(true);
    expect(chat.state(undefined).messages.at(-1)).toMatchObject({ text: 'Be', state: 'stopped' });
    expect(pieces).toHaveLength(1);
    expect(chat.busy).toBe(false);
  });

  test('that was refused says why, and is asked for again without its failure', async () => {
    const { chat, last } = setUp();
    const sent = chat.send('Why?');
    last().fail(Object.assign(new Error('pocket cannot chat: attach code'), { code: -32803 }));
    await sent;
    expect(chat.state(undefined).messages.at(-1)).toMatchObject({ state: 'failed', failure: 'refused', error: 'pocket cannot chat: attach code' });
    const again = chat.again();
    expect(last().messages).toEqual([{ role: 'user', content: 'Why?' }]);
    last().finish({ text: 'Because.', finish: 'length', leftOut: 2 });
    await again;
    expect(chat.state(undefined).messages).toHaveLength(2);
    expect(chat.state(undefined).messages.at(-1)).toMatchObject({ text: 'Because.', state: 'cutOff', leftOut: 2 });
  });

  test('of a server that is not there, or makes no sense, fails in its place', async () => {
    const { chat, last } = setUp();
    let sent = chat.send('Why?');
    last().fail(new Error('the server is not running'));
    await sent;
    expect(chat.state(undefined).messages.at(-1)).toMatchObject({ state: 'failed', failure: 'unreachable' });
    sent = chat.again();
    last().finish({ answer: 'Because.' });
    await sent;
    expect(chat.state(undefined).messages.at(-1)?.state).toBe('failed');
  });

  test('goes on in its session while another is shown', async () => {
    const { chat, last, pieces } = setUp();
    const sent = chat.send('Why?');
    const first = chat.session.id;
    chat.create();
    last().piece('Because.');
    expect(pieces).toEqual([]);
    expect(chat.busy).toBe(false);
    last().finish({ text: 'Because.' });
    await sent;
    chat.switchTo(first);
    expect(chat.state(undefined).messages.at(-1)).toMatchObject({ text: 'Because.', state: 'done' });
  });
});

describe('sessions', () => {
  test('are there after a restart, with the name they were given and the one shown last', async () => {
    const { chat, disk, last, hooks } = setUp();
    const sent = chat.send('one');
    last().finish({ text: '1' });
    await sent;
    await chat.rename('  Numbers\n');
    chat.create();
    void chat.send('two');
    chat.switchTo(chat.all[1]?.id ?? '');
    const later = new ChatController(disk, hooks);
    await later.load();
    expect(later.session.name).toBe('Numbers');
    expect(later.all).toHaveLength(2);
  });

  test('keep a given name when a question comes', async () => {
    const { chat, last } = setUp();
    await chat.rename('Mine');
    const sent = chat.send('one');
    last().finish({ text: '1' });
    await sent;
    expect(chat.session.name).toBe('Mine');
    await chat.rename('  ');
    expect(chat.session.name).toBe('Mine');
  });

  test('that are deleted stay so, though their answer comes', async () => {
    const { chat, disk, last } = setUp();
    const sent = chat.send('one');
    await chat.remove();
    expect(last().cancel.aborted).toBe(true);
    await sent;
    expect(disk.files.size).toBe(0);
    expect(chat.all).toHaveLength(1);
    expect(chat.state(undefined).messages).toEqual([]);
  });

  test('that are empty are made once', () => {
    const { chat } = setUp();
    chat.create();
    chat.create();
    expect(chat.all).toHaveLength(1);
  });
});

test('a request leaves out questions that were never answered', () => {
  const session = newSession('a', 'A', 0);
  addMessage(session, 'user', 'lost');
  addMessage(session, 'assistant', '').state = 'failed';
  addMessage(session, 'user', 'half');
  addMessage(session, 'assistant', 'ha').state = 'stopped';
  addMessage(session, 'user', 'now');
  expect(chatMessages(session).map((message) => message.content)).toEqual(['half', 'ha', 'now']);
});
