"""Makes a full-precision checkpoint out of a GPTQ one, to try quantisers on where no trained weights in full precision are
at hand: each weight (q - 8) s gets a random share of its own step, between -s/2 and s/2. What comes out is a continuous
model near the trained one, somewhat worse than it. Figures on it compare quantisers with each other; they are not those of
the model that was trained.

    python3 -B tests/bench/dithered_model.py engine/models/pocket /tmp/dithered [SEED]

Symmetric GPTQ without desc_act only, as the pocket model is. Takes a minute or two: plain Python."""
import array
import json
import pathlib
import random
import shutil
import struct
import sys


def half_values(raw):
    return struct.unpack('<%de' % (len(raw) // 2), raw)


def dithered(qweight, scales, k, n, group, rand):
    """[n, k] floats from qweight [k / 8, n] and scales [k / group, n]."""
    words = array.array('I', qweight)
    steps = half_values(scales)
    out = array.array('f', bytes(4 * n * k))
    for row in range(k // 8):
        line = words[row * n:(row + 1) * n]
        step = steps[row * 8 // group * n:]
        for nibble in range(8):
            shift, column = 4 * nibble, 8 * row + nibble
            out[column::k] = array.array(
                'f', [((w >> shift & 15) - 8.5 + rand()) * s for w, s in zip(line, step)])
    return out.tobytes()


def main(source, target, seed=1):
    source, target = pathlib.Path(source), pathlib.Path(target)
    target.mkdir(parents=True, exist_ok=True)
    rand = random.Random(int(seed)).random
    blob = (source / 'model.safetensors').read_bytes()
    length = struct.unpack('<Q', blob[:8])[0]
    header = json.loads(blob[8:8 + length])
    header.pop('__metadata__', None)
    group = json.loads((source / 'quantize_config.json').read_text())['group_size']

    def data(name):
        begin, end = header[name]['data_offsets']
        return blob[8 + length + begin:8 + length + end]

    tensors = {}
    for name, entry in header.items():
        base, _, part = name.rpartition('.')
        if part == 'qweight':
            k, n = entry['shape'][0] * 8, entry['shape'][1]
            tensors[base + '.weight'] = ('F32', [n, k], dithered(data(name), data(base + '.scales'), k, n, group, rand))
        elif part not in ('qzeros', 'scales', 'g_idx'):
            tensors[name] = (entry['dtype'], entry['shape'], data(name))
    offset, own = 0, {}
    for name, (dtype, shape, raw) in tensors.items():
        own[name] = {'dtype': dtype, 'shape': shape, 'data_offsets': [offset, offset + len(raw)]}
        offset += len(raw)
    text = json.dumps(own).encode()
    with open(target / 'model.safetensors', 'wb') as out:
        out.write(struct.pack('<Q', len(text)) + text)
        for _, _, raw in tensors.values():
            out.write(raw)
    config = json.loads((source / 'config.json').read_text())
    config.pop('quantization_config', None)
    (target / 'config.json').write_text(json.dumps(config, indent=2))
    for name in ('generation_config.json', 'pocket.json', 'tokenizer.json', 'tokenizer_config.json'):
        if (source / name).exists():
            shutil.copyfile(source / name, target / name)


if __name__ == '__main__':
    main(*sys.argv[1:])
