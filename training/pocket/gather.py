"""Gathers the corpus from Debian and npm packages named in a manifest, and packs it as archives for prepare.py.

usage: gather.py MANIFEST OUT_FOLDER [--download FOLDER] [--languages lua,shell] [--prefix new:] [--part x0]

The manifest has a line for each package: source (how and what), version, licence, separated by tabs; further columns are
not read. Sources: "Debian bookworm source, NAME", "Debian bookworm binary, NAME", "npm package NAME". Packages come
through apt-get and npm as they are set up on the machine (deb-src lines for sources), each in the version that the
manifest pins; one that is not to be had is named and left out. Wants p7zip-full, dpkg-dev and npm."""
import argparse
import glob
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections import Counter, defaultdict

from common import LANGUAGES, log
from filters import Duplicates, clean, line_hashes

ENDINGS = {".py": "python", ".c": "c", ".h": "cpp", ".cc": "cpp", ".cpp": "cpp", ".cxx": "cpp", ".hpp": "cpp",
           ".hh": "cpp", ".cu": "cuda", ".cuh": "cuda", ".js": "javascript", ".mjs": "javascript", ".jsx": "javascript",
           ".ts": "typescript", ".tsx": "typescript", ".go": "go", ".rs": "rust", ".java": "java", ".lua": "lua",
           ".sh": "shell", ".bash": "shell", ".bats": "shell"}
SHELL = re.compile(rb"#! ?/(usr/)?bin/(env )?(ba|da|k)?sh\b")
SKIPPED = re.compile(r"(^|/)(third[_-]?party|vendor(ed)?|node_modules|testdata|\.git|debian/patches)(/|$)|\.min\.js$|\.d\.ts$")
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
    return sorted(glob.glob(folder + "/*.tar.*") + glob.glob(folder + "/*.tgz") + glob.glob(folder + "/*.deb"))


def unpack(archive, folder):
    if archive.endswith(".deb"):
        subprocess.run(["dpkg-deb", "-x", archive, folder], check=True)
    elif ".debian.tar" not in archive:
        with tarfile.open(archive) as tar:
            members = [m for m in tar.getmembers() if m.isreg() and ".." not in m.name and not m.name.startswith("/")]
            tar.extractall(folder, members)


def files_of(folder, wanted):
    """(relative path without the archive's own top folder, language, text, digest) of what is fit to learn from."""
    for top, folders, names in sorted(os.walk(folder)):
        folders.sort()
        for name in sorted(names):
            full = os.path.join(top, name)
            rel = os.path.relpath(full, folder)
            rel = rel.split("/", 1)[1] if "/" in rel else rel
            if SKIPPED.search(rel) or os.path.islink(full):
                continue
            with open(full, "rb") as f:
                data = f.read(120_000)
            language = language_of(name, data[:80])
            found = clean(data, language) if language else None
            if found and found[0] in wanted:
                yield rel, found[0], found[1], found[2]


def write_archives(texts, out, part):
    """LANG.`part`N.7z, each a file of NUL-separated "repository\\x01path" and text in turn."""
    os.makedirs(out, exist_ok=True)
    for language, entries in texts.items():
        number, size, file = 0, 0, None
        for name, text in entries:
            if file is None or size > PART_BYTES:
                if file:
                    file.close()
                    number += 1
                file, size = open(os.path.join(out, "%s.%s%d" % (language, part, number)), "wb"), 0
            file.write(name + b"\0" + text + b"\0")
            size += len(text)
        if file:
            file.close()
        for raw in sorted(glob.glob(os.path.join(out, "%s.%s[0-9]" % (language, part)))):
            subprocess.run(["7za", "a", "-bd", "-m0=PPMd:mem=192m:o=16", os.path.basename(raw) + ".7z", os.path.basename(raw)],
                           cwd=out, check=True, stdout=subprocess.DEVNULL)
            os.remove(raw)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("manifest")
    parser.add_argument("out")
    parser.add_argument("--download", default="packages", help="folder that keeps what was fetched")
    parser.add_argument("--languages", default=",".join(LANGUAGES))
    parser.add_argument("--prefix", default="", help="put before the repository's name: marks later additions")
    parser.add_argument("--part", default="", help="put before the archives' numbers")
    options = parser.parse_args()
    wanted, duplicates, texts, counts = set(options.languages.split(",")), Duplicates(), defaultdict(list), Counter()
    with open(options.manifest) as f:
        rows = [line.rstrip("\n").split("\t") for line in f if line.strip() and not line.startswith("source\t")]
    for source, version, _licence, *_ in rows:
        name = re.split(r", | ", source)[-1]
        folder = os.path.join(options.download, name.replace("/", "_"))
        archives = glob.glob(folder + "/*.tar.*") + glob.glob(folder + "/*.tgz") + glob.glob(folder + "/*.deb")
        tree = tempfile.mkdtemp()
        for archive in archives or download(source, version, folder):
            unpack(archive, tree)
        for rel, language, text, digest in files_of(tree, wanted):
            why = duplicates.reason_against(language, digest, line_hashes(text))
            counts[why or language] += 1
            if not why:
                name_in_corpus = "%s%s\x01%s" % (options.prefix, name, rel)
                texts[language].append((name_in_corpus.encode(), text.encode()))
        shutil.rmtree(tree)
    write_archives(texts, options.out, options.part)
    log("files:", dict(counts), "MB:", {k: round(sum(len(t) for _, t in v) / 1e6, 1) for k, v in texts.items()})


if __name__ == "__main__":
    main()
