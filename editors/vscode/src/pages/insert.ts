// Code from a page goes to the editor that was used last: a page that has the focus leaves no editor active.
import * as vscode from 'vscode';

let last: vscode.TextEditor | undefined;

export function rememberEditor(): vscode.Disposable {
  last = vscode.window.activeTextEditor;
  return vscode.window.onDidChangeActiveTextEditor((editor) => {
    if (editor && isCode(editor)) last = editor;
  });
}

// It may be behind a page in the same group.
export function lastEditor(): vscode.TextEditor | undefined {
  return last && !last.document.isClosed ? last : vscode.window.visibleTextEditors.find(isCode);
}

export async function insertAtCursor(text: string): Promise<void> {
  const editor = lastEditor();
  if (!editor) {
    void vscode.window.showInformationMessage(vscode.l10n.t('Open the file that the code is to be inserted into.'));
    return;
  }
  const shown = await vscode.window.showTextDocument(editor.document, { viewColumn: editor.viewColumn ?? vscode.ViewColumn.Active });
  await shown.edit((edit) => {
    for (const selection of shown.selections) edit.replace(selection, text.replace(/\n$/, ''));
  });
}

// The output channels are text editors too.
function isCode(editor: vscode.TextEditor): boolean {
  return editor.document.uri.scheme !== 'output';
}
