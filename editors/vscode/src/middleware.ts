// Where the language client and the extension meet: suggestions are counted, and the commands of the server's code actions
// run as the extension's own do.
import * as vscode from 'vscode';
import type { Middleware } from 'vscode-languageclient/node';
import type { Activity } from './activity';
import { isEditCommand, runEditCommand } from './edit/edit_commands';
import { configurationMiddleware } from './server/configuration';
import type { Backend } from './server/protocol';

export function makeMiddleware(
  activity: Activity,
  backend: () => Backend,
  configured: () => void,
): Middleware {
  return {
    ...configurationMiddleware(configured),
    provideInlineCompletionItems: (document, position, context, token, next) =>
      activity.during(async () => next(document, position, context, token), token),
    executeCommand: async (command, args: unknown[], next): Promise<unknown> => {
      if (isEditCommand(command)) return runEditCommand(backend(), command, args);
      if (command === 'incipit.explain') {
        return vscode.commands.executeCommand('incipit.explainSelection', ...fromServer(args));
      }
      return next(command, args) as unknown;
    },
  };
}

// [uri, range] as VS Code's own objects.
function fromServer(args: unknown[]): [vscode.Uri, vscode.Range] | [] {
  const [uri, range] = args as [string, { start: vscode.Position; end: vscode.Position } | undefined];
  if (typeof uri !== 'string' || !range) return [];
  const { start, end } = range;
  return [vscode.Uri.parse(uri), new vscode.Range(start.line, start.character, end.line, end.character)];
}
