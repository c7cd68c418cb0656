"""Packages as gather.py fetches them, made here of given files, so that nothing comes over the network."""
import io
import os
import subprocess
import tarfile
import tempfile


def _tar(file, files, top):
    with tarfile.open(file, "w:gz") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo("%s/%s" % (top, name))
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))


def source(folder, name, files, debian=None):
    """A Debian source package: the archive of its author, and that of Debian's own files."""
    _tar(os.path.join(folder, name + "_1.0.orig.tar.gz"), files, name + "-1.0")
    _tar(os.path.join(folder, name + "_1.0-1.debian.tar.gz"), debian or {}, "debian")


def binary(folder, name, files):
    with tempfile.TemporaryDirectory() as tree:
        control = "Package: %s\nVersion: 1.0-1\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\nDescription: test\n" % name
        for rel, data in {**files, "DEBIAN/control": control.encode()}.items():
            full = os.path.join(tree, rel)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "wb") as f:
                f.write(data)
        os.chmod(os.path.join(tree, "DEBIAN"), 0o755)
        subprocess.run(["dpkg-deb", "--build", "--root-owner-group", tree, os.path.join(folder, name + "_1.0-1_all.deb")],
                       check=True, stdout=subprocess.DEVNULL)


def npm(folder, name, files):
    _tar(os.path.join(folder, name.strip("@").replace("/", "-") + "-1.0.0.tgz"), files, "package")


KINDS = {"Debian bookworm source, ": (source, "1.0-1"), "Debian bookworm binary, ": (binary, "1.0-1"), "npm package ": (npm, "1.0.0")}


def write(packages, download, manifest):
    """packages: (kind of KINDS, name, files) each. Fills the folder that gather.py takes for its downloads, and writes
    the manifest."""
    with open(manifest, "w") as f:
        f.write("source\tversion\tlicense\tfiles\n")
        for kind, name, files in packages:
            make, version = KINDS[kind]
            folder = os.path.join(download, name.replace("/", "_"))
            os.makedirs(folder, exist_ok=True)
            make(folder, name, files)
            f.write("%s%s\t%s\tMIT\t%d\n" % (kind, name, version, len(files)))
