// Keeps one server running: finds it, starts it, starts it again when it ends by itself, and says what the user can do when
// that is of no use. The features see it as their Backend.
import { randomUUID } from 'node:crypto';
import type { CancellationToken, Disposable, Event, LogOutputChannel } from 'vscode';
import { CancellationError, EventEmitter, l10n } from 'vscode';
import {
  ExecuteCommandRequest,
  LSPErrorCodes,
  ResponseError,
  State,
  WorkDoneProgress,
} from 'vscode-languageclient/node';
import type { Found } from './binary';
import { ServerClient, type Hooks, type Program } from './client';
import { method, type Backend, type Status } from './protocol';
import { RestartPolicy } from './restart_policy';

export type Lifecycle =
  | { kind: 'stopped' | 'starting' | 'running' }
  | { kind: 'failed'; reason: 'not found' | 'not started' | 'ended'; message: string };

export interface Environment {
  log: LogOutputChannel;
  hooks: Hooks;
  find: () => Found;
  arguments: () => string[];
}

const startTimeoutMs = 10_000;

export class Supervisor implements Backend, Disposable {
  private client: ServerClient | undefined;
  private lifecycle: Lifecycle = { kind: 'stopped' };
  private readonly policy = new RestartPolicy();
  private readonly changed = new EventEmitter<Lifecycle>();
  private timer: NodeJS.Timeout | undefined;
  // Starts and stops one after the other. Never rejects.
  private turn: Promise<void> = Promise.resolve();

  readonly onDidChange: Event<Lifecycle> = this.changed.event;

  constructor(private readonly environment: Environment) {}

  get state(): Lifecycle {
    return this.lifecycle;
  }

  get running(): ServerClient | undefined {
    return this.lifecycle.kind === 'running' ? this.client : undefined;
  }

  start(): Promise<void> {
    return this.next(() => this.startNow());
  }

  stop(): Promise<void> {
    return this.next(() => this.stopNow());
  }

  // What the user asks for: earlier crashes do not count any more.
  restart(): Promise<void> {
    this.policy.forget();
    return this.next(async () => {
      await this.stopNow();
      await this.startNow();
    });
  }

  async execute(
    command: string,
    args: unknown[],
    onPiece: (text: string) => void,
    cancel: CancellationToken,
  ): Promise<unknown> {
    const client = await this.whenRunning();
    const token = randomUUID();
    const pieces = client.onProgress(WorkDoneProgress.type, token, (value) => {
      if (value.kind === 'report' && value.message !== undefined) onPiece(value.message);
    });
    try {
      const params = { command, arguments: args, workDoneToken: token };
      return await client.sendRequest(ExecuteCommandRequest.type, params, cancel);
    } catch (error) {
      throw cancel.isCancellationRequested ? new CancellationError() : readable(error);
    } finally {
      pieces.dispose();
    }
  }

  async status(): Promise<Status> {
    const client = await this.whenRunning();
    try {
      return await client.sendRequest<Status>(method.status);
    } catch (error) {
      throw readable(error);
    }
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.changed.dispose();
  }

  // A turn that fails says so and is over; the next one would not run if it rejected.
  private next(turn: () => Promise<void>): Promise<void> {
    return (this.turn = this.turn.then(turn).catch((error: unknown) => {
      this.become({ kind: 'failed', reason: 'not started', message: readable(error).message });
    }));
  }

  private become(lifecycle: Lifecycle): void {
    this.lifecycle = lifecycle;
    if (lifecycle.kind === 'failed') this.environment.log.error(lifecycle.message);
    this.changed.fire(lifecycle);
  }

  private async startNow(): Promise<void> {
    clearTimeout(this.timer);
    if (this.lifecycle.kind === 'running') return;
    const found = this.environment.find();
    if ('missing' in found) {
      this.become({ kind: 'failed', reason: 'not found', message: whyMissing(found) });
      return;
    }
    const program: Program = { path: found.program, arguments: this.environment.arguments() };
    const client = new ServerClient(program, this.environment.log, this.environment.hooks);
    this.client = client;
    this.become({ kind: 'starting' });
    try {
      await withTimeout(client.start(), startTimeoutMs);
    } catch (error) {
      await client.end();
      const message = l10n.t('{0} could not be started: {1}', program.path, readable(error).message);
      this.become({ kind: 'failed', reason: 'not started', message });
      return;
    }
    client.onDidChangeState((change) => {
      if (change.newState === State.Stopped && this.running === client) this.ended();
    });
    this.become({ kind: 'running' });
  }

  private async stopNow(): Promise<void> {
    clearTimeout(this.timer);
    const client = this.client;
    this.client = undefined;
    this.become({ kind: 'stopped' });
    await client?.end();
  }

  // The server has ended and nobody had asked for it.
  private ended(): void {
    this.client = undefined;
    const delay = this.policy.delayAfterEnd(Date.now());
    if (delay === undefined) {
      const message = l10n.t('The incipit server keeps ending by itself. Its log says why.');
      this.become({ kind: 'failed', reason: 'ended', message });
      return;
    }
    this.environment.log.warn(`the server ended by itself, it starts again in ${delay} ms`);
    this.become({ kind: 'starting' });
    this.timer = setTimeout(() => void this.start(), delay);
  }

  // The client, waiting for a start that is under way.
  private async whenRunning(): Promise<ServerClient> {
    while (this.lifecycle.kind === 'starting') {
      await new Promise<void>((resolve) => {
        const once = this.onDidChange(() => {
          once.dispose();
          resolve();
        });
      });
    }
    if (this.running) return this.running;
    throw new Error(
      this.lifecycle.kind === 'failed'
        ? this.lifecycle.message
        : l10n.t('The incipit server is not running.'),
    );
  }
}

function whyMissing(found: { missing: 'setting' | 'everywhere'; tried: string[] }): string {
  return found.missing === 'setting'
    ? l10n.t('The setting incipit.server.path names {0}, which is no program.', found.tried.join())
    : l10n.t('The program incipit was found neither in the extension nor on PATH.');
}

function readable(error: unknown): Error {
  if (error instanceof ResponseError) {
    if (error.code === LSPErrorCodes.RequestCancelled) return new CancellationError();
    return Object.assign(new Error(error.message), { code: error.code });
  }
  return error instanceof Error ? error : new Error(String(error));
}

async function withTimeout(start: Promise<void>, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(l10n.t('it did not answer'))), timeoutMs);
  });
  try {
    await Promise.race([start, late]);
  } finally {
    clearTimeout(timer);
  }
}
