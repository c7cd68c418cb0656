"""A prepared corpus of the project's own sources in a temporary work folder, for the tests of training/pocket.

Import this first: it points the program at the work folder and at its toy sizes."""
import hashlib
import importlib.util
import os
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WORK = tempfile.TemporaryDirectory(prefix="pocket-test-")
os.environ.update(PK_WORK=WORK.name, PK_TOY="1", PYTHONHASHSEED="0")
sys.path.insert(0, os.path.join(ROOT, "training", "pocket"))


def need(*modules):
    """Skips the whole test, saying so, where one of these modules is not installed (77: SKIP_RETURN_CODE)."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            print("skipped: %s has no module %s (scripts/setup.sh installs it for /usr/bin/python3)" % (sys.executable, module))
            sys.exit(77)


need("numpy")
import numpy  # noqa: E402

LANGUAGES = {"cpp": ("engine", (".cpp", ".h")), "python": ("training", (".py",)), "c": ("kernels", (".h",))}
HIDDEN_WORD = "never_to_be_drawn"  # stands in one file of each language, which is held out, and nowhere else


def sources(folder, endings):
    """(path in the tree, bytes) of the project's files of some endings."""
    for top, folders, names in os.walk(os.path.join(ROOT, folder)):
        folders.sort()
        for name in sorted(names):
            full = os.path.join(top, name)
            if name.endswith(endings) and os.path.getsize(full) > 600:
                with open(full, "rb") as f:
                    yield os.path.relpath(full, ROOT), f.read()


def held_out_file(is_held, language):
    """A file whose name is_held() takes for a held-out one: name, and a text full of HIDDEN_WORD."""
    name = next(n for n in (b"incipit\x01engine/hidden_%d" % k for k in range(10_000)) if is_held(language, n))
    lines = ("int %s_%s = %d;" % (HIDDEN_WORD, hashlib.md5(b"%d" % k).hexdigest()[:6], k) for k in range(60))
    return name, "\n".join(lines).encode() + b"\n"


def prepare():
    """Writes the sources as unpacked archives and indexes them, as prepare.py does with the real ones."""
    import prepare as step
    from common import LANGUAGES as ALL
    os.makedirs(step.RAW, exist_ok=True)
    for language, (folder, endings) in LANGUAGES.items():
        files = [("incipit\x01" + rel).encode() + b"\0" + text for rel, text in sources(folder, endings)]
        files.append(b"\0".join(held_out_file(step.is_held, language)))
        with open(os.path.join(step.RAW, language + ".0"), "wb") as out:
            out.writelines(f + b"\0" for f in files)
    for language in ALL:
        step.write_language((language, []))
    lengths, ids = zip(*(step.chats_of((language, 0, 1)) for language in LANGUAGES))
    lengths = [n for part in lengths for n in part]
    numpy.save(step.path("data", "chat.ids.npy"), numpy.concatenate(ids))
    numpy.save(step.path("data", "chat.offsets.npy"), numpy.concatenate([[0], numpy.cumsum(lengths)]).astype(numpy.int64))
    with open(step.path("prepared"), "w") as f:
        f.write("0\n")
    return lengths
