#!/usr/bin/env python3
"""Other files that say what a tokenizer file says, for tokenizer_oracle_test.cpp and encode_corpus.mjs. No packages.

  convert_tokenizers.py OUT_DIR TOKENIZER_JSON...

 - of every tokenizer.json (byte-level BPE) tiktoken's ranks, as Meta ships Llama 3's tokenizer.model: NAME.model. That is
   the same vocabulary only where ids follow the order of merges, which is checked.
 - of tests/golden/tokenizer/sentencepiece.model the tokenizer.json that Hugging Face's converter would write, in its two
   spellings: llama2_prepend.json (a normalizer) and llama2_metaspace.json (a pre-tokenizer).
"""
import base64
import json
import os
import struct
import sys

SOURCE = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../..'))
MARK = '▁'


def byte_alphabet():
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in kept]
    return {**{chr(byte): byte for byte in kept}, **{chr(256 + i): byte for i, byte in enumerate(others)}}


def ranks_of(path):
    with open(path, encoding='utf-8') as file:
        model = json.load(file)['model']
    vocabulary, alphabet = model['vocab'], byte_alphabet()
    results = [vocabulary[''.join(merge.split(' ') if isinstance(merge, str) else merge)] for merge in model['merges']]
    if results != sorted(results):
        sys.exit(f'{path}: ids do not follow the order of merges: no ranks say the same')
    ordered = sorted(vocabulary.items(), key=lambda entry: entry[1])
    if [number for _, number in ordered] != list(range(len(ordered))):
        sys.exit(f'{path}: ids with gaps')
    lines = [base64.b64encode(bytes(alphabet[unit] for unit in spelling)) + b' %d\n' % number
             for spelling, number in ordered]
    return b''.join(lines)


def fields(message):
    """(number, value) of a protobuf message; the value is a number or bytes."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
    while at < len(message):
        key = varint()
        kind = key & 7
        if kind == 0:
            value = varint()
        else:
            size = {1: 8, 5: 4}.get(kind) or varint()
            value = message[at:at + size]
            at += size
        yield key >> 3, value


def pieces_of(path):
    with open(path, 'rb') as file:
        model = file.read()
    pieces = []
    for number, value in fields(model):
        if number == 1:
            piece = dict(fields(value))
            pieces.append((piece[1].decode(), struct.unpack('<f', piece.get(2, bytes(4)))[0], piece.get(3, 1)))
    return pieces


def llama2_json(pieces, metaspace):
    """As transformers' convert_slow_tokenizer does: a merge for each split of a piece into two, by score."""
    vocabulary = {spelling: number for number, (spelling, _, _) in enumerate(pieces)}
    merges = []
    for spelling, score, kind in pieces:
        if kind != 1:
            continue
        splits = [(spelling[:at], spelling[at:]) for at in range(1, len(spelling))]
        splits = [(left, right) for left, right in splits if left in vocabulary and right in vocabulary]
        splits.sort(key=lambda split: (vocabulary[split[0]], vocabulary[split[1]]))
        merges += [(score, left, right) for left, right in splits]
    merges.sort(key=lambda merge: -merge[0])
    replace = {'type': 'Replace', 'pattern': {'String': ' '}, 'content': MARK}
    return {
        'version': '1.0',
        'truncation': None,
        'padding': None,
        'added_tokens': [
            {'id': number, 'content': spelling, 'single_word': False, 'lstrip': False, 'rstrip': False, 'normalized': False,
             'special': True} for number, (spelling, _, kind) in enumerate(pieces) if kind in (2, 3)],
        'normalizer': None if metaspace else
        {'type': 'Sequence', 'normalizers': [{'type': 'Prepend', 'prepend': MARK}, replace]},
        'pre_tokenizer': {'type': 'Metaspace', 'replacement': MARK, 'prepend_scheme': 'first', 'split': False}
        if metaspace else None,
        'post_processor': None,
        'decoder': {'type': 'Sequence', 'decoders': [
            {'type': 'Replace', 'pattern': {'String': MARK}, 'content': ' '}, {'type': 'ByteFallback'}, {'type': 'Fuse'},
            {'type': 'Strip', 'content': ' ', 'start': 1, 'stop': 0}]},
        'model': {'type': 'BPE', 'dropout': None, 'unk_token': '<unk>', 'continuing_subword_prefix': None,
                  'end_of_word_suffix': None, 'fuse_unk': True, 'byte_fallback': True, 'ignore_merges': False,
                  'vocab': vocabulary, 'merges': [f'{left} {right}' for _, left, right in merges]},
    }


def main():
    out_dir, *paths = sys.argv[1:]
    os.makedirs(out_dir, exist_ok=True)
    for path in paths:
        name = os.path.basename(os.path.dirname(path))  # "pocket", "models"
        with open(f'{out_dir}/{name}.model', 'wb') as file:
            file.write(ranks_of(path))
    pieces = pieces_of(f'{SOURCE}/tests/golden/tokenizer/sentencepiece.model')
    for name, metaspace in (('prepend', False), ('metaspace', True)):
        with open(f'{out_dir}/llama2_{name}.json', 'w', encoding='utf-8') as file:
            json.dump(llama2_json(pieces, metaspace), file, ensure_ascii=False)


main()
