// What the extension offers beyond completions. Each feature registers its own commands and views and gets at the server
// through the backend alone.
import type { ExtensionContext } from 'vscode';
import type { Backend } from './server/protocol';

type Register = (context: ExtensionContext, backend: Backend) => void;

const features: Register[] = [];

export function registerFeatures(context: ExtensionContext, backend: Backend): void {
  for (const register of features) register(context, backend);
}
