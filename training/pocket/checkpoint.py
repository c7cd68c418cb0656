"""Checkpoint folders in Hugging Face's layout, and the parts in which results travel."""
import glob
import hashlib
import json
import os
import shutil
import tarfile
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import safetensors_io
from common import TOKENIZER, WORK, hf_config
from quantize import GROUP
from tokenizer import BOS, EOS, EOT, PAD

PART_BYTES, CALL_BYTES, CALL_FILES = 15 << 20, 61 << 20, 8  # what one fetching call may bring back
QUANTIZATION = dict(bits=4, group_size=GROUP, desc_act=False, sym=True, damp_percent=0.01, true_sequential=True,
                    static_groups=False, quant_method="gptq", checkpoint_format="gptq")
BEGIN = "<|begin_of_text|>"
PROMPTS = dict(
    fim=dict(prefix="<|fim_prefix|>", suffix="<|fim_suffix|>", middle="<|fim_middle|>", pad="<|fim_pad|>",
             file_separator="<|file_sep|>", repository="<|repo_name|>",
             psm=BEGIN + "<|file_sep|>{path}\n<|fim_prefix|>{prefix}<|fim_suffix|>{suffix}<|fim_middle|>",
             spm=BEGIN + "<|file_sep|>{path}\n<|fim_suffix|>{suffix}<|fim_prefix|>{prefix}<|fim_middle|>",
             cross_file=BEGIN + "<|repo_name|>{repository}\n<|file_sep|>{other path}\n{other text}"
             "<|file_sep|>{path}\n<|fim_suffix|>{suffix}<|fim_prefix|>{prefix}<|fim_middle|>",
             stop=["<|end_of_text|>", "<|eot_id|>", "<|fim_pad|>", "<|file_sep|>"],
             note="path header may be left out; each of path, texts, prefix and suffix is encoded on its own, so a "
             "cursor inside a word is fine; spm keeps the key/value cache while the user types; other files may be "
             "several, each whole or some of its lines"),
    chat=dict(explain="Explain this code:\n```{language}\n{code}\n```"))


def _json(value, *file, indent=2):
    with open(os.path.join(*file), "w") as f:
        json.dump(value, f, indent=indent)


def write(folder, tensors, dtype, quantized=False):
    os.makedirs(folder, exist_ok=True)
    config = hf_config(dtype)
    if quantized:
        config["quantization_config"] = QUANTIZATION
        _json(QUANTIZATION, folder, "quantize_config.json")
    _json(config, folder, "config.json")
    _json(dict(bos_token_id=BOS, eos_token_id=[EOS, EOT], pad_token_id=PAD, do_sample=False, max_new_tokens=64),
          folder, "generation_config.json")
    _json(PROMPTS, folder, "pocket.json", indent=1)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(os.path.join(TOKENIZER, name), folder)
    safetensors_io.save(folder + "/model.safetensors", tensors)


def _planes(raw):
    """bf16 bytes: high and low bytes apart, each deflated in slices (exponents shrink well, mantissas do not)."""
    a, slices = np.frombuffer(raw, np.uint8), []
    for plane in (1, 0):
        b = a[plane::2].tobytes()
        slices += [b[k:k + (4 << 20)] for k in range(0, len(b), 4 << 20)]
    with ThreadPoolExecutor(12) as pool:
        packed = list(pool.map(lambda b: zlib.compress(b, 6), slices))
    head = json.dumps(dict(n=len(raw), slices=[len(x) for x in packed])).encode()
    return len(head).to_bytes(8, "little") + head + b"".join(packed)


def _split(blob, name, folder):
    names = []
    for k in range(0, len(blob), PART_BYTES):
        names.append("%s.p%02d" % (name, k // PART_BYTES))
        with open(os.path.join(folder, names[-1]), "wb") as f:
            f.write(blob[k:k + PART_BYTES])
    return names


def _read(file):
    with open(file, "rb") as f:
        return f.read()


def pack(results, with_bf16):
    """Splits the checkpoints under `results` into WORK/parts, with meta.tar.gz for all small files; parts/calls.txt says
    which part travels in which call."""
    folder = os.path.join(WORK, "parts")
    os.makedirs(folder, exist_ok=True)
    index = {}
    for name, short in (("pocket-gptq-int4", "int4"), ("pocket-int8-head", "head")) + ((("pocket-bf16", "bf16"),) if with_bf16 else ()):
        file = "%s/model.safetensors" % name
        if not os.path.exists(os.path.join(results, file)):
            continue
        data = _read(os.path.join(results, file))
        blob = data
        if short == "bf16":
            n = 8 + int.from_bytes(data[:8], "little")
            blob = n.to_bytes(8, "little") + data[:n] + _planes(data[n:])
        index[file] = dict(parts=_split(blob, short, folder), coding="planes" if short == "bf16" else "raw",
                           sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
    _json(index, results, "parts.json", indent=1)
    with tarfile.open(os.path.join(folder, "meta.tar.gz.tmp"), "w:gz") as tar:
        for file in sorted(glob.glob(results + "/*/*.json") + glob.glob(results + "/*.json*")):
            tar.add(file, os.path.relpath(file, results))
        for file in ("train.jsonl", "pipeline.log", "device_manifest.tsv"):
            if os.path.exists(os.path.join(WORK, file)):
                tar.add(os.path.join(WORK, file), file)
    os.replace(os.path.join(folder, "meta.tar.gz.tmp"), os.path.join(folder, "meta.tar.gz"))
    calls, size = [[]], 0
    for part in ["meta.tar.gz"] + [p for entry in index.values() for p in entry["parts"]]:
        n = os.path.getsize(os.path.join(folder, part))
        if calls[-1] and (size + n > CALL_BYTES or len(calls[-1]) >= CALL_FILES - 1):  # the log is a file, too
            calls.append([])
            size = 0
        calls[-1].append(part)
        size += n
    with open(os.path.join(folder, "calls.txt.tmp"), "w") as f:
        f.write("".join(" ".join(c) + "\n" for c in calls))
    os.replace(os.path.join(folder, "calls.txt.tmp"), os.path.join(folder, "calls.txt"))
    return calls
