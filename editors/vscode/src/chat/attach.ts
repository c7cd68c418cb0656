// Code of the editor and of files, frozen as it is when it is attached.
import * as path from 'node:path';
import * as vscode from 'vscode';
import { lastEditor } from '../pages/insert';
import type { Attachment } from './session';

// More does not fit into the context of any model that runs on one machine; the server says what it left out of less.
const largestFileBytes = 512 * 1024;

export function attachmentOfSelection(): Attachment | undefined {
  const editor = lastEditor();
  if (!editor || editor.selection.isEmpty) {
    void vscode.window.showInformationMessage(vscode.l10n.t('Select the code that is to be attached.'));
    return undefined;
  }
  const { document, selection } = editor;
  const last = selection.end.character === 0 && selection.end.line > selection.start.line ? selection.end.line : selection.end.line + 1;
  return { ...describe(document), text: document.getText(selection), lines: [selection.start.line + 1, last] };
}

export async function attachmentOfFile(uri: vscode.Uri): Promise<Attachment | undefined> {
  try {
    const size = uri.scheme === 'untitled' ? 0 : (await vscode.workspace.fs.stat(uri)).size;
    if (size > largestFileBytes) {
      const limit = largestFileBytes / 1024;
      throw new Error(vscode.l10n.t('{0} has more than {1} KiB: attach the part of it that matters.', path.basename(uri.path), limit));
    }
    const document = await vscode.workspace.openTextDocument(uri);
    return { ...describe(document), text: document.getText() };
  } catch (error) {
    void vscode.window.showErrorMessage(error instanceof Error ? error.message : String(error));
    return undefined;
  }
}

// Open files first, as they are what one talks about; any other by the file dialog.
export async function pickFiles(): Promise<vscode.Uri[]> {
  const browse = { label: vscode.l10n.t('$(folder-opened) Browse…'), uri: undefined };
  const open = openFiles().map((uri) => ({
    label: path.basename(uri.path),
    description: vscode.workspace.asRelativePath(uri),
    uri,
  }));
  const picked = open.length === 0 ? browse : await vscode.window.showQuickPick([...open, browse], { title: vscode.l10n.t('Attach a file to the chat') });
  if (picked === undefined) return [];
  if (picked.uri) return [picked.uri];
  return (await vscode.window.showOpenDialog({ canSelectMany: true, openLabel: vscode.l10n.t('Attach') })) ?? [];
}

function openFiles(): vscode.Uri[] {
  const inputs = vscode.window.tabGroups.all.flatMap((group) => group.tabs.map((tab) => tab.input));
  const uris = inputs.flatMap((input) => (input instanceof vscode.TabInputText ? [input.uri] : []));
  return [...new Map(uris.map((uri) => [uri.toString(), uri])).values()];
}

function describe(document: vscode.TextDocument): { path: string; languageId: string } {
  return { path: vscode.workspace.asRelativePath(document.uri), languageId: document.languageId };
}
