// @vitest-environment happy-dom
import { beforeEach, describe, expect, test } from 'vitest';
import { Announcer } from '../../src/webview/announcer';
import { ChatPage } from '../../src/webview/chat_page';
import { ExplainPage } from '../../src/webview/explain_page';
import { markdownRenderer } from '../../src/webview/markdown';
import type { Page } from '../../src/webview/page';
import type { ChatState, ExplainState, FromPage, MessageView } from '../../src/webview/protocol';
import { strings } from '../support/page_strings';

let said: FromPage[];
let memory: unknown;
let page: Page;

beforeEach(() => {
  said = [];
  memory = undefined;
  document.body.remove();
  document.documentElement.append(document.createElement('body'));
  page = {
    strings,
    render: markdownRenderer(strings),
    announcer: new Announcer(),
    root: document.body,
    bridge: { post: (message) => said.push(message), remembered: () => memory, remember: (state) => (memory = state) },
  };
});

const frame = (): Promise<unknown> => new Promise((resolve) => requestAnimationFrame(resolve));

function find(selector: string): HTMLElement {
  const found = document.querySelector<HTMLElement>(selector);
  if (!found) throw new Error(`no ${selector}`);
  return found;
}

function textarea(): HTMLTextAreaElement {
  return find('textarea') as HTMLTextAreaElement;
}

function visibleButton(text: string): HTMLButtonElement | undefined {
  return [...document.querySelectorAll('button')].find((button) => button.textContent === text && !button.closest('[hidden]'));
}

function press(target: Element, key: string, options: KeyboardEventInit = {}): void {
  target.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true, ...options }));
}

function answer(fields: Partial<MessageView>): MessageView {
  return { id: 's:2', role: 'assistant', text: '', state: 'streaming', attachments: [], ...fields };
}

const question: MessageView = { id: 's:1', role: 'user', text: 'Why?', state: 'done', attachments: ['a.py:1-2'] };

function chatState(fields: Partial<ChatState> = {}): ChatState {
  return { type: 'chatState', sessions: [{ id: 's', name: 'One' }, { id: 't', name: 'Two' }], current: 's', messages: [], attachments: [], ...fields };
}

function type(text: string): HTMLTextAreaElement {
  const input = textarea();
  input.value = text;
  input.dispatchEvent(new Event('input'));
  return input;
}

describe('the chat', () => {
  test('sends by Enter, not by Shift+Enter, nor while an input method composes', () => {
    new ChatPage(page).receive(chatState());
    const input = type('Why?');
    press(input, 'Enter', { shiftKey: true });
    press(input, 'Enter', { isComposing: true });
    expect(said).toEqual([]);
    press(input, 'Enter');
    expect(said).toEqual([{ type: 'send', text: 'Why?' }]);
    expect(input.value).toBe('');
  });

  test('sends nothing when there is nothing, or while an answer comes', () => {
    const chat = new ChatPage(page);
    chat.receive(chatState());
    press(type('  '), 'Enter');
    chat.receive(chatState({ messages: [question, answer({})] }));
    press(type('And?'), 'Enter');
    expect(said).toEqual([]);
    expect(textarea().value).toBe('And?');
  });

  test('stops by Escape or the button, while an answer comes', () => {
    const chat = new ChatPage(page);
    chat.receive(chatState());
    press(find('textarea'), 'Escape');
    expect(said).toEqual([]);
    chat.receive(chatState({ messages: [question, answer({})] }));
    press(find('textarea'), 'Escape');
    visibleButton('Stop')?.click();
    expect(said).toEqual([{ type: 'stop' }, { type: 'stop' }]);
    expect(visibleButton('Send')).toBeUndefined();
  });

  test('streams pieces into the answer', async () => {
    const chat = new ChatPage(page);
    chat.receive(chatState({ messages: [question, answer({ text: 'Be' })] }));
    chat.receive({ type: 'piece', id: 's:2', offset: 2, text: '*cause*' });
    await frame();
    expect(find('.assistant .markdown').innerHTML).toContain('Be<em>cause</em>');
    chat.receive({ type: 'piece', id: 's:2', offset: 2, text: '*cause*' }); // heard already
    await frame();
    expect(find('.assistant .markdown').textContent.trim()).toBe('Because');
    expect(said).toEqual([]);
  });

  test('asks for the whole when a piece is missing', () => {
    const chat = new ChatPage(page);
    chat.receive(chatState({ messages: [question, answer({ text: 'Be' })] }));
    chat.receive({ type: 'piece', id: 's:2', offset: 5, text: 'e' });
    expect(said).toEqual([{ type: 'ready' }]);
  });

  test('shows a refusal in its place, with what can be done', () => {
    new ChatPage(page).receive(
      chatState({ messages: [question, answer({ state: 'failed', error: 'pocket explains <code> only', failure: 'refused' })] }),
    );
    expect(find('.note.error').textContent).toContain('pocket explains <code> only');
    visibleButton('Try Again')?.click();
    [...document.querySelectorAll<HTMLButtonElement>('.note button')].at(-1)?.click();
    expect(said).toEqual([{ type: 'again' }, { type: 'addModel' }]);
  });

  test('offers a restart when the server cannot be asked', () => {
    new ChatPage(page).receive(chatState({ messages: [question, answer({ state: 'failed', error: 'gone', failure: 'unreachable' })] }));
    visibleButton('Restart Server')?.click();
    expect(said).toEqual([{ type: 'restartServer' }]);
  });

  test('offers to regenerate the last answer only', () => {
    const first = answer({ id: 's:2', text: 'a', state: 'done' });
    const second = answer({ id: 's:4', text: 'b', state: 'done' });
    new ChatPage(page).receive(chatState({ messages: [question, first, { ...question, id: 's:3' }, second] }));
    const offered = [...document.querySelectorAll('button')].filter((button) => button.textContent === 'Regenerate' && !button.closest('[hidden]'));
    expect(offered).toHaveLength(1);
    offered[0]?.click();
    expect(said).toEqual([{ type: 'again' }]);
  });

  test('says what was left out and what was cut off', () => {
    new ChatPage(page).receive(chatState({ messages: [question, answer({ text: 'a', state: 'cutOff', leftOut: 3 })] }));
    expect(find('.assistant .note').textContent).toBe('Cut off.Open Setting3 left out.');
    visibleButton('Open Setting')?.click();
    expect(said).toEqual([{ type: 'openSetting', key: 'incipit.chat.maxTokens' }]);
  });

  test('shows what is attached, and removes it', () => {
    new ChatPage(page).receive(chatState({ attachments: ['a.py', 'b.py:1-2'] }));
    const remove = document.querySelectorAll<HTMLButtonElement>('.composer .chip button');
    expect([...remove].map((button) => button.getAttribute('aria-label'))).toEqual(['Remove a.py', 'Remove b.py:1-2']);
    remove[1]?.click();
    expect(said).toEqual([{ type: 'detach', index: 1 }]);
  });

  test('sends with an attachment and no words', () => {
    new ChatPage(page).receive(chatState({ attachments: ['a.py'] }));
    press(find('textarea'), 'Enter');
    expect(said).toEqual([{ type: 'send', text: '' }]);
  });

  test('keeps a draft for each session, over a reload of the page', () => {
    const chat = new ChatPage(page);
    chat.receive(chatState());
    type('for one');
    chat.receive(chatState({ current: 't' }));
    expect(textarea().value).toBe('');
    type('for two');
    document.body.replaceChildren();
    new ChatPage(page).receive(chatState());
    expect(textarea().value).toBe('for one');
  });

  test('switches sessions', () => {
    new ChatPage(page).receive(chatState());
    const select = find('select') as HTMLSelectElement;
    expect([...select.options].map((option) => option.textContent)).toEqual(['One', 'Two']);
    select.value = 't';
    select.dispatchEvent(new Event('change'));
    expect(said).toEqual([{ type: 'switch', session: 't' }]);
  });

  test('keeps elements that stay, so that focus and selection do', () => {
    const chat = new ChatPage(page);
    const done = answer({ text: 'a', state: 'done' });
    chat.receive(chatState({ messages: [question, done] }));
    const before = find('.assistant .markdown p');
    chat.receive(chatState({ messages: [question, done, { ...question, id: 's:3' }, answer({ id: 's:4' })] }));
    expect(find('.assistant .markdown p')).toBe(before);
  });

  test('says at the top what the model cannot do', () => {
    const chat = new ChatPage(page);
    chat.receive(chatState());
    expect(find('.notice').hidden).toBe(true);
    chat.receive(chatState({ notice: 'pocket explains code only' }));
    expect(find('.notice').hidden).toBe(false);
    expect(find('.notice').textContent).toContain('pocket explains code only');
  });
});

describe('a screen reader', () => {
  const heard = (): string[] => [...page.announcer.region.children].map((child) => child.textContent);

  test('hears paragraphs, not tokens', async () => {
    const chat = new ChatPage(page);
    chat.receive(chatState({ messages: [question, answer({ text: '' })] }));
    let text = '';
    for (const piece of ['First ', 'one.', '\n\nSecond ', 'one.']) {
      chat.receive({ type: 'piece', id: 's:2', offset: text.length, text: piece });
      text += piece;
      await frame();
    }
    expect(heard()).toEqual(['Answering…', 'First one.']);
    chat.receive(chatState({ messages: [question, answer({ text, state: 'done' })] }));
    expect(heard()).toEqual(['Answering…', 'First one.', 'Second one.', 'Answer complete.']);
  });

  test('hears nothing of what was there before', () => {
    new ChatPage(page).receive(chatState({ messages: [question, answer({ text: 'Old.', state: 'done' })] }));
    expect(heard()).toEqual([]);
  });

  test('hears an explanation that was complete before its page came up', () => {
    const shown = { id: 'e1', source: 'a.py:1', text: 'Adds.', state: 'done' as const };
    const explain = new ExplainPage(page);
    explain.receive({ type: 'explainState', index: 0, total: 1, shown: { ...shown, isNews: true } });
    explain.receive({ type: 'explainState', index: 0, total: 1, shown });
    expect(heard()).toEqual(['Adds.', 'Answer complete.']);
    explain.receive({ type: 'explainState', index: 0, total: 2, shown: { ...shown, id: 'e0' } });
    expect(heard()).toEqual(['Adds.', 'Answer complete.']);
  });

  test('hears why there is no answer', () => {
    const chat = new ChatPage(page);
    chat.receive(chatState({ messages: [question, answer({})] }));
    chat.receive(chatState({ messages: [question, answer({ state: 'failed', error: 'no model' })] }));
    expect(heard().at(-1)).toContain('no model');
  });

  test('is told when the text is not complete, and finds names on everything', () => {
    new ChatPage(page).receive(chatState({ messages: [question, answer({ text: '```py\nx\n```' })], attachments: ['a'] }));
    expect(find('.assistant .answer').getAttribute('aria-busy')).toBe('true');
    for (const control of document.querySelectorAll('button, textarea, select')) {
      expect(control.getAttribute('aria-label') ?? control.textContent).toBeTruthy();
    }
  });
});

describe('the explanations', () => {
  function explainState(fields: Partial<ExplainState['shown'] & object> = {}, index = 0, total = 1): ExplainState {
    return { type: 'explainState', index, total, shown: { id: 'e1', source: 'a.py:1-2', text: '', state: 'streaming', ...fields } };
  }

  test('stream, and are stopped by Escape', async () => {
    const explain = new ExplainPage(page);
    explain.receive({ type: 'explainState', index: 0, total: 0 });
    expect(find('.empty').hidden).toBe(false);
    explain.receive(explainState());
    explain.receive({ type: 'piece', id: 'e1', offset: 0, text: 'Adds **up**.' });
    await frame();
    expect(find('article').innerHTML).toContain('Adds <strong>up</strong>.');
    press(document.body, 'Escape');
    explain.receive(explainState({ text: 'Adds **up**.', state: 'stopped' }));
    press(document.body, 'Escape');
    expect(said).toEqual([{ type: 'stop' }]);
    expect(find('.note').textContent).toBe('Stopped.');
  });

  test('go back and forward as far as there are some', () => {
    const explain = new ExplainPage(page);
    explain.receive(explainState({ state: 'done' }, 1, 2));
    expect(find('.position').textContent).toBe('2 of 2');
    expect(visibleButton('Forward')?.disabled).toBe(true);
    press(document.body, 'ArrowLeft', { altKey: true });
    press(document.body, 'ArrowRight', { altKey: true });
    visibleButton('Back')?.click();
    expect(said).toEqual([{ type: 'back' }, { type: 'back' }]);
  });

  test('copy and insert their code as it is', () => {
    new ExplainPage(page).receive(explainState({ text: '```py\nif a < b: pass\n```', state: 'done' }));
    find('button[data-action=copy]').click();
    find('button[data-action=insert]').click();
    visibleButton('Copy Answer')?.click();
    expect(said).toEqual([
      { type: 'copy', text: 'if a < b: pass\n' },
      { type: 'insert', text: 'if a < b: pass\n' },
      { type: 'copy', text: '```py\nif a < b: pass\n```' },
    ]);
  });

  test('keep the focus when the button under it goes', () => {
    const explain = new ExplainPage(page);
    explain.receive(explainState());
    visibleButton('Stop')?.focus();
    explain.receive(explainState({ text: 'a', state: 'done' }));
    expect(document.activeElement).toBe(visibleButton('Try Again'));
  });
});
