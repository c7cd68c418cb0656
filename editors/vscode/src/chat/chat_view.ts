// The chat in its own container of the activity bar: the view, and the commands around it.
import { randomUUID } from 'node:crypto';
import * as path from 'node:path';
import * as vscode from 'vscode';
import { execute, PageHost } from '../pages/page_host';
import type { Backend } from '../server/protocol';
import type { FromPage } from '../webview/protocol';
import { attachmentOfFile, attachmentOfSelection, pickFiles } from './attach';
import { ChatController } from './chat_controller';
import { exportSession } from './export_command';
import { FocusWish } from './focus_wish';
import { SessionStore, type Log } from './session_store';

const viewId = 'incipit.chat';

export function registerChat(context: vscode.ExtensionContext, backend: Backend, log: Log): void {
  const view = new ChatView(context, backend, log);
  const command = (name: string, run: (...args: never[]) => unknown): vscode.Disposable =>
    vscode.commands.registerCommand(`incipit.${name}`, run);
  context.subscriptions.push(
    view,
    vscode.window.registerWebviewViewProvider(viewId, view),
    vscode.workspace.onDidChangeConfiguration((change) => view.configurationChanged(change)),
    command('openChat', () => view.focus()),
    command('chat.new', () => view.create()),
    command('chat.rename', (name?: string) => view.rename(name)),
    command('chat.delete', () => view.remove()),
    command('chat.switch', () => view.pickSession()),
    command('chat.export', () => exportSession(view.controller.session)),
    command('chat.attachSelection', () => view.attachSelection()),
    command('chat.attachFile', (uri?: vscode.Uri) => view.attachFile(uri)),
    command('chat.stop', () => view.controller.stop()),
    command('chat.regenerate', () => view.controller.again()),
  );
}

class ChatView implements vscode.WebviewViewProvider, vscode.Disposable {
  readonly controller: ChatController;
  private view: vscode.WebviewView | undefined;
  private host: PageHost | undefined;
  private notice: string | undefined;
  private readonly focusWish = new FocusWish(() => this.host?.post({ type: 'focusInput' }));
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly context: vscode.ExtensionContext,
    private readonly backend: Backend,
    log: Log,
  ) {
    // Conversations hold the code of a workspace, so they are kept with it.
    const storage = context.storageUri ?? context.globalStorageUri;
    this.controller = new ChatController(new SessionStore(path.join(storage.fsPath, 'chats'), log), {
      ask: (messages, onPiece, cancel) => execute(backend, 'incipit.chat', [{ messages }], onPiece, cancel),
      changed: () => this.update(),
      piece: (id, offset, text) => this.host?.post({ type: 'piece', id, offset, text }),
      now: () => Date.now(),
      newId: () => randomUUID(),
      current: {
        get: () => context.workspaceState.get<string>('incipit.chat.current'),
        set: (id) => void context.workspaceState.update('incipit.chat.current', id),
      },
      texts: { newChat: vscode.l10n.t('New Chat'), explainThis: vscode.l10n.t('Explain this code.') },
    });
    void this.controller.load();
  }

  resolveWebviewView(view: vscode.WebviewView): void {
    this.view = view;
    this.focusWish.pageWent(); // this one's has still to be loaded
    this.host = new PageHost(view.webview, this.context.extensionUri, 'chat', vscode.l10n.t('Chat'), (message) => this.receive(message));
    view.onDidDispose(() => {
      if (this.view !== view) return;
      this.view = undefined;
      this.host = undefined;
      this.focusWish.pageWent();
    });
    view.onDidChangeVisibility(() => {
      if (!view.visible) this.focusWish.pageWent(); // VS Code loads it anew when it is shown again
      void this.refreshNotice();
    });
  }

  async focus(): Promise<void> {
    await vscode.commands.executeCommand(`${viewId}.focus`);
    this.focusWish.make();
    await this.refreshNotice();
  }

  // Another model may be able to do more. The server hears of it at the same time, and begins to load a moment later.
  configurationChanged(change: vscode.ConfigurationChangeEvent): void {
    if (!change.affectsConfiguration('incipit')) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.refreshNotice(), 1000);
  }

  async create(): Promise<void> {
    this.controller.create();
    await this.focus();
  }

  async rename(name?: string): Promise<void> {
    const value = this.controller.session.name;
    const given =
      typeof name === 'string' ? name : await vscode.window.showInputBox({ title: vscode.l10n.t('Rename Chat'), value, prompt: vscode.l10n.t('Name of the chat') });
    if (given !== undefined) await this.controller.rename(given);
  }

  async remove(): Promise<void> {
    const yes = vscode.l10n.t('Delete');
    const question = vscode.l10n.t('Delete the chat "{0}"? It cannot be brought back.', this.controller.session.name);
    if ((await vscode.window.showWarningMessage(question, { modal: true }, yes)) === yes) await this.controller.remove();
  }

  async pickSession(): Promise<void> {
    const items = this.controller.all.map(({ id, name, updatedAt }) => ({
      id,
      label: name,
      description: new Date(updatedAt).toLocaleString(vscode.env.language),
    }));
    const picked = await vscode.window.showQuickPick(items, { title: vscode.l10n.t('Switch Chat'), matchOnDescription: true });
    if (!picked) return;
    this.controller.switchTo(picked.id);
    await this.focus();
  }

  async attachSelection(): Promise<void> {
    const attachment = attachmentOfSelection();
    if (!attachment) return;
    this.controller.attach(attachment);
    await this.focus();
  }

  async attachFile(uri?: vscode.Uri): Promise<void> {
    const uris = uri instanceof vscode.Uri ? [uri] : await pickFiles();
    for (const file of uris) {
      const attachment = await attachmentOfFile(file);
      if (attachment) this.controller.attach(attachment);
    }
    if (uris.length > 0) await this.focus();
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.controller.stopAll();
  }

  private update(): void {
    this.host?.post(this.controller.state(this.notice));
    void vscode.commands.executeCommand('setContext', 'incipit.chat.answering', this.controller.busy);
  }

  // Says beforehand what this model will refuse. While one is being loaded it is asked again.
  private async refreshNotice(): Promise<void> {
    clearTimeout(this.timer);
    const status = await this.backend.status().catch(() => undefined);
    if (status?.state === 'loading' && this.view?.visible) this.timer = setTimeout(() => void this.refreshNotice(), 1000);
    const model = status?.model;
    const notice =
      model?.abilities?.chat === false
        ? vscode.l10n.t('{0} explains attached code and cannot chat. Attach code, or add a model that answers questions.', model.name)
        : undefined;
    if (notice === this.notice) return;
    this.notice = notice;
    this.update();
  }

  private async receive(message: FromPage): Promise<void> {
    switch (message.type) {
      case 'ready':
        this.update();
        this.focusWish.pageCame();
        await this.refreshNotice();
        break;
      case 'send':
        await this.controller.send(message.text);
        await this.refreshNotice();
        break;
      case 'stop':
        this.controller.stop();
        break;
      case 'again':
        await this.controller.again();
        break;
      case 'switch':
        this.controller.switchTo(message.session);
        break;
      case 'attachSelection':
        await this.attachSelection();
        break;
      case 'attachFile':
        await this.attachFile();
        break;
      case 'detach':
        this.controller.detach(message.index);
        break;
    }
  }
}
