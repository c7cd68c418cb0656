// Makes the unpacked code-server ready to run, after npm ci --ignore-scripts; scripts/setup.sh calls it. Its own
// installation would fetch 400 MB more, of which the tests want 80, and compile for minutes what they can do without.
import { existsSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import path from 'node:path';

const packages = path.join(import.meta.dirname, 'node_modules');
const vscode = path.join(packages, 'code-server/lib/vscode');
const extensions = path.join(vscode, 'extensions');

// VS Code's own packages, which package.json names in VS Code's versions: the server imports them, the page loads them.
if (!existsSync(path.join(vscode, 'node_modules'))) symlinkSync(packages, path.join(vscode, 'node_modules'));

// Grammars and themes stay. What runs code (Copilot, Git, TypeScript and thirty more) starts beside every test and is the
// subject of none.
for (const name of readdirSync(extensions)) {
  const manifest = path.join(extensions, name, 'package.json');
  if (!existsSync(manifest)) continue;
  const { main, browser } = JSON.parse(readFileSync(manifest, 'utf8'));
  if (main !== undefined || browser !== undefined) rmSync(path.join(extensions, name), { recursive: true });
}

// Programs for other systems.
const rg = path.join(packages, '@vscode/ripgrep-universal/bin');
for (const name of readdirSync(rg)) if (name !== `linux-${process.arch}`) rmSync(path.join(rg, name), { recursive: true });
