"""What the makers of fixtures share: files written to a folder, or compared with those kept there."""
import pathlib
import sys


def write_or_check(files, arguments):
    """`files` are (name, content); `arguments` are [--check] DIRECTORY."""
    check, directory = arguments[0] == '--check', pathlib.Path(arguments[-1])
    made = dict(files)
    if not check:
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in made.items():
            (directory / name).write_bytes(content)
        return
    kept = {path.name: path.read_bytes() for path in directory.iterdir()}
    different = [name for name in sorted(made.keys() | kept.keys()) if made.get(name) != kept.get(name)]
    if different:
        sys.exit(f'{directory}: not what this program makes: {", ".join(different)}')
