"""Which files of a package may be taken: what its debian/copyright or package.json says of their licences."""
import fnmatch
import json
import re

PERMISSIVE = re.compile(
    r"\b(MIT|Expat|X11|HPND|BSD|0BSD|Apache|ISC|Zlib|PSF|Python|BSL|Boost|Unlicense|CC0|public[- ]domain|MirOS|OpenLDAP"
    r"|NCSA|PostgreSQL|curl)\b", re.I)
NOT_PERMISSIVE = re.compile(
    r"GPL|General Public|GFDL|MPL|Mozilla|CDDL|\bE?[CEI]PL\b|EUPL|Artistic|Creative|CC-BY|OFL|LPPL|QPL|Proprietary|NVIDIA"
    r"|non-?commercial|no-?deriv|\bSSPL|\bBUSL|Commons-Clause|CeCILL", re.I)


def is_permissive(expression):
    """Of alternatives ("MIT or GPL-2") one must be permissive, of what holds at once ("MIT and BSD") everything."""
    def single(text):
        return bool(PERMISSIVE.search(text)) and not NOT_PERMISSIVE.search(text)

    return any(all(single(part) for part in re.split(r"\band\b|,", choice, flags=re.I) if part.strip())
               for choice in re.split(r"\bor\b|\|", expression, flags=re.I) if choice.strip(" ,()"))


def paragraphs(copyright_file):
    """[(patterns, licence's short name)] of a machine-readable debian/copyright, in order; [] of another text."""
    found = []
    for block in re.split(r"\n[ \t]*\n", copyright_file):
        files = re.search(r"^Files:((?:.*)(?:\n[ \t]+.*)*)", block, re.M | re.I)
        licence = re.search(r"^License:[ \t]*(.*(?:\n[ \t]+\S.*)?)", block, re.M | re.I)
        if files and licence:
            name = licence.group(1).strip().split("\n")[0]
            found.append((files.group(1).split(), name))
    return found


def of_source(copyright_file):
    """A function path -> may it be taken, for a Debian source; the last paragraph that matches a path speaks for it."""
    rules = [([re.compile(fnmatch.translate(p)).match for p in patterns], is_permissive(name))
             for patterns, name in paragraphs(copyright_file)]
    if not rules:  # an older, free text: any word of another licence rules the whole package out
        fit = is_permissive_text(copyright_file)
        return lambda path: fit

    def may(path):
        answer = False
        for matches, permissive in rules:
            if any(match(path) for match in matches):
                answer = permissive
        return answer
    return may


def of_binary(copyright_file):
    """The same for a binary package, whose paths are not the source's: what is said of everything speaks for it, and a
    file goes whose name or folder resembles that of any exception which is not permissive."""
    rules = paragraphs(copyright_file)
    if not rules:
        fit = is_permissive_text(copyright_file)
        return lambda path: fit
    whole = [is_permissive(name) for patterns, name in rules if "*" in patterns] or [is_permissive(n) for _, n in rules]
    ends = ["*/" + "/".join(p.rstrip("/").split("/")[-2:]) for patterns, name in rules if not is_permissive(name)
            for p in patterns if p != "*"]
    refused = [re.compile(fnmatch.translate(end)).match for end in ends]
    return lambda path: all(whole) and not any(match("/" + path) for match in refused)


def of_npm(package_json):
    licence = json.loads(package_json).get("license", "")
    return is_permissive(licence if isinstance(licence, str) else str(licence.get("type", "")))


def is_permissive_text(text):
    return bool(re.search(r"Permission is hereby granted|Permission to use, copy|Redistribution and use|Apache License|\bMIT\b|\bBSD\b",
                          text)) and not NOT_PERMISSIVE.search(text)
