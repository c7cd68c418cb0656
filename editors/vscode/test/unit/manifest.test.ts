// package.json says what the server does and what the code has: held to docs/lsp-extensions.md and to the sources.
import { readdirSync, readFileSync } from 'node:fs';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import manifest from '../../package.json';
import english from '../../package.nls.json';
import chinese from '../../package.nls.zh-cn.json';
import chineseBundle from '../../l10n/bundle.l10n.zh-cn.json';

const root = path.join(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(path.join(root, file), 'utf8');

interface Property {
  type: string;
  default: unknown;
  minimum?: number;
  maximum?: number;
  markdownDescription: string;
  items?: { type: string };
}
const properties: Record<string, Property> = Object.fromEntries(
  manifest.contributes.configuration.flatMap((group) => Object.entries(group.properties)),
);

// A row of the table of settings: | `incipit.threads` | 0…1024, 0 | … |
function documented(): Record<string, Partial<Property>> {
  const settings = read('../../docs/lsp-extensions.md').split('## Settings')[1] ?? '';
  const rows = settings.matchAll(/^\| `(incipit\.[A-Za-z.]+)` \| ([^|]+) \|/gm);
  return Object.fromEntries([...rows].map((row) => [row[1] ?? '', typeOf(row[2] ?? '')] as const));
}

function typeOf(text: string): Partial<Property> {
  const range = /^(\d+)…(\d+), ([\d.]+)$/.exec(text);
  if (range) {
    const [minimum, maximum, preset] = range.slice(1).map(Number);
    const type = Number.isInteger(preset) ? 'integer' : 'number';
    return { type, minimum: minimum ?? NaN, maximum: maximum ?? NaN, default: preset };
  }
  if (text === 'strings, none') return { type: 'array', items: { type: 'string' }, default: [] };
  const [type, preset] = text.split(', ');
  return { type: type ?? '', default: JSON.parse(preset ?? 'null') };
}

describe('settings', () => {
  it('are those of the server, with its types, ranges and defaults', () => {
    const table = documented();
    const own = Object.keys(properties).filter((key) => !key.startsWith('incipit.server.'));
    expect(own.sort()).toEqual(Object.keys(table).sort());
    expect(own.length).toBeGreaterThan(15);
    for (const key of own) expect({ key, ...properties[key] }).toMatchObject({ key, ...table[key] });
  });

  it('each have a description', () => {
    for (const [key, { markdownDescription }] of Object.entries(properties)) {
      expect(markdownDescription).toBe(`%setting.${key.replace(/^incipit\./, '')}%`);
    }
  });
});

describe('texts of package.json', () => {
  const used = [...JSON.stringify(manifest).matchAll(/%([a-zA-Z.]+)%/g)].map((match) => match[1] ?? '');

  it('exist in both languages, and no others do', () => {
    expect(Object.keys(english).sort()).toEqual([...new Set(used)].sort());
    expect(Object.keys(chinese).sort()).toEqual(Object.keys(english).sort());
  });
});

function sources(folder: string): string[] {
  return readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => read(path.join(folder, file)));
}

// The first argument of each l10n.t( of the sources.
function textsOfCode(): string[] {
  const calls = sources('src').join('\n').matchAll(/\bl10n\.t\(\s*(?:'((?:[^'\\\n]|\\.)*)'|"([^"\n]*)"|(.))/g);
  return [...calls].map(([call, single, double, other]) => {
    if (other !== undefined) throw new Error(`l10n.t wants a literal: ${call}`);
    return (single ?? double ?? '').replace(/\\(.)/g, '$1');
  });
}

const placeholders = (text: string) => (text.match(/\{\d+\}|\$\([a-z-]+\)/g) ?? []).sort();

describe('texts of the code', () => {
  it('are all translated, and nothing else is', () => {
    expect(Object.keys(chineseBundle).sort()).toEqual([...new Set(textsOfCode())].sort());
  });

  it('keep their values and icons', () => {
    for (const [text, translated] of Object.entries(chineseBundle)) {
      expect(placeholders(translated)).toEqual(placeholders(text));
    }
  });
});

describe('commands', () => {
  const named = manifest.contributes.commands.map(({ command }) => command);

  it('in menus and keybindings exist', () => {
    const inMenus = Object.values(manifest.contributes.menus)
      .flat()
      .flatMap((entry) => ('command' in entry ? [entry.command] : []));
    const known = [...named, 'editor.action.inlineSuggest.acceptNextLine'];
    const keys = manifest.contributes.keybindings.map(({ command }) => command);
    expect([...inMenus, ...keys].filter((command) => !known.includes(command))).toEqual([]);
  });

  it('have names that the server does not give to its own, which the language client registers', () => {
    const page = read('../../docs/lsp-extensions.md');
    expect(named.filter((command) => page.includes(`"${command}"`) || page.includes(`| \`${command}\``))).toEqual([]);
  });
});

describe('the package', () => {
  it('asks nothing of the network', () => {
    const text = read('package.json') + sources('src').join('\n');
    expect(text.match(/https?:\/\/[^\s'"`)]+/g) ?? []).toEqual([]);
  });
});
