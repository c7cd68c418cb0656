// "Add Model…": asks for a checkpoint, has `incipit model add` check and pack it, and offers to use it.
import { spawn } from 'node:child_process';
import * as readline from 'node:readline';
import * as vscode from 'vscode';
import { l10n } from 'vscode';
import { failureOf, nameOf, parseProgress } from './add_output';

export async function addModel(program: string | undefined, log: vscode.LogOutputChannel): Promise<void> {
  if (program === undefined) {
    void vscode.window.showErrorMessage(l10n.t('The program incipit was not found.'));
    return;
  }
  const source = await pickSource();
  if (!source) return;
  try {
    const name = await vscode.window.withProgress(
      {
        location: vscode.ProgressLocation.Notification,
        title: l10n.t('Adding the model'),
        cancellable: true,
      },
      (progress, cancel) => runAdd(program, source.fsPath, log, progress, cancel),
    );
    await offerUse(name);
  } catch (error) {
    if (error instanceof vscode.CancellationError) return;
    const showLog = l10n.t('Show Log');
    const message = error instanceof Error ? error.message : String(error);
    const picked = await vscode.window.showErrorMessage(
      l10n.t('The model was not added: {0}', message),
      showLog,
    );
    if (picked === showLog) log.show();
  }
}

async function pickSource(): Promise<vscode.Uri | undefined> {
  const folder = {
    label: l10n.t('$(folder) A folder'),
    detail: l10n.t('config.json, tokenizer and *.safetensors, as Hugging Face has them'),
    kindOf: 'folder',
  };
  const file = { label: l10n.t('$(file) A GGUF file'), detail: '*.gguf', kindOf: 'file' };
  const picked = await vscode.window.showQuickPick([folder, file], {
    title: l10n.t('Which checkpoint of the Llama architecture?'),
  });
  if (!picked) return undefined;
  const uris = await vscode.window.showOpenDialog({
    canSelectFolders: picked === folder,
    canSelectFiles: picked === file,
    ...(picked === file && { filters: { GGUF: ['gguf'] } }),
    openLabel: l10n.t('Add'),
  });
  return uris?.[0];
}

// Resolves to the name of the model.
function runAdd(
  program: string,
  source: string,
  log: vscode.LogOutputChannel,
  progress: vscode.Progress<{ message?: string; increment?: number }>,
  cancel: vscode.CancellationToken,
): Promise<string> {
  const child = spawn(program, ['model', 'add', source, '--json'], { stdio: ['ignore', 'pipe', 'pipe'] });
  // It puts away what is half done.
  cancel.onCancellationRequested(() => child.kill('SIGINT'));
  let out = '';
  let lastText = '';
  let percent = 0;
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  readline.createInterface({ input: child.stderr }).on('line', (line) => {
    log.info(`model add: ${line}`);
    const step = parseProgress(line);
    if (!step) {
      lastText = line;
      return;
    }
    progress.report({ message: step.text, increment: Math.max(0, step.percent - percent) });
    percent = step.percent;
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      if (cancel.isCancellationRequested) reject(new vscode.CancellationError());
      else if (code === 0) resolve(nameOf(out));
      else reject(new Error(failureOf(out, lastText, code)));
    });
  });
}

async function offerUse(name: string): Promise<void> {
  const use = l10n.t('Use It');
  const picked = await vscode.window.showInformationMessage(l10n.t('The model {0} was added.', name), use);
  if (picked !== use) return;
  const settings = vscode.workspace.getConfiguration('incipit');
  const inWorkspace = settings.inspect('model')?.workspaceValue !== undefined;
  const target = inWorkspace ? vscode.ConfigurationTarget.Workspace : vscode.ConfigurationTarget.Global;
  await settings.update('model', name, target);
}
