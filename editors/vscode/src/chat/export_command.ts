// A chat as Markdown: as a document to look at, or straight into a file.
import * as vscode from 'vscode';
import { exportFileName, exportMarkdown } from './markdown_export';
import type { Session } from './session';

export async function exportSession(session: Session): Promise<void> {
  const toDocument = { label: vscode.l10n.t('Open as Document') };
  const toFile = { label: vscode.l10n.t('Save to File…') };
  const picked = await vscode.window.showQuickPick([toDocument, toFile], { title: vscode.l10n.t('Export Chat as Markdown') });
  if (!picked) return;
  const content = exportMarkdown(session, {
    you: vscode.l10n.t('You'),
    assistant: vscode.l10n.t('incipit'),
    stopped: vscode.l10n.t('Stopped.'),
    cutOff: vscode.l10n.t('The answer has reached its longest length and was cut off.'),
    failed: vscode.l10n.t('That did not work.'),
  });
  if (picked === toFile) await saveToFile(content, exportFileName(session));
  else await vscode.window.showTextDocument(await vscode.workspace.openTextDocument({ language: 'markdown', content }));
}

async function saveToFile(content: string, name: string): Promise<void> {
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
  const uri = await vscode.window.showSaveDialog({
    ...(folder ? { defaultUri: vscode.Uri.joinPath(folder, name) } : {}),
    filters: { Markdown: ['md'] },
  });
  if (!uri) return;
  try {
    await vscode.workspace.fs.writeFile(uri, new TextEncoder().encode(content));
    await vscode.window.showTextDocument(uri);
  } catch (error) {
    void vscode.window.showErrorMessage(error instanceof Error ? error.message : String(error));
  }
}
