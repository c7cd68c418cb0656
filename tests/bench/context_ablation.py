#!/usr/bin/env python3
"""What each source of context from other files brings: the same holes with none, with each alone, with all.

    tests/bench/eval_corpus.sh code
    tests/bench/context_ablation.py INCIPIT code reports [--holes 30] [-- OPTIONS OF incipit eval]

Runs `incipit eval` once for each row of SETUPS, one after the other, and compares each with none by `incipit eval
--compare`: the sign test over the holes that went up and down. Reports that lie in the folder from the same command are
not measured again, so that a run that was stopped goes on. Prints the table of docs/evaluation.md, "Other files".
"""
import argparse
import json
import pathlib
import subprocess
import sys

SETUPS = {
    "none": [],
    "definitions": ["--definitions", "files"],
    "neighbours": ["--neighbours"],
    "both": ["--definitions", "files", "--neighbours"],
}
FIGURES = {
    "shown": "shown",
    "exactLine": "exact line",
    "exactSpan": "exact span",
    "exactName": "exact name",
    "lineSimilarity": "line similarity",
    "spanSimilarity": "span similarity",
    "damages": "damage",
}


def measure(command, report):
    """Runs the command unless its report is there; the command is kept beside it."""
    asked = report.with_suffix(".command")
    line = json.dumps(command)
    if report.exists() and asked.exists() and asked.read_text() == line:
        print(f"{report}: measured already", file=sys.stderr)
        return
    asked.unlink(missing_ok=True)
    subprocess.run([*command, "--out", str(report)], check=True, stdout=subprocess.DEVNULL)
    asked.write_text(line)


def told(report):
    """How many prompts were told something of other files, and with how many tokens in the mean."""
    tokens = [hole.get("otherFilesTokens", 0) for hole in json.loads(report.read_text())["holes"]]
    said = [n for n in tokens if n > 0]
    return len(said), len(tokens), sum(said) / len(said) if said else 0


def figures_of(incipit, a, b):
    printed = subprocess.run([incipit, "eval", "--compare", str(a), str(b), "--json"], check=True, capture_output=True)
    groups = json.loads(printed.stdout)["groups"]
    everything = next(group for group in groups if not group.get("kind") and not group.get("language"))
    return {figure["name"]: figure for figure in everything["figures"]}


def shown_value(name, value):
    return f"{value:.3f}" if name.endswith("Similarity") else f"{value:.1%}".replace("%", " %")


def row(name, figure):
    a, b = (shown_value(name, figure[key]) for key in "ab")
    change = f"{figure['up']} / {figure['down']}"
    return f"{FIGURES[name]:<16} {figure['n']:>4} {a:>8} {b:>8} {change:>10} {figure['chance']:>7.3f}"


def main():
    own, passed = sys.argv[1:], []
    if "--" in own:
        at = own.index("--")
        own, passed = own[:at], own[at + 1 :]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("incipit")
    parser.add_argument("code", help="the folder that is measured with")
    parser.add_argument("reports", type=pathlib.Path, help="where the JSON reports are put")
    parser.add_argument("--holes", type=int, default=30, help="for each language (default: 30)")
    arguments = parser.parse_args(own)
    arguments.reports.mkdir(parents=True, exist_ok=True)

    reports = {name: arguments.reports / f"{name}.json" for name in SETUPS}
    for name, options in SETUPS.items():
        print(f"{name}:", file=sys.stderr)
        command = [arguments.incipit, "eval", arguments.code, "--holes", str(arguments.holes), *options, *passed]
        measure(command, reports[name])
    for name in list(SETUPS)[1:]:
        n_told, n_holes, mean = told(reports[name])
        figures = figures_of(arguments.incipit, reports["none"], reports[name])
        print(f"\n{name}: {n_told} of {n_holes} prompts were told something, {mean:.0f} tokens in the mean")
        print(f"{'figure':<16} {'n':>4} {'none':>8} {'with':>8} {'up / down':>10} {'chance':>7}")
        for figure in FIGURES:
            if figure in figures:
                print(row(figure, figures[figure]))


if __name__ == "__main__":
    main()
