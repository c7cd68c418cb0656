#!/usr/bin/env python3
"""Google's own SentencePiece (Debian: python3-sentencepiece) as an oracle for tokenizer.model files.

  sentencepiece_oracle.py train MODEL          makes tests/golden/tokenizer/sentencepiece.model anew
  sentencepiece_oracle.py ids MODEL TEXTS OUT  the ids of every text of TEXTS (what encode_corpus.mjs wrote)

Exits with 77 when the package is not there, which ctest shows as skipped.
"""
import glob
import json
import os
import struct
import sys

SOURCE = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../..'))
SKIPPED = 77

try:
    import sentencepiece
except ImportError:
    # The package belongs to the system's interpreter, which need not be the one that runs this.
    system = '/usr/bin/python3'
    if os.path.realpath(sys.executable) != os.path.realpath(system) and os.path.exists(system):
        os.execv(system, [system, '-B', *sys.argv])
    print('python3-sentencepiece is not installed: nothing compared')
    sys.exit(SKIPPED)


def field(number, payload):
    return bytes([number << 3 | 2, len(payload)]) + payload


def train(model):
    """A vocabulary as Llama 2's: BPE, byte fallback, single digits, runs of spaces, nothing normalised."""
    folders = ('engine', 'kernels', 'lsp')
    paths = sorted(path for folder in folders for kind in ('h', 'cpp')
                   for path in glob.glob(f'{SOURCE}/{folder}/**/*.{kind}', recursive=True) if 'node_modules' not in path)
    paths += sorted(glob.glob(f'{SOURCE}/tests/golden/tokenizer/corpus/*'))
    lines = [line.rstrip('\n') for path in paths for line in open(path, encoding='utf-8', newline='\n')]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=model + '.new', vocab_size=1200, model_type='bpe', byte_fallback=True,
        split_digits=True, normalization_rule_name='identity', remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True, character_coverage=0.9995, num_threads=1, minloglevel=2)
    with open(model + '.new.model', 'rb') as file:
        trained = file.read()
    # CodeLlama's infilling tokens, as ordinary pieces: repeated fields of two messages add up.
    extra = b''.join(field(1, field(1, f'▁<{name}>'.encode()) + b'\x15' + struct.pack('<f', -1e6))
                     for name in ('PRE', 'SUF', 'MID', 'EOT'))
    with open(model, 'wb') as file:
        file.write(trained + extra)
    for left in ('.new.model', '.new.vocab'):
        os.remove(model + left)


def ids(model, texts, out):
    processor = sentencepiece.SentencePieceProcessor(model_file=model)
    with open(texts, encoding='utf-8') as file:
        all_texts = json.load(file)['tokenizers'][0]['texts']
    encoded = [{'name': text['name'], 'text': text['text'], 'ids': processor.encode(text['text'])} for text in all_texts]
    with open(out, 'w', encoding='utf-8') as file:
        json.dump({'version': sentencepiece.__version__, 'file': model, 'texts': encoded}, file)
    print(f'{len(encoded)} texts, SentencePiece {sentencepiece.__version__}')


if sys.argv[1] == 'train':
    train(sys.argv[2])
else:
    ids(*sys.argv[2:5])
