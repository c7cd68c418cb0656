import { expect, test } from 'vitest';
import { ExplainHistory, type Source } from '../../src/explain/history';

function source(label: string): Source {
  return { uri: `file:///${label}`, label, range: { start: { line: 0, character: 0 }, end: { line: 1, character: 0 } } };
}

function setUp() {
  const asked: { piece(text: string): void; finish(text: unknown): void; fail(error: Error): void; cancel: AbortSignal }[] = [];
  const pieces: string[] = [];
  const history = new ExplainHistory({
    ask: (_, piece, cancel) =>
      new Promise((finish, fail) => {
        asked.push({ piece, finish, fail, cancel });
        cancel.addEventListener('abort', () => fail(new Error('Canceled')));
      }),
    changed: () => undefined,
    piece: (id, offset, text) => pieces.push(`${id}@${offset} ${text}`),
  });
  return { history, asked, pieces };
}

test('an explanation streams and ends', async () => {
  const { history, asked, pieces } = setUp();
  const done = history.explain(source('a.py:1'));
  asked[0]?.piece('Adds ');
  asked[0]?.piece('up.');
  expect(history.state()).toMatchObject({ index: 0, total: 1, shown: { text: 'Adds up.', state: 'streaming', source: 'a.py:1' } });
  asked[0]?.finish('Adds up.');
  expect(await done).toBe('Adds up.');
  expect(history.state().shown).toEqual({ id: 'e1', source: 'a.py:1', text: 'Adds up.', state: 'done' });
  expect(pieces).toEqual(['e1@0 Adds ', 'e1@5 up.']);
});

test('one goes back and forward, no further than there is', async () => {
  const { history, asked } = setUp();
  for (const name of ['a', 'b', 'c']) {
    const done = history.explain(source(name));
    asked.at(-1)?.finish(`about ${name}`);
    await done;
  }
  history.move(1);
  expect(history.shown?.source).toBe('c');
  history.move(-1);
  history.move(-1);
  history.move(-1);
  expect(history.state()).toMatchObject({ index: 0, total: 3, shown: { text: 'about a' } });
});

test('a new one stops that before, which keeps what it had', async () => {
  const { history, asked, pieces } = setUp();
  const first = history.explain(source('a'));
  asked[0]?.piece('half');
  void history.explain(source('b'));
  expect(await first).toBe('half');
  asked[0]?.piece('late');
  history.move(-1);
  expect(history.shown).toMatchObject({ text: 'half', state: 'stopped' });
  expect(pieces).toEqual(['e1@0 half']);
});

test('a refusal is shown in its place, and tried again there', async () => {
  const { history, asked } = setUp();
  const done = history.explain(source('a'));
  asked[0]?.fail(Object.assign(new Error('no model: add one'), { code: -32803 }));
  await done;
  expect(history.shown).toMatchObject({ state: 'failed', error: 'no model: add one', failure: 'refused' });
  const again = history.again();
  expect(history.shown?.error).toBeUndefined();
  asked[1]?.finish('Adds up.');
  await again;
  expect(history.state()).toMatchObject({ total: 1, shown: { text: 'Adds up.', state: 'done' } });
});

test('an end is news to the first page that is told of it', async () => {
  const { history, asked } = setUp();
  const done = history.explain(source('a'));
  expect(history.tell().shown).toEqual({ id: 'e1', source: 'a', text: '', state: 'streaming' });
  asked[0]?.finish('about a');
  await done;
  expect(history.tell().shown).toEqual({ id: 'e1', source: 'a', text: 'about a', state: 'done', isNews: true });
  expect(history.tell().shown).toEqual({ id: 'e1', source: 'a', text: 'about a', state: 'done' });
  void history.again();
  asked[1]?.finish('once more');
  await new Promise(setImmediate);
  expect(history.tell().shown).toMatchObject({ id: 'e2', isNews: true });
});

test('the oldest of very many are forgotten', async () => {
  const { history, asked } = setUp();
  for (let i = 0; i < 60; ++i) {
    const done = history.explain(source(`s${i}`));
    asked.at(-1)?.finish('x');
    await done;
  }
  expect(history.state()).toMatchObject({ index: 49, total: 50, shown: { source: 's59' } });
});
