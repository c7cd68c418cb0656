// What the user is told without having asked, each with what can be done about it.
import * as vscode from 'vscode';
import { l10n } from 'vscode';
import { MessageType, type ShowMessageParams } from 'vscode-languageclient/node';
import type { Lifecycle } from './server/supervisor';

interface Action {
  title: string;
  command: string;
  args?: unknown[];
}

const settingsOf = (query: string): Action => ({
  title: l10n.t('Open Settings'),
  command: 'incipit.openSettings',
  args: [query],
});
const restart = (): Action => ({ title: l10n.t('Restart Server'), command: 'incipit.restartServer' });
const showLog = (): Action => ({ title: l10n.t('Show Log'), command: 'incipit.showLog' });

export async function showFailure(lifecycle: Lifecycle): Promise<void> {
  if (lifecycle.kind !== 'failed') return;
  const path = settingsOf('incipit.server.path');
  const actions = {
    'not found': [path, showLog()],
    'not started': [path, restart(), showLog()],
    ended: [restart(), showLog()],
  }[lifecycle.reason];
  await offer(vscode.window.showErrorMessage, lifecycle.message, actions);
}

// A message of the server: a wrong setting, a model that cannot be loaded, a device that failed.
export async function showServerMessage({ type, message }: ShowMessageParams): Promise<void> {
  const named = /\bincipit\.[A-Za-z.]*[A-Za-z]/.exec(message)?.[0];
  const actions = [named === undefined ? settingsOf('incipit') : settingsOf(named), showLog()];
  if (type === MessageType.Error) await offer(vscode.window.showErrorMessage, message, actions);
  else if (type === MessageType.Warning) await offer(vscode.window.showWarningMessage, message, actions);
  else await vscode.window.showInformationMessage(message);
}

async function offer(
  show: (message: string, ...titles: string[]) => Thenable<string | undefined>,
  message: string,
  actions: Action[],
): Promise<void> {
  const picked = await show(message, ...actions.map((action) => action.title));
  const action = actions.find((one) => one.title === picked);
  if (action) await vscode.commands.executeCommand(action.command, ...(action.args ?? []));
}
