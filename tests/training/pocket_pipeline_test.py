"""The whole way at toy size: gather.py, run.sh (prepare, train, export), assemble.py, install.py.

usage: pocket_pipeline_test.py FOLDER. What exported_model_test.cpp reads stays in it."""
import hashlib
import json
import os
import shutil
import subprocess
import sys
import unittest

FOLDER = os.path.abspath(sys.argv.pop(1))
shutil.rmtree(FOLDER, ignore_errors=True)  # before anything is skipped: an older model must not be taken for this one

import toy_corpus

toy_corpus.need("torch")
for program in ("7za", "dpkg-deb"):
    if not shutil.which(program):
        print("skipped: %s is not installed" % program)
        sys.exit(77)

import numpy as np

import prepare
import safetensors_io
import toy_packages
from common import CONFIG

STEPS = 8
SOURCES = {"python": ("training", (".py",)), "cpp": ("engine", (".cpp", ".h")),
           "javascript": ("tests/oracle", (".mjs",)), "lua": ("editors", (".lua",)), "shell": ("scripts", (".sh",))}
PROGRAM = os.path.join(toy_corpus.ROOT, "training", "pocket")


def place(*parts):
    return os.path.join(FOLDER, *parts)


def packages():
    """The project's own sources, at most 30 files a language; one of each is held out by the name it is given."""
    for language, (folder, endings) in SOURCES.items():
        files = dict(list(toy_corpus.sources(folder, endings))[:30])
        renamed = sorted(files, key=lambda name: len(files[name]))[len(files) // 2]
        ending = os.path.splitext(renamed)[1]
        names = ("src/held_%d%s" % (k, ending) for k in range(10_000))
        held = next(n for n in names if prepare.is_held(language, b"%s-sources\x01%s" % (language.encode(), n.encode())))
        files[held] = files.pop(renamed)
        yield "npm package ", language + "-sources", files


def run(*command, **more):
    environment = dict(
        os.environ, PK_WORK=place("work"), OUT=place("fetched"), PK_CORPUS=place("corpus"), PK_TOY="1", PK_PYTHON=sys.executable,
        PK_MAX_STEPS=str(STEPS), PK_STEP_TOKENS="512", PK_STEP_TOKENS_LATE="1024", PK_MICRO_TOKENS="512", PK_THREADS="1",
        PK_TORCH_THREADS="1", PK_PY_FILES="60", PK_EVAL_S="0", PK_EVAL_ROWS="1", PK_CALIBRATION="4", PK_SAY_S="0", PK_CKPT_S="0", PK_LIMIT="500", **more)
    environment.pop("PK_LIBRARY", None)  # it is compiled anew
    done = subprocess.run(command, cwd=PROGRAM, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise AssertionError("%s ended with %d:\n%s%s" % (" ".join(command), done.returncode, done.stdout[-6000:], done.stderr[-3000:]))
    return done.stdout


def python(program, *arguments, **more):
    return run(sys.executable, os.path.join(PROGRAM, program), *arguments, **more)


def load(*parts):
    with open(place(*parts)) as f:
        return json.load(f)


class Pipeline(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        os.makedirs(place("root/engine/models/pocket"))
        os.makedirs(place("root/tests/golden/model"))
        toy_packages.write(list(packages()), place("packages"), place("manifest.tsv"))
        python("gather.py", place("manifest.tsv"), place("corpus"), "--download", place("packages"))
        cls.said = run("bash", "run.sh", "start")
        calls = int(run("bash", "run.sh", "fetch", "1").split("calls: ")[1].split()[0])
        for k in range(2, calls + 1):
            run("bash", "run.sh", "fetch", str(k))
        cls.assembled = python("assemble.py", place("results"), place("fetched"))
        cls.installed = python("install.py", place("results"), place("root"))
        with open(place("work", "pipeline.log")) as f:
            cls.log = f.read()
        print(*(line for line in cls.log.splitlines() if "prepared in" in line or " trained " in line or "exported in" in line), sep="\n")
        for big in ("work/raw", "work/data", "packages", "corpus"):
            shutil.rmtree(place(big), ignore_errors=True)

    def test_ran_to_its_end(self):
        self.assertIn("== done", self.said)
        for bad in ("FAILED", "did not end well", "LEFT OUT", "Traceback", "ended early"):
            self.assertNotIn(bad, self.log)

    def test_trained_as_many_steps_as_asked_and_reports_them(self):
        report = load("results", "report.json")
        self.assertEqual((report["step"], report["config"]), (STEPS, CONFIG))
        with open(place("results", "train.jsonl")) as f:
            notes = [json.loads(line) for line in f]
        held = [mean(n["held"].values()) for n in notes if "held" in n]
        self.assertEqual((notes[-1]["step"], notes[-1].get("final")), (STEPS, True))
        self.assertGreater(len(held), 3)
        self.assertLess(held[-1], held[0] - .5)  # nats: from no idea at all to what is frequent
        self.assertEqual(set(notes[-1]["held"]), set(SOURCES))
        self.assertLess(notes[-1]["shares"]["padding"], .1)
        bf16 = report["held_out"]["bf16"]
        self.assertEqual(set(bf16), set(SOURCES))
        for label in ("int4", "rtn int4"):  # the same model but for rounding, on the same files
            self.assertAlmostEqual(mean(report["held_out"][label].values()), mean(bf16.values()), delta=.1)
            self.assertNotEqual(report["held_out"][label], bf16)
        for label, found in report["holes"].items():
            self.assertEqual(set(found), set(SOURCES), label)
            self.assertTrue(all(v["holes"] > 0 for v in found.values()), label)
        self.assertTrue(report["int4"]["loss_2048"])

    def test_what_was_fetched_is_what_was_made(self):
        self.assertEqual(self.assembled.count("checksum agrees"), 3)
        self.assertNotIn("DIFFERS", self.assembled)
        self.assertNotIn("missing", self.assembled)
        for name in ("pocket-gptq-int4", "pocket-int8-head", "pocket-bf16"):
            with open(place("work/results", name, "model.safetensors"), "rb") as a, \
                    open(place("results", name, "model.safetensors"), "rb") as b:
                self.assertEqual(a.read(), b.read(), name)

    def test_installs_a_checkpoint_in_hugging_faces_layout(self):
        model = place("root/engine/models/pocket")
        with open(os.path.join(model, "checksums.sha256")) as f:
            sums = dict(reversed(line.split()) for line in f)
        self.assertEqual(set(sums) | {"checksums.sha256"}, set(os.listdir(model)))
        for name, digest in sums.items():
            with open(os.path.join(model, name), "rb") as f:
                self.assertEqual(hashlib.sha256(f.read()).hexdigest(), digest, name)
        config = load("root/engine/models/pocket/config.json")
        self.assertEqual(config["quantization_config"]["quant_method"], "gptq")
        self.assertEqual((config["hidden_size"], config["num_hidden_layers"]), (CONFIG["hidden"], CONFIG["layers"]))
        tensors = safetensors_io.load(os.path.join(model, "model.safetensors"))
        linears = {k.rsplit(".", 1)[0] for k in tensors if k.endswith("qweight")}
        self.assertEqual(len(linears), 7 * CONFIG["layers"])
        self.assertEqual(tensors["model.embed_tokens.weight"].shape, (CONFIG["vocab"], CONFIG["hidden"]))

    def test_the_exported_weights_are_those_of_the_checkpoint(self):
        import torch
        saved = torch.load(place("work/ckpt/final.pt"), map_location="cpu")["model"]
        bf16 = safetensors_io.load(place("results/pocket-bf16/model.safetensors"))
        self.assertEqual(set(saved), set(bf16))
        for name, value in saved.items():
            found = safetensors_io.from_bf16(bf16[name])
            # bf16 keeps 8 bits: half a unit in the last place, of the value
            self.assertTrue((np.abs(found - value.numpy()) <= np.abs(value.numpy()) * 2 ** -8).all(), name)

    def test_says_who_made_the_golden_outputs(self):
        golden = load("root/tests/golden/model/pocket.json")
        self.assertEqual(len(golden["prompts"]), 8)
        try:
            import transformers  # noqa: F401
        except ImportError:
            print("not checked: the golden outputs are the training program's own, as transformers is not installed")
            self.assertIn("transformers", golden["transformers_error"])
            self.assertEqual({p["source"] for p in golden["prompts"]}, {"own float32 model"})
        else:
            self.assertEqual(golden["transformers_error"], "")
            self.assertLess(golden["largest_difference_to_own_model"], 1e-3)


def mean(values):
    values = list(values)
    return sum(values) / len(values)


if __name__ == "__main__":
    unittest.main()
