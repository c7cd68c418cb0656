"""Writes tests/golden/checkpoints: small Llama checkpoints in every format that is read, and the logits that Hugging Face's
LlamaForCausalLM (float32, on the CPU) computes from the weights that they stand for. Wants numpy, torch, transformers.

    make_model_goldens.py DIRECTORY            makes all cases; a few seconds
    make_model_goldens.py --numpy DIRECTORY    without torch: logits of plain_llama.py (for trying things; not to be kept)
    make_model_goldens.py --check DIRECTORY    without torch: whether the files there are those that this program makes,
                                               and their logits those of plain_llama.py

A case is a directory: case.json, logits.f32 and files of the checkpoint. What is not a file there the C++ test makes from
the same hashes (hashed_numbers.py): whole weights of the dense cases, embedding, norms and head of the quantised ones.
logits.f32 has, of position p, the columns c with c mod 8 = p mod 8; case.json the log-sum-exp of all columns."""

import argparse
import json
import pathlib
import sys
import tempfile

try:
    import numpy as np
except ImportError:
    sys.exit(77)  # ctest: skipped

import checkpoint_cases as cases
import plain_llama
import quantised_files

COLUMN_STEP = 8
# transformers computes in float32: sums of 256 products of size 1 and logits of size 10 are good to about 1e-5.
CLOSE = 1e-4


def columns_of(logits):
    """[positions, vocabulary / COLUMN_STEP]"""
    return np.stack([row[p % COLUMN_STEP::COLUMN_STEP] for p, row in enumerate(logits)])


def log_sum_exp(logits):
    logits = logits.astype(np.float64)
    top = logits.max(axis=-1)
    return top + np.log(np.exp(logits - top[:, None]).sum(axis=-1))


class Transformers:
    """The model of a case as transformers opens it: from a directory with its config.json."""

    def __init__(self):
        import torch
        import transformers
        self.torch, self.library = torch, transformers
        torch.set_grad_enabled(False)
        transformers.utils.logging.disable_progress_bar()
        self.version = f'transformers {transformers.__version__}, torch {torch.__version__.split("+")[0]}'

    def open(self, case, directory):
        plain = {name: ('F32', array) for name, array in case.weights.items()}
        (directory / 'config.json').write_bytes(cases.json_bytes(case.config))
        (directory / 'model.safetensors').write_bytes(quantised_files.safetensors(plain))
        return self.library.LlamaForCausalLM.from_pretrained(directory, dtype=self.torch.float32,
                                                            attn_implementation='eager').eval()

    def files_and_logits(self, case):
        with tempfile.TemporaryDirectory() as place:
            source, saved = pathlib.Path(place) / 'source', pathlib.Path(place) / 'saved'
            source.mkdir()
            model = self.open(case, source)
            logits = model(self.torch.tensor([cases.tokens_of(case)])).logits[0].numpy()
            if case.kind == 'saved':
                model.to(self.torch.bfloat16).save_pretrained(saved)
                return {path.name: path.read_bytes() for path in saved.iterdir()}, logits
            if case.kind == 'dense':  # the same configuration as transformers writes it
                model.save_pretrained(saved)
                return {'config.transformers.json': (saved / 'config.json').read_bytes()}, logits
        return {}, logits


def facts_of(case):
    return {'kind': case.kind, **case.info, 'tokens': cases.tokens_of(case)}


def write(case, made_by, files, logits, directory):
    place = directory / case.name
    place.mkdir(parents=True, exist_ok=True)
    facts = {**facts_of(case), 'made_by': made_by, 'logsumexp': [round(x, 6) for x in log_sum_exp(logits).tolist()]}
    files = {**case.files, **files, 'logits.f32': columns_of(logits).astype('<f4').tobytes(),
             'case.json': (json.dumps(facts) + '\n').encode()}
    for name, content in files.items():
        (place / name).write_bytes(content)
    return sum(map(len, files.values()))


def make(directory, only_numpy):
    oracle = None if only_numpy else Transformers()
    made_by = 'numpy' if only_numpy else oracle.version
    worst, size = 0.0, 0
    for case in cases.all_cases():
        if only_numpy and case.kind == 'saved':
            continue
        wanted = plain_llama.logits(case.config, case.weights, cases.tokens_of(case))
        files, logits = ({}, wanted) if only_numpy else oracle.files_and_logits(case)
        difference = float(np.abs(logits - wanted).max())
        n_bytes = write(case, made_by, files, logits, directory)
        print(f'{case.name}: {n_bytes} bytes, logits up to {np.abs(logits).max():.1f}, from numpy {difference:.1e}')
        worst, size = max(worst, difference), size + n_bytes
    print(f'all: {size} bytes, largest difference between {made_by} and plain_llama.py {worst:.1e}')
    return [f'logits differ by {worst:.1e}, want at most {CLOSE}'] if worst > CLOSE else []


def check(directory):
    wrong, known = [], set()
    for case in cases.all_cases():
        known.add(case.name)
        place = directory / case.name
        if not place.is_dir():
            wrong.append(f'{case.name}: is missing')
            continue
        wrong += [f'{case.name}/{name}: not what this program makes' for name, content in case.files.items()
                  if not (place / name).is_file() or (place / name).read_bytes() != content]
        facts = json.loads((place / 'case.json').read_text())
        made_by, sums = facts.pop('made_by'), np.array(facts.pop('logsumexp'))
        if facts != facts_of(case) or not made_by.startswith('transformers'):
            wrong.append(f'{case.name}/case.json: not what this program makes')
        logits = plain_llama.logits(case.config, case.weights, cases.tokens_of(case))
        kept = np.frombuffer((place / 'logits.f32').read_bytes(), '<f4').reshape(len(logits), -1)
        difference = max(np.abs(kept - columns_of(logits)).max(), np.abs(sums - log_sum_exp(logits)).max())
        if not difference <= CLOSE:
            wrong.append(f'{case.name}: logits of {made_by} are {difference:.1e} from those of plain_llama.py')
    return wrong + [f'{name}: no such case' for name in sorted({path.name for path in directory.iterdir()} - known)]


if __name__ == '__main__':
    parser = argparse.ArgumentParser()
    parser.add_argument('--numpy', action='store_true')
    parser.add_argument('--check', action='store_true')
    parser.add_argument('directory', type=pathlib.Path)
    arguments = parser.parse_args()
    problems = check(arguments.directory) if arguments.check else make(arguments.directory, arguments.numpy)
    if problems:
        sys.exit('\n'.join(problems))
