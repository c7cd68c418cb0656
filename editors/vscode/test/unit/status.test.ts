import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Status } from '../../src/server/protocol';
import { rowsOf, tokenRate, whyNothing } from '../../src/status/describe';
import { lookOf, type Known } from '../../src/status/look';
import { cell } from '../../src/status/status_bar';
import { StatusWatch } from '../../src/status/status_watch';

function ready(change: Partial<Status> = {}): Status {
  return {
    version: '0.1.0',
    state: 'ready',
    openDocuments: 1,
    pendingRequests: 0,
    memory: { residentBytes: 94371840, weightBytes: 20971520, kvBytes: 33554432 },
    model: {
      name: 'pocket',
      directory: '/models/pocket',
      device: 'cpu (avx2, 2 threads)',
      promptLayout: 'fim',
      contextTokens: 4096,
    },
    device: { name: 'cpu (avx2, 2 threads)', faults: 0 },
    suppressed: [],
    ...change,
  };
}

describe('lookOf', () => {
  const known = (change: Partial<Known> = {}): Known => ({
    lifecycle: { kind: 'running' },
    status: ready(),
    unresponsive: false,
    pending: 0,
    paused: 'no',
    ...change,
  });

  it('is ready when nothing else is to be said', () => {
    expect(lookOf(known())).toEqual({ kind: 'ready' });
  });

  it('shows how far loading is, rounded down', () => {
    const status = ready({ state: 'loading', loadFraction: 0.999, message: 'packing' });
    expect(lookOf(known({ status }))).toEqual({ kind: 'loading', percent: 99, what: 'packing' });
  });

  it('tells a model that cannot be loaded, a device that is gone, and a server that did not start', () => {
    const message = 'no such model';
    expect(lookOf(known({ status: ready({ state: 'failed', message }) }))).toEqual({ kind: 'error', message });
    const device = { name: 'none', faults: 1, lastFault: 'the GPU fell off the bus' };
    expect(lookOf(known({ status: ready({ device }) }))).toEqual({ kind: 'error', message: device.lastFault });
    const lifecycle = { kind: 'failed', reason: 'not found', message } as const;
    expect(lookOf(known({ lifecycle }))).toEqual({ kind: 'error', message });
  });

  it('prefers what hinders to what is going on', () => {
    expect(lookOf(known({ pending: 1 }))).toEqual({ kind: 'generating' });
    expect(lookOf(known({ pending: 1, unresponsive: true }))).toEqual({ kind: 'unresponsive' });
    expect(lookOf(known({ paused: 'this language' }))).toEqual({ kind: 'paused', where: 'this language' });
  });
});

describe('rowsOf', () => {
  const value = (status: Status, name: string) => rowsOf(status).find((row) => row.name === name)?.value;

  it('gives first token, rate and cache of the last suggestion', () => {
    const timings = {
      contextMs: 1,
      firstTokenMs: 9.46,
      totalMs: 60.46,
      promptTokens: 812,
      cachedTokens: 800,
      generatedTokens: 11,
    };
    const status = ready({ lastCompletion: { uri: 'file:///a', items: 1, timings } });
    expect(value(status, 'Last suggestion')).toBe(
      'first token after 9.5 ms, 200 tokens per second, 800 of 812 prompt tokens from the cache',
    );
  });

  it('says so when the model was not needed', () => {
    const status = ready({ lastCompletion: { uri: 'file:///a', items: 1, timings: { totalMs: 0.5 } } });
    expect(value(status, 'Last suggestion')).toBe('0.5 ms, without the model');
  });

  it('says memory and model', () => {
    expect(value(ready(), 'Memory')).toBe('90 MiB in use; weights 20 MiB, cache 32 MiB');
    expect(value(ready(), 'Model')).toBe('pocket, context of 4096 tokens');
    expect(value(ready({ memory: { residentBytes: 3 * 1024 ** 3 } }), 'Memory')).toBe('3.0 GiB');
  });

  it('leaves out what is not known', () => {
    const { version, openDocuments, pendingRequests, memory, suppressed } = ready();
    const loading = { version, state: 'loading', openDocuments, pendingRequests, memory, suppressed } as const;
    expect(rowsOf(loading).map((row) => row.name)).toEqual(['Memory', 'Server']);
  });

  it('knows no rate of one token', () => {
    expect(tokenRate(1, 10)).toBeUndefined();
    expect(tokenRate(3, 10)).toBe(200);
  });
});

describe('whyNothing', () => {
  const why = 'the text changed meanwhile';
  it('is that of the last request alone', () => {
    const suppressed = [{ uri: 'file:///a', position: { line: 0, character: 0 }, why, secondsAgo: 1 }];
    const shown = { uri: 'file:///a', items: 1 };
    expect(whyNothing(ready({ suppressed }))).toBe(why);
    expect(whyNothing(ready({ suppressed, lastCompletion: shown }))).toBeUndefined();
    expect(whyNothing(ready({ lastCompletion: { ...shown, items: 0, whyEmpty: why } }))).toBe(why);
  });
});

describe('cell', () => {
  it('lets the text of the server make no columns, links or HTML', () => {
    expect(cell('a | [b](command:x) <b>\nc')).toBe(String.raw`a \| \[b\]\(command:x\) \<b\> c`);
  });
});

describe('StatusWatch', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  function watched() {
    const answers: ((status: Status) => void)[] = [];
    const status = vi.fn(() => new Promise<Status>((resolve) => answers.push(resolve)));
    const watch = new StatusWatch({ status }, () => undefined);
    const answer = async (value: Status) => {
      answers.shift()?.(value);
      await vi.advanceTimersByTimeAsync(0);
    };
    return { status, watch, answer };
  }

  it('asks once for all that come while an answer is outstanding, and once more after it', async () => {
    const { status, watch, answer } = watched();
    for (let i = 0; i < 500; ++i) watch.ask();
    expect(status).toHaveBeenCalledTimes(1);
    await answer(ready());
    expect(status).toHaveBeenCalledTimes(2);
    await answer(ready());
    expect(status).toHaveBeenCalledTimes(2);
  });

  it('asks when a request takes long, though nobody takes it back, and not when it is quick', async () => {
    const { status, watch, answer } = watched();
    watch.waitingFor(1);
    watch.waitingFor(0);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(status).toHaveBeenCalledTimes(0);
    watch.waitingFor(1);
    await vi.advanceTimersByTimeAsync(1000);
    expect(status).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(5000);
    expect(watch.unresponsive).toBe(true);
    await answer(ready());
    expect(watch.unresponsive).toBe(false);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(status).toHaveBeenCalledTimes(1);
  });

  it('asks on a clock only while a model loads', async () => {
    const { status, watch, answer } = watched();
    watch.ask();
    await answer(ready({ state: 'loading' }));
    await vi.advanceTimersByTimeAsync(300);
    expect(status).toHaveBeenCalledTimes(2);
    await answer(ready());
    await vi.advanceTimersByTimeAsync(60_000);
    expect(status).toHaveBeenCalledTimes(2);
  });

  it('notices a server that does not answer, and that it answers again', async () => {
    const { watch, answer } = watched();
    watch.ask();
    await vi.advanceTimersByTimeAsync(4900);
    expect(watch.unresponsive).toBe(false);
    await vi.advanceTimersByTimeAsync(200);
    expect(watch.unresponsive).toBe(true);
    await answer(ready());
    expect(watch.unresponsive).toBe(false);
  });

  it('takes no answer of an earlier run', async () => {
    const { watch, answer } = watched();
    watch.ask();
    watch.reset();
    await answer(ready());
    expect(watch.status).toBeUndefined();
  });
});
