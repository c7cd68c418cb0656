// A language pack for VS Code that says nothing: with it the workbench has Chinese for its language and extensions bring their
// own texts, which are what the tests look at. Written as VS Code writes down those that are installed.
import { writeFileSync } from 'node:fs';
import path from 'node:path';

export function addLanguage(id, dataFolder) {
  const texts = path.join(dataFolder, `texts-${id}.json`);
  const extensions = [{ extensionIdentifier: { id: 'incipit-test.language-pack' }, version: '1.0.0' }];
  const pack = { hash: 'of-nothing', extensions, translations: { vscode: texts }, label: id };
  writeFileSync(texts, JSON.stringify({ contents: {} }));
  writeFileSync(path.join(dataFolder, 'languagepacks.json'), JSON.stringify({ [id]: pack }));
}
