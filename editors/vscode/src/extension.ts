import { accessSync, constants, statSync } from 'node:fs';
import { homedir } from 'node:os';
import * as vscode from 'vscode';
import { registerFeatures } from './features';
import { findServer, type Found } from './server/binary';
import { configurationMiddleware } from './server/client';
import { Supervisor } from './server/supervisor';

let supervisor: Supervisor | undefined;

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  const log = vscode.window.createOutputChannel('incipit', { log: true });
  supervisor = new Supervisor({
    log,
    hooks: { middleware: configurationMiddleware, onMessage: (message) => log.info(message.message) },
    find: () => find(context),
    arguments: () => settings().get<string[]>('server.arguments', []),
  });
  context.subscriptions.push(log, supervisor);
  registerFeatures(context, supervisor, log);
  await supervisor.start();
}

export async function deactivate(): Promise<void> {
  await supervisor?.stop();
}

function settings(): vscode.WorkspaceConfiguration {
  return vscode.workspace.getConfiguration('incipit');
}

function find(context: vscode.ExtensionContext): Found {
  return findServer({
    setting: settings().get('server.path', ''),
    extensionPath: context.extensionPath,
    pathVariable: process.env['PATH'] ?? '',
    home: homedir(),
    isProgram,
  });
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
