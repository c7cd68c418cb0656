"""First step: unpack the corpus, add the machine's own Python sources, hold files out, index, collect conversations."""
import glob
import hashlib
import lzma
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor

import numpy as np

import explain
import python_sources
import tokenizer
from common import HERE, LANGUAGES, TOY, WORK, env_float, env_int, log, path
from filters import Duplicates, clean, line_hashes

RAW = os.path.join(WORK, "raw")
PYTHON_BYTES = env_float("PK_PY_MB", 260) * 1e6
HEADER_BYTES, PACKAGE_BYTES = 14e6, 45e6
SELDOM = re.compile(rb"(^|[/\x01])(tests?|testing|testdata|benchmarks?|examples?|samples?|spec)/|_test\.go$|(^|/)test_[^/]*\.py$")


def seven_zip():
    """The unpacker: PK_7Z, or the binary carried beside this program, or the installed one."""
    carried, here = os.path.join(HERE, "7za.xz"), path("7za")
    if os.path.exists(carried):
        with lzma.open(carried) as source, open(here, "wb") as target:
            shutil.copyfileobj(source, target)
        os.chmod(here, 0o755)
        return here
    return os.environ.get("PK_7Z") or shutil.which("7za") or shutil.which("7z") or "7za"


def unpack(job):
    archive, exe = job
    subprocess.run([exe, "x", "-y", "-bd", "-o" + RAW, archive], check=True, stdout=subprocess.DEVNULL)


def read_many(batch):
    out = []
    for file, rel, language in batch:
        try:
            with open(file, "rb") as f:
                found = clean(f.read(), language)
        except OSError:
            continue
        if found:
            out.append((found[0], rel, found[1], found[2], line_hashes(found[1])))
    return out


def read_raw(language, names=None):
    """[(path, text)] of the unpacked archives `language`.N; "repository\\x01path" and text alternate between NULs."""
    out = []
    for file in sorted(glob.glob(os.path.join(RAW, language + ".[0-9a-z]*"))):
        with open(file, "rb") as f:
            parts = f.read().split(b"\0")
        out += [(parts[i], parts[i + 1]) for i in range(0, len(parts) - 1, 2)]
    return out


def is_held(language, name):
    """About one file in a hundred, by a hash of its path: the same files as for the first pocket."""
    key = name.split(b"\x01", 1)[-1] if language == "python" else name
    return int(hashlib.blake2b(key, digest_size=4).hexdigest(), 16) % 100 == 0


def is_extra(language, name):
    """Added to what the first pocket had: all that is later, and of other languages than Python what this machine has."""
    return name.startswith(b"new:") or (language != "python" and name.startswith(b"device\x01"))


def repository(name):
    repo, _, rel = name.partition(b"\x01")
    return rel.split(b"/")[0] if repo == b"device" else repo


def lines_of(text):
    return [x for x in map(bytes.strip, text.split(b"\n")) if len(x) >= 12]


def without_relatives(language, parts):
    """Added files (of this machine, or of newer archives) that are held out by name or resemble a held-out file go."""
    known = set()
    for name, text in parts:
        if is_held(language, name) and not is_extra(language, name):
            known.update(lines_of(text))
    out = []
    for name, text in parts:
        if is_extra(language, name):
            lines = lines_of(text)
            if is_held(language, name) or sum(x in known for x in lines) >= .3 * max(1, len(lines)):
                continue
        out.append((name, text))
    return out


def write_language(job):
    """data/LANG.bin holds paths and texts; .all.npy all files by repository, .held.npy the held-out rows in old order."""
    language, extra = job
    parts = without_relatives(language, read_raw(language) + extra)
    rows, held, offset = [], [], 0
    with open(path("data", language + ".bin"), "wb") as f:
        for name, text in parts:
            rows.append((offset, len(name), offset + len(name), len(text)))
            held.append(is_held(language, name))
            f.write(name + text)
            offset += len(name) + len(text)
    rows, held = np.array(rows, np.int64).reshape(-1, 4), np.array(held, bool)
    names = [name for name, _ in parts]
    order = sorted(range(len(parts)), key=lambda i: (repository(names[i]), names[i]))
    number = {r: k for k, r in enumerate(sorted({repository(n) for n in names}))}
    group = np.array([number[repository(names[i])] for i in order], np.int32)
    weight = [min(16.0, max(.35, rows[i, 3] / 4000)) * (.35 if SELDOM.search(names[i]) else 1) * (not held[i]) for i in order]
    base = path("data", language)
    np.save(base + ".held.npy", rows[held])
    np.save(base + ".all.npy", rows[order])
    np.savez(base + ".index.npz", group=group, weight=np.array(weight, np.float64), held=held[order].astype(np.uint8))
    return language, len(parts) - int(held.sum()), int(held.sum()), offset


def keep_python(futures):
    """Files of the machine, without copies and within the size limits: language -> [(path, text)], and a table."""
    duplicates, extra, size, reasons = Duplicates(), defaultdict(list), Counter(), Counter()
    package, table = Counter(), defaultdict(Counter)
    for future in futures:
        for language, rel, text, digest, hashes in future.result():
            top = rel.split("/")[0]
            if size[language] > (PYTHON_BYTES if language == "python" else HEADER_BYTES) or package[top] > PACKAGE_BYTES:
                reasons["size limit"] += 1
                continue
            why = duplicates.reason_against(language, digest, hashes)
            if why:
                reasons[why] += 1
                continue
            data = text.encode("utf8", "replace")
            package[top] += len(data)
            size[language] += len(data)
            table[top][language] += 1
            extra[language].append((b"device\x01" + rel.encode("utf8", "replace"), data))
    log("kept of the machine:", {k: "%d files %.1f MB" % (len(v), size[k] / 1e6) for k, v in extra.items()}, dict(reasons))
    return extra, package, table


def write_manifest(package, table, manifest):
    with open(path("device_manifest.tsv"), "w") as f:
        f.write("source\tversion\tlicense\tfiles\tbytes\tlanguages\n")
        for top in sorted(table, key=lambda k: -package[k]):
            name, version, licence = manifest.get(top, ("Python standard library", sys.version.split()[0], "PSF-2.0"))
            languages = ",".join("%s:%d" % x for x in sorted(table[top].items()))
            f.write("%s (%s)\t%s\t%s\t%d\t%d\t%s\n" % (name, top, version, licence.replace("\t", " "),
                                                       sum(table[top].values()), package[top], languages))


def chats_of(job):
    """Encoded conversations about functions of a share of a language's files; a length and the ids each."""
    language, share, shares = job
    base = os.path.join(WORK, "data", language)
    rows, index = np.load(base + ".all.npy"), np.load(base + ".index.npz")
    data = np.memmap(base + ".bin", np.uint8, "r") if len(rows) else None
    rng, encode = random.Random(share), tokenizer.Tokenizer().encode
    lengths, ids = [], []
    held, budget = index["held"], env_int("PK_CHATS", 400 if TOY else 9000) // shares
    for i in np.random.RandomState(share).permutation(np.arange(share, len(rows), shares)):
        if len(lengths) >= budget:
            break
        if held[i]:
            continue
        a, n = rows[i, 2], min(rows[i, 3], 40_000)
        for code, answer in explain.pairs(language, data[a:a + n].tobytes().decode("utf8", "replace"), 3):
            x, start = explain.conversation(lambda s: encode(s), rng, language, code, answer)
            if len(x) <= 1000:
                x = np.array(x, np.uint16)
                x[start:] |= 0x8000
                lengths.append(len(x))
                ids.append(x)
    return lengths, np.concatenate(ids) if ids else np.zeros(0, np.uint16)


def write_chats(pool):
    shares = 2 if TOY else 4
    lengths, ids = [], []
    for n, x in pool.map(chats_of, [(l, k, shares) for l in LANGUAGES for k in range(shares)]):
        lengths += n
        ids.append(x)
    np.save(path("data", "chat.ids.npy"), np.concatenate(ids))
    np.save(path("data", "chat.offsets.npy"), np.concatenate([[0], np.cumsum(np.array(lengths, np.int64))]).astype(np.int64))
    return len(lengths)


def wait_until_complete(corpus):
    """PK_CORPUS_WAIT: seconds to wait for a file `complete` beside archives that arrive in several transfers."""
    end = time.time() + env_int("PK_CORPUS_WAIT", 0)
    while time.time() < end and not os.path.exists(os.path.join(corpus, "complete")):
        time.sleep(.2)


def main():
    t0 = time.time()
    os.makedirs(RAW, exist_ok=True)
    path("data", "x")
    corpus = os.environ.get("PK_CORPUS", os.path.join(HERE, "corpus"))
    wait_until_complete(corpus)
    archives = sorted(glob.glob(os.path.join(corpus, "*.7z")), key=os.path.getsize, reverse=True)
    pool = ProcessPoolExecutor(max(2, min(20, (os.cpu_count() or 2) + 2)))
    exe = seven_zip()
    unpacking = [pool.submit(unpack, (a, exe)) for a in archives] if not os.environ.get("PK_UNPACKED") else []
    jobs, manifest = python_sources.find()
    jobs = jobs[:env_int("PK_PY_FILES", 400)] if TOY else jobs
    # hash() of a str agrees between the reading processes, as they are forked from this one
    reading = [pool.submit(read_many, jobs[i:i + 200]) for i in range(0, len(jobs), 200)]
    tokenizer.library()
    extra, package, table = keep_python(reading)
    write_manifest(package, table, manifest)
    for future in unpacking:
        future.result()
    log("unpacked, %.0f s" % (time.time() - t0))
    files = size = 0
    for language, n, held, total in pool.map(write_language, [(l, extra.get(l, [])) for l in LANGUAGES]):
        log("%-11s %6d files, %5d held out, %6.1f MB" % (language, n, held, total / 1e6))
        files, size = files + n, size + total / 1e6
        if n == 0 and not TOY:
            raise SystemExit("no file of %s: is the corpus folder %s complete?" % (language, corpus))
    log("corpus: %d files, %.0f MB, %.0f s" % (files, size, time.time() - t0))
    log("conversations: %d" % write_chats(pool))
    pool.shutdown()
    with open(path("prepared"), "w") as f:
        f.write("%.1f\n" % (time.time() - t0))
    log("prepared in %.0f s" % (time.time() - t0))
    texts = [t.decode("utf8", "replace") for l in LANGUAGES for _, t in (read_raw(l)[:20] or extra.get(l, [])[:60])]
    try:
        log(tokenizer.compare_with_library(texts))
    except Exception as e:  # only a check: training is under way
        log("tokenizer: not compared (%s: %s)" % (type(e).__name__, e))


if __name__ == "__main__":
    main()
