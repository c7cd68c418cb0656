#!/usr/bin/env node
// A server that speaks as incipit's does (docs/lsp-extensions.md) and whose model is slow and obedient: what cannot be shown with
// a model of 44 M parameters, which neither chats nor writes long enough to be stopped.
//   "count"    an answer that goes on until it is cancelled
//   "refuse"   RequestFailed
//   else       an answer that says how many messages there were and repeats the question, in Markdown with code
import { createRequire } from 'node:module';
import { writeFileSync } from 'node:fs';

const require = createRequire(new URL('../../../editors/vscode/package.json', import.meta.url));
const rpc = require('vscode-jsonrpc/node');

const connection = rpc.createMessageConnection(
  new rpc.StreamMessageReader(process.stdin),
  new rpc.StreamMessageWriter(process.stdout),
);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const abilities = { explain: true, edit: true, chat: true };

connection.onRequest('initialize', () => ({
  capabilities: {
    textDocumentSync: 2,
    codeActionProvider: true,
    executeCommandProvider: { commands: ['incipit.explain', 'incipit.chat', 'incipit.fix'] },
  },
}));
// A problem in every file that names it; the fix is a line that says what the problem was.
connection.onNotification('textDocument/didOpen', ({ textDocument: { uri, text } }) => {
  const line = text.split('\n').findIndex((one) => one.includes('nothing_of_this_name'));
  const range = { start: { line, character: 0 }, end: { line, character: 1000 } };
  const diagnostics = line < 0 ? [] : [{ range, severity: 1, source: 'obedient', message: 'nothing_of_this_name is not known' }];
  connection.sendNotification('textDocument/publishDiagnostics', { uri, diagnostics });
});
connection.onRequest('textDocument/codeAction', ({ textDocument: { uri }, range, context: { diagnostics } }) => {
  if (diagnostics.length === 0) return [];
  const command = { title: 'Fix with incipit', command: 'incipit.fix', arguments: [uri, range, diagnostics] };
  return [{ title: command.title, kind: 'quickfix', diagnostics, command }];
});
async function fix([uri, , [{ range, message }]]) {
  const edits = [{ range, newText: `# ${message}` }];
  const edit = { documentChanges: [{ textDocument: { uri, version: null }, edits }] };
  return connection.sendRequest('workspace/applyEdit', { edit });
}

connection.onRequest('shutdown', () => null);
connection.onNotification('exit', () => process.exit(0));
connection.onRequest('incipit/status', () => ({
  version: 'test', state: 'ready', openDocuments: 0, pendingRequests: 0, suppressed: [], memory: { residentBytes: 1 },
  model: { name: 'obedient', directory: '', device: 'cpu', promptLayout: 'instruct', contextTokens: 4096, abilities },
}));

connection.onRequest('workspace/executeCommand', async (params, cancel) => {
  if (params.command === 'incipit.fix') return fix(params.arguments);
  const progress = (value) => connection.sendNotification('$/progress', { token: params.workDoneToken, value });
  progress({ kind: 'begin', title: 'Answering', cancellable: true });
  let text = '';
  for await (const piece of pieces(params.arguments[0].messages ?? [])) {
    if (cancel.isCancellationRequested) break;
    progress({ kind: 'report', message: piece });
    text += piece;
  }
  progress({ kind: 'end' });
  if (cancel.isCancellationRequested) return new rpc.ResponseError(-32800, 'cancelled');
  return params.command === 'incipit.chat' ? { text, finish: 'stop', leftOut: 0 } : text;
});

async function* pieces(messages) {
  const question = messages.at(-1)?.content ?? '';
  if (question.startsWith('refuse')) throw new rpc.ResponseError(-32803, 'this model cannot: attach code, or add another');
  for (let n = 1; question.startsWith('count'); ++n) {
    yield `${n} `;
    if (process.env.INCIPIT_COUNT) writeFileSync(process.env.INCIPIT_COUNT, String(n));
    await pause(30);
  }
  const code = 'int add(int a, int b) {\n  return a + b;  // the sum\n}';
  const answer = `Message **${messages.length}** asks: ${question}\n\n\`\`\`cpp\n${code}\n\`\`\`\n\nThat is \`add\`.`;
  for (const word of answer.match(/\S+\s*|\s+/g)) {
    yield word;
    await pause(10);
  }
}

connection.listen();
