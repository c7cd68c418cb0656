// Encodes the corpus and seeded random texts with Hugging Face's library, for
// tests/oracle/tokenizer/tokenizer_oracle_test.cpp.
//
//   node encode_corpus.mjs OUT.json TOKENIZER_JSON...
//
// Writes {"tokenizers": [{"file": …, "texts": [{"name": …, "text": …, "ids": […]}]}]}.
import fs from 'node:fs';
import path from 'node:path';
import { oracle_from_file, oracle_from_json, oracle_ids, source_dir } from './oracle.mjs';

const corpus_dir = path.join(source_dir, 'tests/golden/tokenizer/corpus');
const tokenizer_files = process.argv.slice(3);

// Mulberry32 (Tommy Ettinger, public domain): small, seeded, the same everywhere.
function random_source(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return { below: (n) => Math.floor(next() * n) };
}

function any_code_point(random) {
  const point = random.below(0x110000 - 0x800);
  return String.fromCodePoint(point < 0xd800 ? point : point + 0x800);
}

// Text where class borders meet often: contractions, white space, digits, letters of many scripts.
const fragments = [
  "'s", "'T", "'re", "'VE", "'m", "'ll", "'d", "'ſ", "'", '"', ' ', '  ', '   ', '\t', '\n', '\r\n', '\r', '\n\n',
  'a', 'the', 'Return', 'é', 'e\u0301', 'ß', 'ſ', '日本', '한국', 'ไทย', '1', '12', '123', '1234', '٣', '½', 'Ⅷ', '_', '(', '){',
  '//', '...', '😀', '👩\u200d👧', '\u00a0', '\u3000', '\u180e', '\u2028', '\u0085', '\ufeff', '\u200b', '\0', '\u{1f1e8}\u{1f1ed}',
];

function random_texts() {
  const seed = 20240607;
  const random = random_source(seed);
  const texts = [];
  for (let i = 0; i < 600; ++i) {
    let text = '';
    const n = 1 + random.below(60);
    const kind = i % 3;
    for (let k = 0; k < n; ++k) {
      if (kind === 0) text += any_code_point(random);
      else if (kind === 1) text += fragments[random.below(fragments.length)];
      else text += random.below(4) ? fragments[random.below(fragments.length)] : any_code_point(random);
    }
    texts.push({ name: `random seed ${seed} #${i}`, text });
  }
  return texts;
}

// Long pieces without a break, and every code point of the planes in use between a letter, a space, a
// digit and a line end, so that each class border is crossed.
function generated_texts() {
  const random = random_source(7);
  const letters = Array.from({ length: 30000 }, () => String.fromCharCode(97 + random.below(26))).join('');
  const texts = [
    { name: 'generated: 20,000 a', text: 'a'.repeat(20000) },
    { name: 'generated: 30,000 random letters', text: letters },
    { name: 'generated: 5,000 spaces and a letter', text: `${' '.repeat(5000)}x` },
    { name: 'generated: 5,000 line ends', text: '\n'.repeat(5000) },
    { name: 'generated: 10,000 digits', text: '31415926535'.repeat(909) },
    { name: 'generated: emoji line', text: '😀👩\u200d👩\u200d👧'.repeat(500) },
    { name: 'generated: 4,000 punctuation', text: '=-'.repeat(1000) + '*'.repeat(2000) },
    { name: 'generated: ideographs', text: '漢字日本語中文'.repeat(700) },
  ];
  for (let start = 0; start < 0x110000; start += 0x2000) {
    if (start >= 0x40000 && start < 0xe0000) continue;  // unassigned
    let text = '';
    for (let point = start; point < start + 0x2000; ++point) {
      if (point < 0xd800 || point > 0xdfff) text += `a${String.fromCodePoint(point)}1 `;
    }
    texts.push({ name: `generated: code points from ${start.toString(16)}`, text });
  }
  // What may follow an apostrophe: case folding is the regex library's own.
  for (const [before, after] of [['x\'', ' '], ['x\'', 'e '], ['x\'r', ' '], ['x\'l', ' ']]) {
    let text = '';
    for (let point = 0; point < 0x3000; ++point) text += `${before}${String.fromCodePoint(point)}${after}`;
    texts.push({ name: `generated: ${before}?${after}`, text });
  }
  return texts;
}

function corpus_texts() {
  const names = fs.readdirSync(corpus_dir).sort();
  return names.map((name) => ({ name, text: fs.readFileSync(path.join(corpus_dir, name), 'utf8') }));
}

// The library turns spellings of special tokens in any text into special ids, which our encoder never
// does to plain text. For a text with such spellings it is asked with those tokens removed.
function without_added_tokens(file) {
  const json = JSON.parse(fs.readFileSync(file, 'utf8'));
  json.added_tokens = [];
  json.post_processor = null;
  return oracle_from_json(JSON.stringify(json));
}

const texts = [...corpus_texts(), ...random_texts(), ...generated_texts()];
const tokenizers = [];
for (const file of tokenizer_files) {
  const spellings = JSON.parse(fs.readFileSync(file, 'utf8')).added_tokens.map((token) => token.content);
  const whole = oracle_from_file(file);
  const plain = without_added_tokens(file);
  const encoded = [];
  for (const { name, text } of texts) {
    const spells_special = spellings.some((spelling) => text.includes(spelling));
    encoded.push({ name, text, ids: await oracle_ids(spells_special ? plain : whole, text) });
  }
  tokenizers.push({ file, texts: encoded });
}
fs.writeFileSync(process.argv[2], JSON.stringify({ tokenizers }));
console.log(`${texts.length} texts, ${tokenizers.length} tokenizers`);
