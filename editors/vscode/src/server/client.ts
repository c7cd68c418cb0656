// One run of the server as a language client. It reports and decides nothing: restarts and messages to the user are the
// supervisor's.
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import * as readline from 'node:readline';
import { workspace, type LogOutputChannel } from 'vscode';
import {
  CloseAction,
  ErrorAction,
  LanguageClient,
  ShowMessageNotification,
  type ClientCapabilities,
  type LanguageClientOptions,
  type Middleware,
  type ShowMessageParams,
  type StaticFeature,
} from 'vscode-languageclient/node';
import { logLevelArgument, parseLogLine } from './log_line';
import { serverSettings } from './settings';

export interface Program {
  path: string;
  arguments: string[];
}

export interface Hooks {
  middleware: Middleware;
  // A message of the server to the user.
  onMessage: (message: ShowMessageParams) => void;
}

const stopTimeoutMs = 2000;
const killAfterMs = 500;

// Files on disk and new ones. Not the documents that VS Code makes up: output, diffs, settings.
const documents = [{ scheme: 'file' }, { scheme: 'untitled' }];

// What this client can do that LSP has no word for. Progress of loading is shown by the status bar item, which asks for it.
const capabilities: StaticFeature = {
  fillClientCapabilities(offered: ClientCapabilities) {
    offered.experimental = { incipit: { asksInstruction: true } };
    offered.window = { ...offered.window, workDoneProgress: false };
  },
  initialize() {},
  getState: () => ({ kind: 'static' }),
  clear() {},
};

export class ServerClient extends LanguageClient {
  private child: ChildProcessWithoutNullStreams | undefined;

  constructor(program: Program, log: LogOutputChannel, hooks: Hooks) {
    super(
      'incipit',
      'incipit',
      () => this.spawn(program, log),
      clientOptions(log, hooks.middleware),
    );
    this.registerFeature(capabilities);
    this.onNotification(ShowMessageNotification.type, hooks.onMessage);
  }

  get pid(): number | undefined {
    return this.child?.pid;
  }

  // The library would show a notification for each failure. A suggestion that failed is no reason to disturb anyone.
  override error(message: string, data?: unknown): void {
    super.error(message, data, false);
  }

  // Ends the server, also one that does not answer.
  async end(): Promise<void> {
    const child = this.child;
    try {
      await this.stop(stopTimeoutMs);
    } catch {
      // Not running yet, or no answer in time: killed below.
    }
    if (child && child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      // After `exit` it ends by itself; one that is stopped or stuck hears of nothing else.
      const timer = setTimeout(() => child.kill('SIGKILL'), killAfterMs);
      await ended;
      clearTimeout(timer);
    }
  }

  private spawn(program: Program, log: LogOutputChannel): Promise<ChildProcessWithoutNullStreams> {
    const words = ['lsp', '--log-level', logLevelArgument(log.logLevel), ...program.arguments];
    log.info(`starting ${program.path} ${words.join(' ')}`);
    const child = spawn(program.path, words, { stdio: 'pipe' });
    this.child = child;
    child.once('exit', (code, signal) => {
      log.info(`the server ended with ${signal ?? String(code)}`);
    });
    return new Promise((resolve, reject) => {
      child.once('spawn', () => resolve(child));
      child.once('error', reject);
    });
  }
}

function clientOptions(log: LogOutputChannel, middleware: Middleware): LanguageClientOptions {
  return {
    documentSelector: documents,
    outputChannel: log,
    // From its first moment; else it would begin with the model and the limits of one who has set nothing.
    initializationOptions: () => serverSettings(workspace.getConfiguration().get('incipit')),
    middleware,
    errorHandler: {
      // A broken pipe is followed by closed().
      error: () => ({ action: ErrorAction.Continue, handled: true }),
      closed: () => ({ action: CloseAction.DoNotRestart, handled: true }),
    },
    initializationFailedHandler: () => false,
    stdioOptions: {
      stderr: (input) => {
        readline.createInterface({ input, terminal: false }).on('line', (line) => {
          const { level, text } = parseLogLine(line);
          log[level](text);
        });
      },
      stdout: () => {},
    },
  };
}
