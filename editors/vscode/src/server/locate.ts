// findServer() with this machine's files and this window's settings.
import { accessSync, constants, statSync } from 'node:fs';
import { homedir } from 'node:os';
import * as vscode from 'vscode';
import { findServer, type Found } from './binary';

export function locateServer(context: vscode.ExtensionContext): Found {
  return findServer({
    setting: vscode.workspace.getConfiguration('incipit').get<unknown>('server.path'),
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
