"""A prepared corpus of the project's own sources in a temporary work folder, for the tests of training/pocket.

Import this first: it points the program at the work folder and at its toy sizes."""
import os
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WORK = tempfile.TemporaryDirectory(prefix="pocket-test-")
os.environ.update(PK_WORK=WORK.name, PK_TOY="1", PYTHONHASHSEED="0")
sys.path.insert(0, os.path.join(ROOT, "training", "pocket"))

try:
    import numpy  # noqa: F401
except ImportError:
    print("numpy is not installed")
    sys.exit(77)

LANGUAGES = {"cpp": ("engine", (".cpp", ".h")), "python": ("training", (".py",)), "c": ("kernels", (".h",))}


def prepare():
    """Writes the sources as unpacked archives and indexes them, as prepare.py does with the real ones."""
    import prepare as step
    from common import LANGUAGES as ALL
    os.makedirs(step.RAW, exist_ok=True)
    for language, (folder, endings) in LANGUAGES.items():
        with open(os.path.join(step.RAW, language + ".0"), "wb") as out:
            for top, folders, names in os.walk(os.path.join(ROOT, folder)):
                folders.sort()
                for name in sorted(names):
                    full = os.path.join(top, name)
                    if name.endswith(endings) and os.path.getsize(full) > 600:
                        with open(full, "rb") as f:
                            rel = os.path.relpath(full, ROOT)
                            out.write(("incipit\x01%s" % rel).encode() + b"\0" + f.read() + b"\0")
    for language in ALL:
        step.write_language((language, []))
    lengths, ids = zip(*(step.chats_of((language, 0, 1)) for language in LANGUAGES))
    lengths = [n for part in lengths for n in part]
    numpy.save(step.path("data", "chat.ids.npy"), numpy.concatenate(ids))
    numpy.save(step.path("data", "chat.offsets.npy"), numpy.concatenate([[0], numpy.cumsum(lengths)]).astype(numpy.int64))
    with open(step.path("prepared"), "w") as f:
        f.write("0\n")
    return lengths
