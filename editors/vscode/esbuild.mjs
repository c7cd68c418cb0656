// Bundles the extension (for the extension host) and, beside it, what runs in its webviews; and the licences of what is in
// the bundles.
//   node esbuild.mjs [--production] [--watch]
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import * as esbuild from 'esbuild';

const production = process.argv.includes('--production');
const shared = {
  bundle: true,
  minify: production,
  sourcemap: !production,
  logLevel: 'warning',
  legalComments: 'none',
  metafile: true,
};

const bundles = [
  {
    ...shared,
    entryPoints: ['src/extension.ts'],
    outfile: 'dist/extension.js',
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    external: ['vscode'],
  },
  {
    ...shared,
    entryPoints: ['src/webview/main.ts'],
    outfile: 'dist/webview.js',
    platform: 'browser',
    target: 'es2022',
    format: 'iife',
  },
];

// The packages of which a bundle holds a part.
function packagesOf({ metafile }) {
  const paths = Object.keys(metafile.inputs).map((input) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1]);
  return paths.filter((path) => path !== undefined);
}

function notice(folder) {
  const { name, version, license } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'));
  const file = readdirSync(folder).find((entry) => /^(licen[cs]e|copying)/i.test(entry));
  if (!file) throw new Error(`${folder}: no licence file`);
  return `${name} ${version} (${license})\n\n${readFileSync(`${folder}/${file}`, 'utf8').trim()}\n`;
}

if (process.argv.includes('--watch')) {
  for (const bundle of bundles) await (await esbuild.context(bundle)).watch();
} else {
  if (existsSync('dist')) rmSync('dist', { recursive: true });
  const results = await Promise.all(bundles.map((bundle) => esbuild.build(bundle)));
  const folders = [...new Set(results.flatMap(packagesOf))].sort();
  writeFileSync('dist/THIRD_PARTY_NOTICES.txt', folders.map(notice).join(`\n${'-'.repeat(80)}\n\n`));
}
