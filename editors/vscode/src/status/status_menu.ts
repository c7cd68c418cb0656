// "Show Status": what the server knows and what can be done, in one list that the keyboard and a screen reader can walk.
import * as vscode from 'vscode';
import { l10n } from 'vscode';
import type { Status } from '../server/protocol';
import { headline, rowsOf } from './describe';
import type { Look } from './look';

interface Item extends vscode.QuickPickItem {
  command?: string;
}

export async function showStatusMenu(look: Look, status: Status | undefined): Promise<void> {
  const picked = await vscode.window.showQuickPick(items(look, status), {
    title: l10n.t('incipit: {0}', headline(look)),
    placeHolder: l10n.t('What it knows, and what can be done'),
    matchOnDescription: true,
    matchOnDetail: true,
  });
  if (picked?.command !== undefined) await vscode.commands.executeCommand(picked.command);
}

function items(look: Look, status: Status | undefined): Item[] {
  const rows: Item[] = status
    ? rowsOf(status).map((row) => ({ label: row.name, description: row.value }))
    : [];
  if (look.kind === 'error') rows.unshift({ label: l10n.t('Error'), detail: look.message });
  return [
    ...actions(look),
    { label: l10n.t('Status'), kind: vscode.QuickPickItemKind.Separator },
    ...rows,
  ];
}

function actions(look: Look): Item[] {
  const off = look.kind === 'paused' && look.where === 'everywhere';
  const offHere = look.kind === 'paused' && look.where === 'this language';
  const list: Item[] = [
    {
      label: off ? l10n.t('$(play) Enable suggestions') : l10n.t('$(circle-slash) Disable suggestions'),
      command: 'incipit.toggleCompletions',
    },
    { label: l10n.t('$(comment-discussion) Open chat'), command: 'incipit.openChat' },
    { label: l10n.t('$(add) Add model…'), command: 'incipit.addModel' },
    { label: l10n.t('$(debug-restart) Restart server'), command: 'incipit.restartServer' },
    { label: l10n.t('$(output) Show log'), command: 'incipit.showLog' },
    { label: l10n.t('$(gear) Open settings'), command: 'incipit.openSettings' },
  ];
  if (vscode.window.activeTextEditor && !off) {
    list.splice(1, 0, {
      label: offHere
        ? l10n.t('$(play) Enable suggestions for this language')
        : l10n.t('$(circle-slash) Disable suggestions for this language'),
      command: 'incipit.toggleCompletionsForLanguage',
    });
  }
  return list;
}
