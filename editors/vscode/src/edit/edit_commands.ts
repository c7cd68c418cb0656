// Write Documentation, Generate Tests, Fix, Rewrite…: the server does the work and sends the edit; here the user is asked,
// kept informed, and told how it ended.
import * as vscode from 'vscode';
import { l10n } from 'vscode';
import type { Backend } from '../server/protocol';

interface Position {
  line: number;
  character: number;
}
interface Range {
  start: Position;
  end: Position;
}
// What the server's commands of this kind come back with.
interface EditResult {
  applied: boolean;
  text?: string;
  uri?: string;
  message?: string;
}

export const editCommands = {
  'incipit.document': { own: 'incipit.writeDocumentation', title: () => l10n.t('Writing documentation') },
  'incipit.tests': { own: 'incipit.generateTests', title: () => l10n.t('Writing tests') },
  'incipit.fix': { own: 'incipit.fixSelection', title: () => l10n.t('Fixing') },
  'incipit.rewrite': { own: 'incipit.rewriteSelection', title: () => l10n.t('Rewriting') },
} as const;
export type EditCommand = keyof typeof editCommands;

export function isEditCommand(command: string): command is EditCommand {
  return command in editCommands;
}

export function registerEditCommands(context: vscode.ExtensionContext, backend: Backend): void {
  for (const [command, { own }] of Object.entries(editCommands)) {
    context.subscriptions.push(
      vscode.commands.registerTextEditorCommand(own, (editor) => {
        void runEditCommand(backend, command as EditCommand, argumentsOf(command, editor));
      }),
    );
  }
}

// Also for code actions, whose arguments come from the server.
export async function runEditCommand(
  backend: Backend,
  command: EditCommand,
  args: unknown[],
): Promise<void> {
  let all = args;
  if (command === 'incipit.rewrite' && args.length < 3) {
    const instruction = await askInstruction();
    if (instruction === undefined) return;
    all = [...args, instruction];
  }
  try {
    const result = (await withProgress(backend, command, all)) as EditResult;
    await showResult(result);
  } catch (error) {
    if (error instanceof vscode.CancellationError) return;
    await showFailure(backend, command, error instanceof Error ? error.message : String(error));
  }
}

function askInstruction(): Thenable<string | undefined> {
  return vscode.window.showInputBox({
    title: l10n.t('Rewrite the selected lines'),
    prompt: l10n.t('What should be different?'),
    placeHolder: l10n.t('for example: return early instead of nesting'),
    ignoreFocusOut: true,
    validateInput: (text) => (text.trim() === '' ? l10n.t('Say what should be different.') : undefined),
  });
}

function withProgress(backend: Backend, command: EditCommand, args: unknown[]): Thenable<unknown> {
  const options = {
    location: vscode.ProgressLocation.Notification,
    title: editCommands[command].title(),
    cancellable: true,
  };
  return vscode.window.withProgress(options, (progress, cancel) => {
    let text = '';
    return backend.execute(
      command,
      args,
      (piece) => {
        text += piece;
        progress.report({ message: lastLine(text) });
      },
      cancel,
    );
  });
}

export function lastLine(text: string): string {
  const line = text.trimEnd().split('\n').at(-1)?.trim() ?? '';
  return line.length > 60 ? `${line.slice(0, 59)}…` : line;
}

async function showResult(result: EditResult): Promise<void> {
  if (result.applied) {
    if (result.uri !== undefined) await vscode.window.showTextDocument(vscode.Uri.parse(result.uri));
    return;
  }
  if (result.text === undefined) return;
  const language = vscode.window.activeTextEditor?.document.languageId;
  const content = { content: result.text, ...(language !== undefined && { language }) };
  await vscode.window.showTextDocument(await vscode.workspace.openTextDocument(content));
  if (result.message !== undefined) void vscode.window.showWarningMessage(result.message);
}

async function showFailure(backend: Backend, command: EditCommand, message: string): Promise<void> {
  const addModel = l10n.t('Add Model…');
  const abilities = (await backend.status().catch(() => undefined))?.model?.abilities;
  // Another model is what helps where this one was not made for it.
  const refuses = abilities !== undefined && !abilities.edit && command !== 'incipit.document';
  const picked = await vscode.window.showErrorMessage(message, ...(refuses ? [addModel] : []));
  if (picked === addModel) await vscode.commands.executeCommand('incipit.addModel');
}

function argumentsOf(command: string, editor: vscode.TextEditor): unknown[] {
  const { document, selection } = editor;
  const args: unknown[] = [document.uri.toString(), plainRange(selection)];
  if (command !== 'incipit.fix') return args;
  const problems = vscode.languages
    .getDiagnostics(document.uri)
    .filter((diagnostic) => diagnostic.range.intersection(selection) !== undefined)
    .map((diagnostic) => ({
      range: plainRange(diagnostic.range),
      severity: diagnostic.severity + 1,
      message: diagnostic.message,
    }));
  return problems.length > 0 ? [...args, problems] : args;
}

export function plainRange(range: vscode.Range): Range {
  const plain = ({ line, character }: vscode.Position): Position => ({ line, character });
  return { start: plain(range.start), end: plain(range.end) };
}
