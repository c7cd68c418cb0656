import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { addMessage, cleanName, nameFromQuestion, newSession, parseSession } from '../../src/chat/session';
import { SessionStore } from '../../src/chat/session_store';

let folder: string;
let warnings: string[];
const store = (): SessionStore => new SessionStore(folder, { warn: (message) => warnings.push(message) });

beforeEach(() => {
  folder = path.join(mkdtempSync(path.join(tmpdir(), 'chats-')), 'chats');
  warnings = [];
});
afterEach(() => rmSync(path.dirname(folder), { recursive: true }));

describe('SessionStore', () => {
  test('gives back what was saved, the most recently used first', async () => {
    const old = newSession('a', 'Old', 1);
    const recent = newSession('b', 'Recent', 2);
    addMessage(recent, 'user', 'Why?', [{ path: 'a.py', languageId: 'python', text: 'x', lines: [3, 4] }]);
    await Promise.all([store().save(old), store().save(recent)]);
    expect(await store().load()).toEqual([recent, old]);
    expect(warnings).toEqual([]);
  });

  test('starts without a folder', async () => {
    expect(await store().load()).toEqual([]);
    expect(warnings).toEqual([]);
  });

  test.each([
    ['an empty file', ''],
    ['half of a file', '{"version":1,"id":"bad","name":"x"'],
    ['another shape', '{"version":1,"id":"bad","name":"x","createdAt":0,"updatedAt":0,"messages":[{"role":"root"}]}'],
    ['a newer version', '{"version":2,"id":"bad","name":"x","createdAt":0,"updatedAt":0,"messages":[]}'],
    ['a file of another name', '{"version":1,"id":"good","name":"x","createdAt":0,"updatedAt":0,"messages":[]}'],
    ['bytes', '\u0000\ufffd\u0001'],
  ])('%s costs itself and no other, and is kept aside', async (_, text) => {
    await store().save(newSession('good', 'Good', 1));
    writeFileSync(path.join(folder, 'bad.json'), text);
    expect((await store().load()).map((session) => session.name)).toEqual(['Good']);
    expect(warnings).toHaveLength(1);
    expect(readFileSync(path.join(folder, 'bad.json.damaged'), 'utf8')).toBe(text);
    await store().load();
    expect(warnings).toHaveLength(1);
  });

  test('leaves no half-written file, and writes the last state last', async () => {
    const one = store();
    const session = newSession('a', 'First', 1);
    const first = one.save(session);
    session.name = 'Second';
    await Promise.all([first, one.save(session)]);
    expect(readdirSync(folder)).toEqual(['a.json']);
    expect((await store().load())[0]?.name).toBe('Second');
  });

  test('forgets what was removed', async () => {
    const one = store();
    await one.save(newSession('a', 'First', 1));
    await one.remove('a');
    expect(await one.load()).toEqual([]);
  });

  test('a disk that refuses costs a warning, and later writes go on', async () => {
    writeFileSync(folder, 'a file in the place of the folder');
    const one = store();
    await one.save(newSession('a', 'First', 1));
    expect(warnings).toHaveLength(1);
    rmSync(folder);
    await one.save(newSession('a', 'First', 1));
    expect(await one.load()).toHaveLength(1);
  });
});

describe('a session', () => {
  test('that was being answered when the window went away has stopped', () => {
    const session = newSession('a', 'A', 1);
    addMessage(session, 'assistant', 'half').state = 'streaming';
    expect(parseSession(JSON.stringify(session)).messages[0]?.state).toBe('stopped');
  });

  test('is named by the first words of its question', () => {
    expect(nameFromQuestion('  Why\nnot? ')).toBe('Why not?');
    expect(nameFromQuestion('How does the scheduler choose which request is next?')).toBe('How does the scheduler choose which…');
    expect(nameFromQuestion('   ')).toBeUndefined();
  });

  test('name is cut between characters, never inside one', () => {
    const name = cleanName('a' + '🙂'.repeat(200)) ?? '';
    expect(name.length).toBeLessThanOrEqual(120);
    expect(name).toMatch(/^a(🙂)+$/u);
  });
});
