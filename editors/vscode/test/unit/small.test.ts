// The parts that need no more than a case or two each.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Activity } from '../../src/activity';
import { FocusWish } from '../../src/chat/focus_wish';
import { CursorRest, type Place } from '../../src/completion/cursor_rest';
import { lastLine } from '../../src/edit/edit_commands';
import { failureOf, nameOf, parseProgress } from '../../src/model/add_output';
import { CancellationTokenSource } from '../support/vscode';

describe('Activity', () => {
  it('counts work until it is done', async () => {
    const seen: number[] = [];
    const activity = new Activity(() => seen.push(activity.pending));
    await activity.during(() => Promise.resolve(1), new CancellationTokenSource().token);
    expect(seen).toEqual([1, 0]);
  });

  it('no longer counts what nobody waits for, though no answer ever comes', () => {
    const activity = new Activity(() => undefined);
    const source = new CancellationTokenSource();
    void activity.during(() => new Promise(() => undefined), source.token);
    expect(activity.pending).toBe(1);
    source.cancel();
    source.cancel();
    expect(activity.pending).toBe(0);
  });

  it('counts failures as done', async () => {
    const activity = new Activity(() => undefined);
    const failing = activity.during(() => Promise.reject(new Error('x')), new CancellationTokenSource().token);
    await expect(failing).rejects.toThrow('x');
    expect(activity.pending).toBe(0);
  });
});

describe('CursorRest', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  function resting() {
    const places: Place[] = [];
    const at: Place = { uri: 'file:///a', version: 1, line: 0, character: 0 };
    return { places, at, rest: new CursorRest(() => ({ ...at }), (place) => places.push(place)) };
  }

  it('tells where a jump ended, once', () => {
    const { places, at, rest } = resting();
    for (at.line = 1; at.line < 10; ++at.line) rest.moved();
    vi.runAllTimers();
    expect(places).toEqual([{ uri: 'file:///a', version: 1, line: 10, character: 0 }]);
  });

  it('keeps quiet while text is typed', () => {
    const { places, at, rest } = resting();
    rest.moved();
    for (at.version = 2; at.version < 9; ++at.version) {
      rest.edited();
      rest.moved();
      vi.advanceTimersByTime(500);
    }
    expect(places).toEqual([]);
  });

  it('tells of a jump after an edit', () => {
    const { places, at, rest } = resting();
    at.version = 2;
    rest.moved();
    at.line = 5;
    rest.moved();
    vi.runAllTimers();
    expect(places).toHaveLength(1);
  });
});

describe('FocusWish', () => {
  function wish() {
    const grant = vi.fn();
    return { grant, wish: new FocusWish(grant) };
  }

  it('is granted at once where the page is there, and not again when that says anew that it is ready', () => {
    const { grant, wish: focus } = wish();
    focus.pageCame();
    expect(grant).not.toHaveBeenCalled();
    focus.make();
    expect(grant).toHaveBeenCalledTimes(1);
    focus.pageCame();
    expect(grant).toHaveBeenCalledTimes(1);
  });

  it('waits for a page that is being loaded', () => {
    const { grant, wish: focus } = wish();
    focus.pageCame();
    focus.pageWent();
    focus.make();
    expect(grant).not.toHaveBeenCalled();
    focus.pageCame();
    focus.pageCame();
    expect(grant).toHaveBeenCalledTimes(1);
  });
});

describe('output of `incipit model add --json`', () => {
  it('is read as progress, name and failure', () => {
    const line = 'packing embedding: 61 %, 23 MB/s, 1 s left';
    expect(parseProgress(line)).toEqual({ percent: 61, text: line });
    expect(parseProgress('incipit: no such file')).toBeUndefined();
    expect(nameOf('{"name":"llama3","outcome":"added"}')).toBe('llama3');
    expect(failureOf('{"error":{"message":"want a directory"}}', 'x', 4)).toBe('want a directory');
  });

  it('is shown as it is when it is no JSON', () => {
    expect(failureOf('', 'terminate called', 134)).toBe('terminate called');
    expect(failureOf('', '', null)).toBe('incipit model add: exit code null');
    expect(() => nameOf('garbage')).toThrow('garbage');
  });
});

describe('lastLine', () => {
  it('is the newest line that holds something, not too long', () => {
    expect(lastLine('def f():\n    return 1\n')).toBe('return 1');
    expect(lastLine('x'.repeat(99))).toHaveLength(60);
    expect(lastLine('')).toBe('');
  });
});
