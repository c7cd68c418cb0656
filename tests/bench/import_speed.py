"""How long `incipit model add` takes for a GPTQ checkpoint of Llama-3-8B's shape, against the disk it reads and writes.

    python3 -B tests/bench/import_speed.py PATH/TO/incipit DIRECTORY [LAYERS]

Makes a checkpoint of random integers in DIRECTORY (5.7 GB with all 32 layers; as many again for the packed file), measures
what the disk under it writes (with fsync) and reads (after its pages were dropped from the page cache), and adds the model
from a cold page cache. Prints seconds, and the rate over the disk's: the bytes read and written at the rates measured,
divided by the time taken. Where others use the machine, too, that rate says little: processor seconds of the command and
the load before it tell how far. DIRECTORY gets an own folder that is removed at the end. Needs no package."""
import json
import os
import pathlib
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
HIDDEN, FFN, KV, VOCAB, GROUP = 4096, 14336, 1024, 128256, 128
BLOCK = os.urandom(1 << 24)


def write_some(file, n_bytes, block):
    while n_bytes > 0:
        part = block[:n_bytes]
        file.write(part)
        n_bytes -= len(part)


def linear(n, k):
    """(part, dtype, shape, block of its bytes): random integers, zero points of 8, one scale."""
    return [('qweight', 'I32', [k // 8, n], BLOCK), ('qzeros', 'I32', [k // GROUP, n // 8], b'\x77' * (1 << 20)),
            ('scales', 'F16', [k // GROUP, n], struct.pack('<e', 0.004) * (1 << 20))]


def tensors(n_layers):
    halves = struct.pack('<4e', 0.01, -0.02, 0.015, -0.005) * (1 << 18)
    ones = struct.pack('<e', 1.0) * HIDDEN
    yield 'model.embed_tokens.weight', 'F16', [VOCAB, HIDDEN], halves
    for layer in range(n_layers):
        base = f'model.layers.{layer}.'
        for name, n, k in (('self_attn.q_proj', HIDDEN, HIDDEN), ('self_attn.k_proj', KV, HIDDEN),
                           ('self_attn.v_proj', KV, HIDDEN), ('self_attn.o_proj', HIDDEN, HIDDEN),
                           ('mlp.gate_proj', FFN, HIDDEN), ('mlp.up_proj', FFN, HIDDEN), ('mlp.down_proj', HIDDEN, FFN)):
            for part, dtype, shape, block in linear(n, k):
                yield f'{base}{name}.{part}', dtype, shape, block
        for name in ('input_layernorm', 'post_attention_layernorm'):
            yield f'{base}{name}.weight', 'F16', [HIDDEN], ones
    yield 'model.norm.weight', 'F16', [HIDDEN], ones
    yield 'lm_head.weight', 'F16', [VOCAB, HIDDEN], halves


def make_checkpoint(path, n_layers):
    path.mkdir()
    shutil.copy(ROOT / 'engine/models/pocket/tokenizer.json', path)
    config = {'architectures': ['LlamaForCausalLM'], 'model_type': 'llama', 'hidden_size': HIDDEN, 'intermediate_size': FFN,
              'num_hidden_layers': n_layers, 'num_attention_heads': 32, 'num_key_value_heads': 8, 'vocab_size': VOCAB,
              'max_position_embeddings': 8192, 'rope_theta': 500000.0, 'rms_norm_eps': 1e-5, 'hidden_act': 'silu',
              'tie_word_embeddings': False, 'bos_token_id': 16373, 'eos_token_id': 16374, 'torch_dtype': 'float16',
              'quantization_config': {'quant_method': 'gptq', 'bits': 4, 'group_size': GROUP, 'desc_act': False, 'sym': True,
                                      'checkpoint_format': 'gptq'}}
    (path / 'config.json').write_text(json.dumps(config))
    header, end = {}, 0
    for name, dtype, shape, _ in tensors(n_layers):
        size = shape[0] * (shape[1] if len(shape) > 1 else 1) * (4 if dtype == 'I32' else 2)
        header[name] = {'dtype': dtype, 'shape': shape, 'data_offsets': [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    with open(path / 'model.safetensors', 'wb') as file:
        file.write(struct.pack('<Q', len(text)) + text)
        for name, _, _, block in tensors(n_layers):
            begin, stop = header[name]['data_offsets']
            write_some(file, stop - begin, block)
    drop(path / 'model.safetensors')


def drop(path):
    with open(path, 'rb') as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def disk_rates(directory):
    """Bytes a second (write, read) of one file of 2 GiB."""
    path, n_bytes = directory / 'rate', 1 << 31
    begin = time.perf_counter()
    with open(path, 'wb') as file:
        write_some(file, n_bytes, BLOCK)
        file.flush()
        os.fsync(file.fileno())
    written = time.perf_counter() - begin
    drop(path)
    begin = time.perf_counter()
    with open(path, 'rb', buffering=0) as file:
        while file.readinto(bytearray(1 << 24)):
            pass
    read = time.perf_counter() - begin
    path.unlink()
    return n_bytes / written, n_bytes / read


def main(binary, parent, n_layers=32):
    with tempfile.TemporaryDirectory(dir=parent, prefix='import-speed-') as name:
        directory = pathlib.Path(name)
        make_checkpoint(directory / 'source', int(n_layers))
        write_rate, read_rate = disk_rates(directory)
        os.sync()
        load, before = os.getloadavg()[0], resource.getrusage(resource.RUSAGE_CHILDREN)
        begin = time.perf_counter()
        subprocess.run([os.path.abspath(binary), 'model', 'add', directory / 'source', '--name', 'speed'], check=True,
                       stdout=subprocess.DEVNULL, env={**os.environ, 'XDG_DATA_HOME': str(directory / 'data')})
        seconds = time.perf_counter() - begin
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        n_read = (directory / 'source/model.safetensors').stat().st_size
        n_written = sum(p.stat().st_size for p in (directory / 'data').rglob('*') if p.is_file())
        floor = n_read / read_rate + n_written / write_rate
        print(f'disk: writes {write_rate / 1e9:.2f} GB/s, reads {read_rate / 1e9:.2f} GB/s')
        print(f'{n_layers} layers: read {n_read / 1e9:.2f} GB, wrote {n_written / 1e9:.2f} GB in {seconds:.1f} s; '
              f'the disk alone {floor:.1f} s: {floor / seconds:.2f} of its speed (want 0.5)')
        print(f'processor time: user {used.ru_utime - before.ru_utime:.1f} s, system {used.ru_stime - before.ru_stime:.1f} s, '
              f'on {os.cpu_count()} cores with a load of {load:.1f} before')


if __name__ == '__main__':
    if not 3 <= len(sys.argv) <= 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
