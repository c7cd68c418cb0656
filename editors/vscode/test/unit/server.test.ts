import { describe, expect, it, vi } from 'vitest';
import { configurationMiddleware } from '../../src/server/configuration';
import { serverSettings } from '../../src/server/settings';
import { logLevelArgument, parseLogLine } from '../../src/server/log_line';
import { maxRestarts, RestartPolicy } from '../../src/server/restart_policy';
import { CancellationTokenSource, LogLevel } from '../support/vscode';

describe('RestartPolicy', () => {
  it('starts again a few times, later each time, and then no more', () => {
    const policy = new RestartPolicy();
    const delays = Array.from({ length: maxRestarts + 1 }, (_, i) => policy.delayAfterEnd(i * 1000));
    expect(delays).toEqual([250, 1000, 4000, undefined]);
  });

  it('forgets ends that are minutes ago, and all when the user asks for a start', () => {
    const policy = new RestartPolicy();
    for (let i = 0; i <= maxRestarts; ++i) policy.delayAfterEnd(0);
    expect(policy.delayAfterEnd(3 * 60 * 1000 + 1)).toBe(250);
    policy.forget();
    expect(policy.delayAfterEnd(3 * 60 * 1000 + 2)).toBe(250);
  });
});

describe('parseLogLine', () => {
  it('gives the level and the text of a line of the server', () => {
    const line = '[2026-01-31 10:11:23.123] [incipit] [warning] settings: [a] wrong';
    expect(parseLogLine(line)).toEqual({ level: 'warn', text: 'settings: [a] wrong' });
  });

  it('makes a warning of what is no line of the log', () => {
    const line = 'incipit: error while loading shared libraries';
    expect(parseLogLine(line)).toEqual({ level: 'warn', text: line });
    const unknown = '[2026-01-31 10:11:23.123] [incipit] [constructor] x';
    expect(parseLogLine(unknown)).toEqual({ level: 'warn', text: unknown });
  });
});

describe('logLevelArgument', () => {
  it('asks the server for what the channel shows', () => {
    expect(logLevelArgument(LogLevel.Off)).toBe('off');
    expect(logLevelArgument(LogLevel.Debug)).toBe('debug');
    expect(logLevelArgument(LogLevel.Error)).toBe('error');
  });
});

describe('serverSettings', () => {
  it('keeps how the server is started from the server', () => {
    expect(serverSettings({ server: { path: '/x' }, hover: true })).toEqual({ hover: true });
    expect(serverSettings(null)).toBeNull();
  });
});

describe('configurationMiddleware', () => {
  it('tells of changed settings without them, for the server asks', async () => {
    const next = vi.fn(() => Promise.resolve());
    await configurationMiddleware(() => undefined).workspace?.didChangeConfiguration?.(['incipit'], next);
    expect(next.mock.calls).toEqual([[undefined]]);
  });

  it('answers with the settings that are the server\'s', async () => {
    const answered = vi.fn();
    const { token } = new CancellationTokenSource();
    const middleware = configurationMiddleware(answered).workspace?.configuration;
    const ask = () => [{ server: { path: '/x' }, hover: true }];
    const params = { items: [{ section: 'incipit' }] };
    expect(await middleware?.(params, token as never, ask)).toEqual([{ hover: true }]);
    await vi.waitFor(() => expect(answered).toHaveBeenCalledTimes(1));
  });
});
