"""Puts a trained checkpoint and its golden outputs into the project's tree. usage: install.py RESULTS [ROOT]

RESULTS is the folder that assemble.py wrote. The card and the corpus manifest in the tree are left as they are."""
import hashlib
import json
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    results = sys.argv[1]
    root = sys.argv[2] if len(sys.argv) > 2 else os.path.dirname(os.path.dirname(HERE))
    source, model = os.path.join(results, "pocket-gptq-int4"), os.path.join(root, "engine", "models", "pocket")
    names = sorted(os.listdir(source))
    sums = []
    for name in names:
        shutil.copyfile(os.path.join(source, name), os.path.join(model, name))
        with open(os.path.join(model, name), "rb") as f:
            sums.append("%s  %s\n" % (hashlib.sha256(f.read()).hexdigest(), name))
    with open(os.path.join(model, "checksums.sha256"), "w") as f:
        f.writelines(sums)
    shutil.copyfile(os.path.join(results, "golden_int4.json"), os.path.join(root, "tests/golden/model/pocket.json"))
    with open(os.path.join(results, "golden_int4.json")) as f:
        short = next(p for p in json.load(f)["prompts"] if p["name"] == "plain_short")
    print("installed:", ", ".join(names))
    print("tests/e2e/embedding/embedding_test.cmake wants the beginning of:", json.dumps(short["greedy_text"]))


if __name__ == "__main__":
    main()
