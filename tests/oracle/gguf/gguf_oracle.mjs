// Runs the GGUF cases of tests/golden/checkpoints through llama.cpp and compares its logits with the kept ones, those of
// transformers, which checkpoint_golden_test.cpp compares ours with: so the fixtures are what others take them for.
//
//   node gguf_oracle.mjs DIRECTORY
//
// Uses the addon of node-llama-cpp without that package's JavaScript, which wants a newer node than Debian 12 has.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const binaries = path.join(path.dirname(fileURLToPath(import.meta.url)), 'node_modules/@node-llama-cpp/linux-x64/bins/linux-x64');
const kColumnStep = 8; // of position p logits.f32 has the columns p mod 8, + 8, ...

// llama.cpp rounds what a product reads to the type that goes with its weights. Relative root mean square errors: 11 and 8
// bits, uniform; 8 bits of the largest of 32 (of K blocks 256), which is at most sqrt 32 times their root mean square here.
const kHalf = 2 ** -11 / Math.sqrt(3);
const kBfloat = 2 ** -8 / Math.sqrt(3);
const kEightBits = Math.sqrt(32) / 127 / Math.sqrt(12);
const kRounding = { gguf_f16: kHalf, gguf_bf16: kBfloat, gguf_q8_0: kEightBits, gguf_small_blocks: kEightBits, gguf_k_blocks: kEightBits };
const kLayers = { gguf_small_blocks: 2 };

async function open_llama() {
  const llama = createRequire(import.meta.url)(path.join(binaries, 'llama-addon.node'));
  llama.markLoaded();
  llama.setLogger(() => {});
  llama.loadBackends();
  if (llama.getGpuType() === undefined) llama.loadBackends(binaries);
  await llama.init();
  return llama;
}

// Logits of every position, [positions][vocabulary].
async function logits_of(llama, file, tokens) {
  const model = new llama.AddonModel(file, { addonExports: llama, gpuLayers: 0, useMmap: false });
  if (!(await model.init())) throw new Error(`${file}: llama.cpp does not load it`);
  const context = new llama.AddonContext(model, { contextSize: 256, batchSize: 256, sequences: 1, flashAttention: false, threads: 1 });
  if (!(await context.init())) throw new Error(`${file}: llama.cpp makes no context`);
  context.initBatch(tokens.length);
  const rows = context.addToBatch(0, 0, Uint32Array.from(tokens), Uint32Array.from(tokens.keys()));
  await context.decodeBatch();
  const sampler = new llama.AddonSampler(model);
  sampler.applyConfig({ temperature: 0 });
  const all = [];
  for (const row of rows) {
    const [, , , pairs] = await context.sampleToken(row, sampler, false, false, true, false);
    const logits = [];
    for (let i = 0; i < pairs.length; i += 2) logits[pairs[i]] = pairs[i + 1];
    all.push(logits);
  }
  await context.dispose();
  await model.dispose();
  return all;
}

function read_floats(file) {
  const raw = fs.readFileSync(file);
  return Array.from({ length: raw.length / 4 }, (_, i) => raw.readFloatLE(4 * i));
}

// The error of the positions' logits relative to the kept ones, root mean square.
function relative_error(all, kept) {
  let next = 0, error = 0, size = 0;
  all.forEach((logits, position) => {
    for (let c = position % kColumnStep; c < logits.length; c += kColumnStep, ++next) {
      error += (logits[c] - kept[next]) ** 2;
      size += kept[next] ** 2;
    }
  });
  if (next !== kept.length) throw new Error(`want ${kept.length} logits, found ${next}`);
  return Math.sqrt(error / size);
}

const directory = process.argv[2];
const names = fs.readdirSync(directory).filter((name) => name.startsWith('gguf_')).sort();
if (names.join() !== Object.keys(kRounding).sort().join()) throw new Error(`cases: found ${names}`);
const llama = await open_llama();
let failed = false;
for (const name of names) {
  const place = path.join(directory, name);
  const { tokens } = JSON.parse(fs.readFileSync(path.join(place, 'case.json'), 'utf8'));
  const all = await logits_of(llama, path.join(place, 'model.gguf'), tokens);
  const error = relative_error(all, read_floats(path.join(place, 'logits.f32')));
  // A layer rounds four times what its products read, the head once.
  const bound = kRounding[name] * Math.sqrt(4 * (kLayers[name] ?? 1) + 1);
  console.log(`${name}: relative error ${error.toExponential(1)}, bound ${bound.toExponential(1)}`);
  failed ||= !(error <= bound);
}
await llama.dispose();
process.exit(failed ? 1 : 0);
