// What the extension offers beyond completions. Each feature registers its own commands and views and gets at the server
// through the backend alone.
import type { ExtensionContext, LogOutputChannel } from 'vscode';
import { registerChat } from './chat/chat_view';
import { registerExplain } from './explain/panel';
import type { Backend } from './server/protocol';

type Register = (context: ExtensionContext, backend: Backend, log: LogOutputChannel) => void;

const features: Register[] = [registerExplain, registerChat];

export function registerFeatures(context: ExtensionContext, backend: Backend, log: LogOutputChannel): void {
  for (const register of features) register(context, backend, log);
}
