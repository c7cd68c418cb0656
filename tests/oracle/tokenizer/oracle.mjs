// The oracle: Hugging Face's own tokenizer library, from the npm packages that scripts/setup.sh installs
// beside this file. Missing packages end the program with a message that says what to run.
import path from 'node:path';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const require = createRequire(import.meta.url);

export const source_dir = path.resolve(here, '../../..');

function load_library() {
  try {
    return require('tokenizers').Tokenizer;
  } catch (error) {
    console.error(`oracle: npm package "tokenizers" cannot be loaded (${error.code ?? error.message}): run scripts/setup.sh`);
    process.exit(2);
  }
}
const Tokenizer = load_library();

export function oracle_from_file(file) {
  return Tokenizer.fromFile(file);
}

export function oracle_from_json(json) {
  return Tokenizer.fromString(json);
}

export async function oracle_ids(tokenizer, text) {
  const encoding = await tokenizer.encode(text, null, { addSpecialTokens: false });
  return encoding.getIds();
}
