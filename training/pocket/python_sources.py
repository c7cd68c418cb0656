"""The Python sources (and CUDA and C++ headers) of the machine's own packages, where their licence is permissive."""
import glob
import hashlib
import os
import re
import sys
import sysconfig
from collections import Counter

from common import log

PERMISSIVE = re.compile(r"\b(MIT|BSD|Apache|PSF|Python Software Foundation|ISC|Zlib|HPND|Unlicense|0BSD|CC0)\b", re.I)
NOT_PERMISSIVE = re.compile(r"GPL|General Public|MPL|Mozilla|Proprietary|NVIDIA|Creative Commons|CC-BY", re.I)
# Packages whose metadata do not name the licence.
KNOWN = dict(torch="BSD-3-Clause", torchgen="BSD-3-Clause", functorch="BSD-3-Clause", transformers="Apache-2.0",
             sympy="BSD-3-Clause", mpmath="BSD-3-Clause", numpy="BSD-3-Clause", scipy="BSD-3-Clause",
             pandas="BSD-3-Clause", sklearn="BSD-3-Clause", skimage="BSD-3-Clause", statsmodels="BSD-3-Clause",
             networkx="BSD-3-Clause", jax="Apache-2.0", flax="Apache-2.0", optax="Apache-2.0", onnx="Apache-2.0",
             matplotlib="matplotlib (PSF style)", pygments="BSD-2-Clause", setuptools="MIT",
             torchvision="BSD-3-Clause", torchaudio="BSD-2-Clause", timm="Apache-2.0", peft="Apache-2.0",
             accelerate="Apache-2.0", xarray="Apache-2.0", numba="BSD-2-Clause", aiohttp="Apache-2.0", cupy="MIT",
             lightning="Apache-2.0", torch_geometric="MIT", onnxscript="MIT")
SKIPPED = re.compile(r"(^|/)(nvidia|triton/backends|testdata|test_data|locale|_vendor|vendored|node_modules|__pycache__)(/|$)")
STDLIB_SKIPPED = re.compile(
    r"(^|/)(site-packages|dist-packages|test|tests|idlelib|__pycache__|lib2to3|ensurepip|pydoc_data|encodings)(/|$)")
TEST = re.compile(r"(^|/)(tests?|testing|benchmarks?)(/|$)|(^|/)test_[^/]*\.py$")
FOREIGN_HEADER = re.compile(r"ops/\w+\.h$|third_party|_cuda_dispatch|_cpu_dispatch|nvtx|_redist")


def _licence(folder):
    """Name, version and licence of one *.dist-info folder."""
    with open(folder + "/METADATA", encoding="utf8", errors="replace") as f:
        head = f.read().split("\n\n", 1)[0]
    field = lambda key: re.findall(r"^%s: (.*)$" % key, head, re.M)
    words = field("License-Expression") + [x[:80] for x in field("License")]
    words += [c.split("::")[-1].strip() for c in field("Classifier") if c.startswith("License")]
    licence = " / ".join(w for w in words if w)
    for file in [] if licence else sorted(glob.glob(folder + "/**/LICEN*", recursive=True)):
        if os.path.isfile(file):
            with open(file, errors="replace") as f:
                text = f.read(2500)
            for sign, name in (("Apache License", "Apache"), ("Redistribution and use", "BSD"),
                               ("Permission is hereby granted", "MIT")):
                if sign in text and not licence:
                    licence = "file: " + name
    return (field("Name") or [os.path.basename(folder)])[0], (field("Version") or [""])[0], licence


def _licences(site):
    """Top-level folder or file -> (distribution, version, licence), from the installed metadata."""
    out = {}
    for folder in glob.glob(site + "/*.dist-info"):
        try:
            found, tops = _licence(folder), set()
            with open(folder + "/RECORD", encoding="utf8", errors="replace") as f:
                for line in f:
                    top = line.split(",", 1)[0].split("/")[0]
                    if not top.startswith(("..", "__pycache__")) and not top.endswith(".dist-info"):
                        tops.add(top)
        except OSError:
            continue
        for top in tops:
            out.setdefault(top, found)
    return out


def _language(folder, top, name):
    if name.endswith(".py"):
        return "python"
    if name.endswith((".cu", ".cuh")):
        language = "cuda"
    elif (name.endswith(".h") and "/include/" in "/" + folder + "/" and top in ("torch", "cupy", "pybind11", "nanobind")) \
            or (name.endswith(".hpp") and top == "cupy"):
        language = "cpp"
    else:
        return None
    return None if FOREIGN_HEADER.search(folder + "/" + name) else language


def _site_files(site, licences, refused):
    """(file, relative path, language, top-level name, licence entry) of every source that may be used."""
    for folder, folders, names in os.walk(site):
        rel = os.path.relpath(folder, site)
        if SKIPPED.search(rel) or rel.endswith(".dist-info"):
            folders[:] = []
            continue
        top = rel.split("/")[0]
        for name in names:
            key = name if rel == "." else top
            language = _language(rel, top, name)
            if not language:
                continue
            found = licences.get(key)
            if (found is None or not found[2]) and key in KNOWN:
                found = (key, found[1] if found else "", KNOWN[key] + " (known)")
            if found is None or not PERMISSIVE.search(found[2]) or NOT_PERMISSIVE.search(found[2]):
                refused[key if found is None else "%s [%s]" % (found[0], found[2][:50])] += 1
                continue
            path = name if rel == "." else rel + "/" + name
            if TEST.search(path) and int(hashlib.md5(path.encode()).hexdigest()[:4], 16) > .30 * 65535:
                continue  # seven of ten tests: they are many and alike
            yield folder + "/" + name, path, language, key, found


def find():
    """([(file, relative path, language)], top-level name -> (distribution, version, licence))."""
    sites, jobs, manifest, refused = [], [], {}, Counter()
    paths = sysconfig.get_paths()
    for p in [paths["purelib"], paths["platlib"]] + [x for x in sys.path if x.endswith(("site-packages", "dist-packages"))]:
        p = os.path.realpath(p)
        if os.path.isdir(p) and p not in sites:
            sites.append(p)
    for site in sites:
        for file, path, language, key, found in _site_files(site, _licences(site), refused):
            jobs.append((file, path, language))
            manifest[key] = found
    std = os.path.realpath(paths["stdlib"])
    for folder, folders, names in os.walk(std):
        rel = os.path.relpath(folder, std)
        if STDLIB_SKIPPED.search(rel):
            folders[:] = []
            continue
        jobs += [(folder + "/" + n, n if rel == "." else rel + "/" + n, "python") for n in names if n.endswith(".py")]
    log("python sources: %d candidate files in %s" % (len(jobs), sites + [std]))
    if refused:
        log("left out for their licence:", ", ".join("%s x%d" % x for x in refused.most_common(14)))
    return jobs, manifest
