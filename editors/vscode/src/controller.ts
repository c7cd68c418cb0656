// Ties the parts of one window together: server, status, suggestions, commands, messages.
import * as vscode from 'vscode';
import { Activity } from './activity';
import { CursorRest, type Place } from './completion/cursor_rest';
import { pausedFor, toggleCompletions, toggleCompletionsForLanguage } from './completion/toggle';
import { registerEditCommands } from './edit/edit_commands';
import { registerFeatures } from './features';
import { showFailure, showServerMessage } from './messages';
import { makeMiddleware } from './middleware';
import { addModel } from './model/add_model';
import { locateServer } from './server/locate';
import { method } from './server/protocol';
import { Supervisor, type Lifecycle } from './server/supervisor';
import { lookOf, type Look } from './status/look';
import { StatusBar } from './status/status_bar';
import { showStatusMenu } from './status/status_menu';
import { StatusWatch } from './status/status_watch';

export class Controller implements vscode.Disposable {
  private readonly log = vscode.window.createOutputChannel('incipit', { log: true });
  private readonly bar = new StatusBar();
  private readonly activity = new Activity((change) => this.activityChanged(change));
  private readonly supervisor: Supervisor;
  private readonly watch: StatusWatch;
  private readonly cursor: CursorRest;

  constructor(private readonly context: vscode.ExtensionContext) {
    this.supervisor = new Supervisor({
      log: this.log,
      hooks: {
        // With other settings the server may load another model.
        middleware: makeMiddleware(
          this.activity,
          () => this.supervisor,
          () => this.watch.ask(),
        ),
        onMessage: (message) => {
          void showServerMessage(message);
          this.watch.ask();
        },
      },
      find: () => locateServer(context),
      arguments: () => vscode.workspace.getConfiguration('incipit').get<string[]>('server.arguments', []),
    });
    this.watch = new StatusWatch(this.supervisor, () => this.show());
    this.cursor = new CursorRest(currentPlace, (place) => this.tellCursor(place));
    this.listen();
    this.registerCommands();
    registerEditCommands(context, this.supervisor);
    registerFeatures(context, this.supervisor, this.log);
    this.show();
  }

  start(): Promise<void> {
    return this.supervisor.start();
  }

  stop(): Promise<void> {
    return this.supervisor.stop();
  }

  dispose(): void {
    this.cursor.dispose();
    this.watch.dispose();
    this.supervisor.dispose();
    this.bar.dispose();
    this.log.dispose();
  }

  private listen(): void {
    this.context.subscriptions.push(
      this.supervisor.onDidChange((lifecycle) => this.lifecycleChanged(lifecycle)),
      vscode.workspace.onDidChangeConfiguration((change) => this.configurationChanged(change)),
      vscode.window.onDidChangeActiveTextEditor(() => {
        this.show();
        this.cursor.moved();
      }),
      vscode.window.onDidChangeTextEditorSelection((change) => {
        if (change.textEditor === vscode.window.activeTextEditor) this.cursor.moved();
      }),
      vscode.workspace.onDidChangeTextDocument(() => this.cursor.edited()),
      vscode.workspace.onDidCloseTextDocument(({ uri }) => this.cursor.closed(uri.toString())),
    );
  }

  private registerCommands(): void {
    const run: Record<string, (argument?: string) => unknown> = {
      showStatus: () => showStatusMenu(this.look(), this.watch.status),
      restartServer: () => this.supervisor.restart(),
      addModel: () => this.addModel(),
      toggleCompletions,
      toggleCompletionsForLanguage,
      triggerCompletion: () => vscode.commands.executeCommand('editor.action.inlineSuggest.trigger'),
      showLog: () => this.log.show(),
      openSettings: (query?: string) => openSettings(query ?? `@ext:${this.context.extension.id}`),
      openWalkthrough: () =>
        vscode.commands.executeCommand(
          'workbench.action.openWalkthrough',
          `${this.context.extension.id}#start`,
        ),
    };
    for (const [name, command] of Object.entries(run)) {
      this.context.subscriptions.push(vscode.commands.registerCommand(`incipit.${name}`, command));
    }
  }

  private lifecycleChanged(lifecycle: Lifecycle): void {
    this.watch.reset();
    if (lifecycle.kind === 'running') this.watch.ask();
    void showFailure(lifecycle);
  }

  private configurationChanged(change: vscode.ConfigurationChangeEvent): void {
    if (change.affectsConfiguration('incipit.server')) void this.supervisor.restart();
    this.show();
  }

  private activityChanged(change: 1 | -1): void {
    this.show();
    if (!this.supervisor.running) return;
    this.watch.waitingFor(this.activity.pending);
    if (change === -1) this.watch.ask();
  }

  private look(): Look {
    return lookOf({
      lifecycle: this.supervisor.state,
      status: this.watch.status,
      unresponsive: this.watch.unresponsive,
      pending: this.activity.pending,
      paused: pausedFor(vscode.window.activeTextEditor?.document.languageId),
    });
  }

  private show(): void {
    this.bar.show(this.look(), this.watch.status);
  }

  private tellCursor({ uri, line, character }: Place): void {
    void this.supervisor.running?.sendNotification(method.didMoveCursor, {
      textDocument: { uri },
      position: { line, character },
    });
  }

  private addModel(): Promise<void> {
    const found = locateServer(this.context);
    return addModel('program' in found ? found.program : undefined, this.log);
  }
}

// On a remote machine, that machine's: which program and which model run there is not among the user's own.
function openSettings(query: string): Thenable<unknown> {
  const whose = vscode.env.remoteName === undefined ? 'openSettings' : 'openRemoteSettings';
  return vscode.commands.executeCommand(`workbench.action.${whose}`, { query });
}

function currentPlace(): Place | undefined {
  const editor = vscode.window.activeTextEditor;
  if (!editor || !['file', 'untitled'].includes(editor.document.uri.scheme)) return undefined;
  const { document, selection } = editor;
  const { line, character } = selection.active;
  return { uri: document.uri.toString(), version: document.version, line, character };
}
