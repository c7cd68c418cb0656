// The item in the status bar: what the server is doing, at a glance, and in its hover what it knows.
import * as vscode from 'vscode';
import { l10n } from 'vscode';
import type { Status } from '../server/protocol';
import { headline, rowsOf } from './describe';
import type { Look } from './look';

const icons: Record<Look['kind'], string> = {
  starting: '$(sync~spin)',
  loading: '$(sync~spin)',
  ready: '$(sparkle)',
  generating: '$(loading~spin)',
  paused: '$(circle-slash)',
  stopped: '$(debug-stop)',
  unresponsive: '$(warning)',
  error: '$(error)',
};

const colours: Partial<Record<Look['kind'], string>> = {
  unresponsive: 'statusBarItem.warningBackground',
  error: 'statusBarItem.errorBackground',
};

export class StatusBar implements vscode.Disposable {
  private readonly item: vscode.StatusBarItem;

  constructor() {
    this.item = vscode.window.createStatusBarItem('incipit.status', vscode.StatusBarAlignment.Right, 100);
    this.item.name = 'incipit';
    this.item.command = 'incipit.showStatus';
    this.item.show();
  }

  show(look: Look, status: Status | undefined): void {
    const percent = look.kind === 'loading' && look.percent !== undefined ? ` ${look.percent} %` : '';
    const colour = colours[look.kind];
    this.item.text = `${icons[look.kind]} incipit${percent}`;
    this.item.backgroundColor = colour === undefined ? undefined : new vscode.ThemeColor(colour);
    this.item.tooltip = hover(look, status);
    // What a screen reader says; the icon says nothing to it.
    this.item.accessibilityInformation = {
      label: l10n.t('incipit: {0}', headline(look)),
      role: 'button',
    };
  }

  dispose(): void {
    this.item.dispose();
  }
}

function hover(look: Look, status: Status | undefined): vscode.MarkdownString {
  const text = new vscode.MarkdownString(undefined, true);
  text.isTrusted = { enabledCommands: ['incipit.restartServer', 'incipit.showLog', 'incipit.showStatus'] };
  text.appendMarkdown(`**incipit** · `).appendText(headline(look)).appendMarkdown('\n\n');
  if (look.kind === 'error') text.appendText(look.message).appendMarkdown('\n\n');
  if (status) {
    text.appendMarkdown('| | |\n|:--|:--|\n');
    for (const row of rowsOf(status)) text.appendMarkdown(`| ${cell(row.name)} | ${cell(row.value)} |\n`);
    text.appendMarkdown('\n');
  }
  const links = [
    `[${l10n.t('Menu')}](command:incipit.showStatus)`,
    `[${l10n.t('Log')}](command:incipit.showLog)`,
    `[${l10n.t('Restart')}](command:incipit.restartServer)`,
  ];
  return text.appendMarkdown(links.join(' · '));
}

// Text of the server is text: it makes no links, no columns and no HTML.
export function cell(text: string): string {
  return text.replace(/[\\`*_{}[\]()#+\-.!|<>~$&]/g, '\\$&').replace(/\s+/g, ' ');
}
