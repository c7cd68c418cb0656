// Switches suggestions off and on, by the server's own settings: whoever reads them sees the same everywhere.
import * as vscode from 'vscode';

export function pausedFor(languageId: string | undefined): 'no' | 'everywhere' | 'this language' {
  const settings = vscode.workspace.getConfiguration('incipit.completion');
  if (!isEnabled(settings)) return 'everywhere';
  const excluded = settings.get<string[]>('excludeLanguages', []);
  return languageId !== undefined && excluded.includes(languageId) ? 'this language' : 'no';
}

export async function toggleCompletions(): Promise<void> {
  const settings = vscode.workspace.getConfiguration('incipit.completion');
  await settings.update('enabled', !isEnabled(settings), targetOf(settings, 'enabled'));
}

export async function toggleCompletionsForLanguage(): Promise<void> {
  const languageId = vscode.window.activeTextEditor?.document.languageId;
  if (languageId === undefined) return;
  const settings = vscode.workspace.getConfiguration('incipit.completion');
  const excluded = settings.get<string[]>('excludeLanguages', []);
  const changed = excluded.includes(languageId)
    ? excluded.filter((id) => id !== languageId)
    : [...excluded, languageId];
  await settings.update('excludeLanguages', changed, targetOf(settings, 'excludeLanguages'));
}

function isEnabled(settings: vscode.WorkspaceConfiguration): boolean {
  return settings.get<boolean>('enabled', true);
}

// Where the value is set already: one set for all windows would not count beside one of the workspace.
function targetOf(settings: vscode.WorkspaceConfiguration, key: string): vscode.ConfigurationTarget {
  return settings.inspect(key)?.workspaceValue === undefined
    ? vscode.ConfigurationTarget.Global
    : vscode.ConfigurationTarget.Workspace;
}
