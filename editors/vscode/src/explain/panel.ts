// The panel that explanations stream into, beside the code. It can be closed and comes back with what it held.
import * as vscode from 'vscode';
import { rememberEditor, lastEditor } from '../pages/insert';
import { execute, PageHost } from '../pages/page_host';
import type { Backend } from '../server/protocol';
import type { FromPage } from '../webview/protocol';
import { ExplainHistory, type Source } from './history';

export function registerExplain(context: vscode.ExtensionContext, backend: Backend): void {
  const panel = new ExplainPanel(context.extensionUri, backend);
  context.subscriptions.push(
    panel,
    rememberEditor(),
    vscode.commands.registerCommand('incipit.explainSelection', (uri?: vscode.Uri, range?: vscode.Range) => panel.explainSelection(uri, range)),
    vscode.commands.registerCommand('incipit.showExplanations', () => panel.reveal()),
    vscode.commands.registerCommand('incipit.stopExplanation', () => panel.stop()),
  );
}

class ExplainPanel implements vscode.Disposable {
  private panel: vscode.WebviewPanel | undefined;
  private host: PageHost | undefined;
  private isListening = false; // the page has said that it is there
  private readonly history: ExplainHistory;

  constructor(
    private readonly extensionUri: vscode.Uri,
    backend: Backend,
  ) {
    this.history = new ExplainHistory({
      ask: (source, onPiece, cancel) => execute(backend, 'incipit.explain', [source.uri, source.range], onPiece, cancel),
      changed: () => this.update(),
      piece: (id, offset, text) => this.host?.post({ type: 'piece', id, offset, text }),
    });
  }

  // A menu passes the file it was opened on and no range; the server's code action passes both.
  async explainSelection(uri?: vscode.Uri, range?: vscode.Range): Promise<string | undefined> {
    const editor = vscode.window.activeTextEditor ?? lastEditor();
    const place = uri && range instanceof vscode.Range ? { uri, range } : editor && { uri: editor.document.uri, range: editor.selection };
    if (!place || place.range.isEmpty) {
      void vscode.window.showInformationMessage(vscode.l10n.t('Select the code that is to be explained.'));
      return undefined;
    }
    this.reveal();
    return this.history.explain(sourceOf(place.uri, place.range));
  }

  reveal(): void {
    if (this.panel) this.panel.reveal(undefined, true);
    else this.open();
  }

  stop(): void {
    this.history.stop();
  }

  dispose(): void {
    this.history.stopAll();
    this.panel?.dispose();
  }

  private open(): void {
    const title = vscode.l10n.t('incipit: Explanation');
    // The code keeps the focus; F6 goes to the panel.
    const place = { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true };
    this.panel = vscode.window.createWebviewPanel('incipit.explain', title, place);
    this.host = new PageHost(this.panel.webview, this.extensionUri, 'explain', title, (message) => this.receive(message));
    // A page that is hidden is gone, and comes anew.
    this.panel.onDidChangeViewState(({ webviewPanel }) => (this.isListening &&= webviewPanel.visible));
    this.panel.onDidDispose(() => {
      this.history.stopAll();
      this.panel = undefined;
      this.isListening = false;
      this.host = undefined;
    });
  }

  private update(): void {
    if (this.isListening) this.host?.post(this.history.tell());
    void vscode.commands.executeCommand('setContext', 'incipit.explaining', this.history.shown?.state === 'streaming');
  }

  private async receive(message: FromPage): Promise<void> {
    switch (message.type) {
      case 'ready':
        this.isListening = true;
        this.update();
        break;
      case 'stop':
        this.history.stop();
        break;
      case 'again':
        await this.history.again();
        break;
      case 'back':
        this.history.move(-1);
        break;
      case 'forward':
        this.history.move(1);
        break;
      case 'reveal':
        await revealSource(this.history.shown?.origin);
        break;
    }
  }
}

function sourceOf(uri: vscode.Uri, { start, end }: vscode.Range): Source {
  // A selection that ends at the start of a line does not take that line in.
  const lastLine = end.character === 0 && end.line > start.line ? end.line : end.line + 1;
  const lines = lastLine === start.line + 1 ? `${lastLine}` : `${start.line + 1}-${lastLine}`;
  return {
    uri: uri.toString(),
    range: { start: { line: start.line, character: start.character }, end: { line: end.line, character: end.character } },
    label: `${vscode.workspace.asRelativePath(uri)}:${lines}`,
  };
}

async function revealSource(source: Source | undefined): Promise<void> {
  if (!source) return;
  const { start, end } = source.range;
  const selection = new vscode.Range(start.line, start.character, end.line, end.character);
  try {
    const column = lastEditor()?.viewColumn ?? vscode.ViewColumn.One;
    await vscode.window.showTextDocument(vscode.Uri.parse(source.uri), { selection, viewColumn: column });
  } catch (error) {
    void vscode.window.showErrorMessage(error instanceof Error ? error.message : String(error));
  }
}
