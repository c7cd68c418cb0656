import { expect, test } from 'vitest';
import { fill, parseFromPage, parseToPage } from '../../src/webview/protocol';

test.each([
  { type: 'ready' },
  { type: 'send', text: 'Why?' },
  { type: 'detach', index: 0 },
  { type: 'openSetting', key: 'incipit.chat.maxTokens' },
])('a page may say %j', (message) => {
  expect(parseFromPage(message)).toEqual(message);
});

test.each([
  [null],
  ['ready'],
  [{}],
  [{ type: 'eval', text: 'x' }],
  [{ type: 'send' }],
  [{ type: 'send', text: { toString: 'x' } }],
  [{ type: 'detach', index: -1 }],
  [{ type: 'detach', index: 0.5 }],
  [{ type: 'openSetting', key: 'http.proxy' }],
])('a page may not say %j', (message) => {
  expect(parseFromPage(message)).toBeUndefined();
});

test('what goes to a page is checked there', () => {
  expect(parseToPage({ type: 'piece', id: 'a:1', offset: 3, text: 'x' })).toBeDefined();
  expect(parseToPage({ type: 'piece', id: 'a:1', offset: '3', text: 'x' })).toBeUndefined();
  expect(parseToPage({ type: 'chatState', sessions: [], current: 'a', messages: [{ id: 'a:1' }], attachments: [] })).toBeUndefined();
});

test('texts are filled in, and what is filled in is not filled again', () => {
  expect(fill('{0} of {1}', '{1}', 2)).toBe('{1} of 2');
  expect(fill('{0} {1}', 'a')).toBe('a {1}');
});
