"""Gathers the corpus from Debian and npm packages named in a manifest, and packs it as archives for prepare.py.

usage: gather.py MANIFEST OUT_FOLDER [--download FOLDER] [--languages lua,shell] [--known FOLDER] [--limits lua:20,c:40]
                 [--prefix new:] [--part x] [--package 6]

The manifest has a line for each package: source (how and what), version, licence, separated by tabs; further columns are
not read. Sources: "Debian bookworm source, NAME", "Debian bookworm binary, NAME", "npm package NAME". Rows of the training machine's own
Python packages ("Python package or header set: NAME") are passed over: prepare.py finds those there. Packages come
through apt-get and npm as they are set up on the machine (deb-src lines for sources), each in the version that the
manifest pins; one that is not to be had is named and left out. Wants p7zip-full, dpkg-dev and npm.

Additions: --known is a folder with the archives (or their unpacked files) of an older corpus, whose files do not come
again; only what a package's own debian/copyright or package.json gives a permissive licence is then taken, folders of
test data are passed over, and no package gives more than --package MB of a language (6, if it is not given). --limits closes
a language at so many MB: the manifest's order decides what is in."""
import argparse
import glob
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import licences
from common import LANGUAGES, log
from filters import Duplicates, clean, line_hashes

ENDINGS = {".py": "python", ".c": "c", ".h": "cpp", ".cc": "cpp", ".cpp": "cpp", ".cxx": "cpp", ".hpp": "cpp",
           ".hh": "cpp", ".cu": "cuda", ".cuh": "cuda", ".js": "javascript", ".mjs": "javascript", ".jsx": "javascript",
           ".ts": "typescript", ".tsx": "typescript", ".go": "go", ".rs": "rust", ".java": "java", ".lua": "lua",
           ".sh": "shell", ".bash": "shell", ".bats": "shell"}
SHELL = re.compile(rb"#! ?/(usr/)?bin/(env )?(ba|da|k)?sh\b")
SKIPPED = re.compile(r"(^|/)(third[_-]?party|vendor(ed)?|node_modules|testdata|\.git|debian/patches)(/|$)|\.min\.js$|\.d\.ts$")
TEST_DATA = re.compile(r"(^|/)(test[-_]?data|fixtures?|__fixtures__|__snapshots__|snapshots|baselines?|generated|locales?|po)(/|$)"
                       r"|[_.-](generated|gen)\.\w+$|\.pb\.\w+$|_pb2\.py$|zz_generated", re.I)
BUILT = re.compile(r"(^|/)(dist|build|bundles?|umd|cjs|esm|es|es5|es6|lib/(cjs|esm|commonjs|module))(/|$)|(^|/)dist-[^/]*/")  # of npm packages
PART_BYTES = 34e6  # text of one archive: 7-Zip's PPMd makes about 4 MB of it


def language_of(name, head):
    ending = os.path.splitext(name)[1]
    if ending:
        return ENDINGS.get(ending)
    return "shell" if SHELL.match(head) else None


def download(source, version, folder):
    """Fetches one package into folder; returns the archives, none if it is not to be had."""
    kind, _, name = source.rpartition(", " if source.startswith("Debian") else " ")
    if kind == "Debian bookworm source":
        command = ["apt-get", "source", "--download-only", "-qq", "%s=%s" % (name, version)]
    elif kind == "Debian bookworm binary":
        command = ["apt-get", "download", "-qq", "%s=%s" % (name, version)]
    elif kind == "npm package":
        command = ["npm", "pack", "--silent", "%s@%s" % (name, version)]
    else:
        raise SystemExit("manifest: unknown kind of source: " + source)
    os.makedirs(folder, exist_ok=True)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        log("not to be had: %s %s: %s" % (source, version, (done.stderr.strip().splitlines() or ["no reason"])[-1]))
    return archives_in(folder)


def archives_in(folder):
    found = glob.glob(folder + "/*.tar.*") + glob.glob(folder + "/*.tgz") + glob.glob(folder + "/*.deb")
    return sorted(f for f in found if not f.endswith(".asc"))  # a signature beside its archive


def unpack(archive, folder):
    if archive.endswith(".deb"):
        subprocess.run(["dpkg-deb", "-x", archive, folder], check=True)
    elif ".debian.tar" not in archive:
        with tarfile.open(archive) as tar:
            members = [m for m in tar.getmembers() if m.isreg() and ".." not in m.name and not m.name.startswith("/")
                       and (os.path.splitext(m.name)[1] in ENDINGS or "." not in os.path.basename(m.name)
                            or m.name == "package/package.json")]
            tar.extractall(folder, members)


def may_take(archives, tree, source):
    """A function path -> may it be taken, by the licences that the unpacked package itself names."""
    if source.startswith("npm"):
        with open(tree + "/package/package.json", encoding="utf8") as f:
            fit = licences.of_npm(f.read())
        return lambda path: fit
    if "binary" in source:
        texts = glob.glob(tree + "/usr/share/doc/*/copyright")
        return licences.of_binary(read_text(texts[0])) if texts else lambda path: False
    for archive in archives:
        if ".debian.tar" in archive:
            with tarfile.open(archive) as tar:
                found = [m for m in tar.getmembers() if m.name.strip("./") == "debian/copyright"]
                if found and found[0].isreg():
                    return licences.of_source(tar.extractfile(found[0]).read().decode("utf8", "replace"))
    native = glob.glob(tree + "/*/debian/copyright") + glob.glob(tree + "/debian/copyright")
    return licences.of_source(read_text(native[0])) if native else lambda path: False


def read_text(file):
    with open(file, encoding="utf8", errors="replace") as f:
        return f.read()


def files_of(folder, wanted, may=None):
    """(relative path without the archive's own top folder, language, text, digest) of what is fit to learn from."""
    for top, folders, names in sorted(os.walk(folder)):
        folders.sort()
        for name in sorted(names):
            full = os.path.join(top, name)
            rel = os.path.relpath(full, folder)
            rel = rel.split("/", 1)[1] if "/" in rel else rel
            if SKIPPED.search(rel) or os.path.islink(full) or (may and (TEST_DATA.search(rel) or not may(rel))):
                continue
            ending = os.path.splitext(name)[1]
            if ending and ENDINGS.get(ending) is None:
                continue
            with open(full, "rb") as f:
                data = f.read(120_000)
            language = language_of(name, data[:80])
            found = clean(data, language) if language else None
            if found and found[0] in wanted:
                yield rel, found[0], found[1], found[2]


def package_files(job):
    """What one row of the manifest gives: its name and [(path, language, text, digest, line hashes)]."""
    source, version, download_folder, wanted, limit = job  # the limit of bytes a language makes this an addition
    name = re.split(r", | ", source)[-1]
    folder = os.path.join(download_folder, name.replace("/", "_"))
    archives = archives_in(folder)
    tree, out, size = tempfile.mkdtemp(), [], Counter()
    try:
        archives = archives or download(source, version, folder)
        for archive in archives:
            unpack(archive, tree)
        may = may_take(archives, tree, source) if limit else None
        for rel, language, text, digest in files_of(tree, wanted, may):
            if limit and (size[language] > limit or (source.startswith("npm") and BUILT.search(rel))):
                continue
            size[language] += len(text)
            out.append((rel, language, text, digest, line_hashes(text)))
        if limit and source.startswith("npm") and size["typescript"]:  # then the JavaScript is what was compiled of it
            out = [x for x in out if x[1] != "javascript"]
    except (OSError, subprocess.CalledProcessError, tarfile.TarError, ValueError) as error:
        log("left out: %s: %s" % (source, error))
    finally:
        shutil.rmtree(tree, ignore_errors=True)
    return name, out


def remember_known(folder, wanted, duplicates):
    """Takes note of an older corpus: archives LANGUAGE.N.7z or, of the same content, files LANGUAGE.N."""
    scratch = tempfile.mkdtemp()
    for archive in sorted(glob.glob(folder + "/*.7z")):
        if os.path.basename(archive).split(".")[0] in wanted:
            subprocess.run(["7za", "x", "-y", "-bd", "-o" + scratch, archive], check=True, stdout=subprocess.DEVNULL)
    for file in sorted(glob.glob(scratch + "/*") + [f for f in glob.glob(folder + "/*") if not f.endswith(".7z")]):
        language = os.path.basename(file).split(".")[0]
        if language in wanted:
            with open(file, "rb") as f:
                for text in f.read().split(b"\0")[1::2]:
                    duplicates.remember(language, text.decode("utf8", "replace"))
    shutil.rmtree(scratch)


def write_archives(texts, out, part):
    """LANG.`part`N.7z, each a file of NUL-separated "repository\\x01path" and text in turn."""
    os.makedirs(out, exist_ok=True)
    raws = []
    for language, entries in texts.items():
        file, size = None, 0
        for name, text in entries:
            if file is None or size > PART_BYTES:
                if file:
                    file.close()
                raws.append("%s.%s%d" % (language, part, sum(r.startswith(language + ".") for r in raws)))
                file, size = open(os.path.join(out, raws[-1]), "wb"), 0
            file.write(name + b"\0" + text + b"\0")
            size += len(text)
        if file:
            file.close()

    def pack(raw):
        subprocess.run(["7za", "a", "-bd", "-m0=PPMd:mem=192m:o=16", raw + ".7z", raw], cwd=out, check=True, stdout=subprocess.DEVNULL)
        os.remove(os.path.join(out, raw))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(pack, raws))


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("manifest")
    parser.add_argument("out")
    parser.add_argument("--download", default="packages", help="folder that keeps what was fetched")
    parser.add_argument("--languages", default=",".join(LANGUAGES))
    parser.add_argument("--known", default="", help="folder of an older corpus: makes this an addition to it")
    parser.add_argument("--limits", default="", help="language:MB,...")
    parser.add_argument("--package", type=float, default=6, help="MB of a language that one package gives to an addition")
    parser.add_argument("--prefix", default="", help="put before the repository's name: marks later additions")
    parser.add_argument("--part", default="", help="put before the archives' numbers")
    return parser.parse_args()


def main():
    options = arguments()
    wanted, duplicates, texts, counts = set(options.languages.split(",")), Duplicates(), defaultdict(list), Counter()
    limits = {x.split(":")[0]: float(x.split(":")[1]) * 1e6 for x in options.limits.split(",") if x}
    with open(options.manifest) as f:
        rows = [line.rstrip("\n").split("\t") for line in f if line.strip() and not line.startswith("source\t")]
    gathered = [row for row in rows if not row[0].startswith("Python package or header set: ")]
    if len(gathered) < len(rows):
        log("of the training machine, not gathered here: %d rows" % (len(rows) - len(gathered)))
    # hash() of a str agrees between the processes, as they are forked from this one
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        limit = options.package * 1e6 if options.known else 0
        futures = [pool.submit(package_files, (row[0], row[1], options.download, wanted, limit)) for row in gathered]
        if options.known:
            remember_known(options.known, wanted, duplicates)
        size, table = Counter(), []
        while futures:  # and the memory of what was looked at is given back
            name, files = futures.pop(0).result()
            kept = Counter()
            for rel, language, text, digest, hashes in files:
                if size[language] > limits.get(language, 1e18):
                    counts["over the limit"] += 1
                    continue
                why = duplicates.reason_against(language, digest, hashes)
                counts[why or language] += 1
                if not why:
                    texts[language].append((("%s%s\x01%s" % (options.prefix, name, rel)).encode(), text.encode()))
                    size[language] += len(text)
                    kept[language] += len(text)
            table.append((name, kept))
            if kept:
                log(name, ", ".join("%s %.2f MB" % (k, n / 1e6) for k, n in kept.most_common()))
    log("files:", dict(counts), "MB:", {k: round(n / 1e6, 1) for k, n in size.items()})
    log("nothing new in:", ", ".join(name for name, kept in table if not kept))
    order = [l for l in LANGUAGES if l in texts]
    write_archives({l: texts[l] for l in sorted(order, key=lambda l: size[l])}, options.out, options.part)


if __name__ == "__main__":
    main()
