import { expect, test } from 'vitest';
import { closeFence, exportFileName, exportMarkdown, fenceFor } from '../../src/chat/markdown_export';
import { addMessage, newSession } from '../../src/chat/session';

const texts = { you: 'You', assistant: 'incipit', stopped: 'Stopped.', cutOff: 'Cut off.', failed: 'That did not work' };

test('a conversation becomes a document', () => {
  const session = newSession('a', 'Sizes of *things*', Date.UTC(2026, 0, 2));
  addMessage(session, 'user', 'What is this?', [{ path: 'a.py', languageId: 'python', text: 'x = 1', lines: [3, 3] }]);
  addMessage(session, 'assistant', 'An **assignment**.');
  expect(exportMarkdown(session, texts)).toBe(
    [
      '# Sizes of \\*things\\*',
      '2026-01-02',
      '## You',
      '`a.py:3`',
      '```python\nx = 1\n```',
      'What is this?',
      '## incipit',
      'An **assignment**.',
      '',
    ].join('\n\n').replace(/\n\n$/, '\n'),
  );
});

test('code that holds a fence does not end its own', () => {
  const session = newSession('a', 'A', 0);
  addMessage(session, 'user', 'q', [{ path: 'a`b.md', languageId: 'markdown', text: '````\n```\n````' }]);
  const text = exportMarkdown(session, texts);
  expect(text).toContain('`````markdown\n````\n```\n````\n`````');
  expect(text).toContain('`` a`b.md ``');
  expect(fenceFor('plain')).toBe('```');
});

test('an answer that stopped inside a code block does not swallow what follows', () => {
  expect(closeFence('a\n```py\nx')).toBe('a\n```py\nx\n```');
  expect(closeFence('~~~~\n```\n')).toBe('~~~~\n```\n\n~~~~');
  expect(closeFence('```py\nx\n```')).toBe('```py\nx\n```');
});

test('says how an answer ended', () => {
  const session = newSession('a', 'A', 0);
  addMessage(session, 'assistant', 'half').state = 'stopped';
  Object.assign(addMessage(session, 'assistant', ''), { state: 'failed', error: 'no <model>' });
  expect(exportMarkdown(session, texts)).toContain('half\n\n*Stopped.*\n\n## incipit\n\n*no \\<model\\>*');
});

test('the name of a file is one on every system', () => {
  expect(exportFileName(newSession('a', 'Why a/b: "c"?…', 0))).toBe('Why a b c.md');
  expect(exportFileName(newSession('a', '../..', 0))).toBe('chat.md');
});
