// The extension's end of a page, for a panel and a view alike: its document, the wire, and what every page may ask for.
import { randomBytes } from 'node:crypto';
import * as vscode from 'vscode';
import type { Backend } from '../server/protocol';
import { parseFromPage, type FromPage, type PageKind, type ToPage } from '../webview/protocol';
import { insertAtCursor } from './insert';
import { pageHtml } from './page_html';
import { pageStrings } from './page_strings';

export class PageHost {
  constructor(
    private readonly webview: vscode.Webview,
    extensionUri: vscode.Uri,
    kind: PageKind,
    title: string,
    private readonly onMessage: (message: FromPage) => unknown,
  ) {
    const dist = vscode.Uri.joinPath(extensionUri, 'dist');
    webview.options = { enableScripts: true, enableCommandUris: false, localResourceRoots: [dist] };
    // Before the document: its first word must not be missed.
    webview.onDidReceiveMessage((data: unknown) => this.receive(data));
    webview.html = pageHtml({
      kind,
      title,
      language: vscode.env.language,
      cspSource: webview.cspSource,
      nonce: randomBytes(16).toString('hex'),
      script: webview.asWebviewUri(vscode.Uri.joinPath(dist, 'webview.js')).toString(),
      style: webview.asWebviewUri(vscode.Uri.joinPath(dist, 'webview.css')).toString(),
      strings: pageStrings(),
    });
  }

  post(message: ToPage): void {
    void this.webview.postMessage(message);
  }

  private receive(data: unknown): void {
    const message = parseFromPage(data);
    if (message === undefined || this.common(message)) return;
    void this.onMessage(message);
  }

  private common(message: FromPage): boolean {
    switch (message.type) {
      case 'copy':
        void vscode.env.clipboard.writeText(message.text);
        return true;
      case 'insert':
        void insertAtCursor(message.text);
        return true;
      case 'addModel':
        void vscode.commands.executeCommand('incipit.addModel');
        return true;
      case 'restartServer':
        void vscode.commands.executeCommand('incipit.restartServer');
        return true;
      case 'openSetting':
        void vscode.commands.executeCommand('workbench.action.openSettings', `@id:${message.key}`);
        return true;
      default:
        return false;
    }
  }
}

// Runs a command of the server, with the cancellation of the platform in place of VS Code's.
export async function execute(
  backend: Backend,
  command: string,
  args: unknown[],
  onPiece: (text: string) => void,
  cancel: AbortSignal,
): Promise<unknown> {
  const source = new vscode.CancellationTokenSource();
  const abort = (): void => source.cancel();
  cancel.addEventListener('abort', abort, { once: true });
  try {
    return await backend.execute(command, args, onPiece, source.token);
  } finally {
    cancel.removeEventListener('abort', abort);
    source.dispose();
  }
}
