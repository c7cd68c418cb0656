import { describe, expect, it, vi } from 'vitest';
import type { Found } from '../../src/server/binary';
import { Supervisor } from '../../src/server/supervisor';

vi.mock('vscode-languageclient/node', () => ({ ResponseError: class extends Error {}, LSPErrorCodes: {}, State: {} }));
vi.mock('../../src/server/client', () => ({
  ServerClient: class {
    start = () => Promise.resolve();
    end = () => Promise.resolve();
    onDidChangeState = () => undefined;
  },
}));

function supervisor(find: () => Found): Supervisor {
  const log = { error: vi.fn(), warn: vi.fn(), info: vi.fn() };
  return new Supervisor({ log, hooks: {}, arguments: () => [], find } as never);
}

describe('Supervisor', () => {
  it('says why a start failed unexpectedly, and starts when it is asked to again', async () => {
    let found = (): Found => {
      throw new TypeError('setting.trim is not a function');
    };
    const server = supervisor(() => found());
    await server.start();
    const message = 'setting.trim is not a function';
    expect(server.state).toEqual({ kind: 'failed', reason: 'not started', message });
    found = () => ({ program: '/opt/incipit' });
    await server.restart();
    expect(server.state).toEqual({ kind: 'running' });
  });

  it('stops and starts in turn, however quickly it is asked', async () => {
    const server = supervisor(() => ({ program: '/opt/incipit' }));
    const seen: string[] = [];
    server.onDidChange(({ kind }) => seen.push(kind));
    await Promise.all([server.start(), server.restart(), server.stop()]);
    expect(seen).toEqual(['starting', 'running', 'stopped', 'starting', 'running', 'stopped']);
  });
});
