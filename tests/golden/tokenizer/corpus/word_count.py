"""Counts words, and shows what Python writes that other languages don't."""
from __future__ import annotations

import asyncio
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Iterable, Iterator

WORD = re.compile(r"[^\W\d_]+(?:'[a-z]+)?", re.IGNORECASE)


@dataclass(slots=True, frozen=True)
class Report:
    total: int = 0
    by_length: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    def __str__(self) -> str:
        return f"{self.total:>8,d} words, {max(self.by_length, default=0)!r} longest"


def words(lines: Iterable[str]) -> Iterator[str]:
    for line_no, line in enumerate(lines, start=1):
        if not (line := line.strip()) or line.startswith("#"):
            continue
        yield from (match[0].lower() for match in WORD.finditer(line))


async def main(*paths: str, **options: object) -> None:
    counter: Counter[str] = Counter()
    for path in paths:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            counter.update(words(file))
        await asyncio.sleep(0)
    print(*(f"{word}\t{n}" for word, n in counter.most_common(10)), sep="\n")
    assert all(n > 0 for n in counter.values()), 'it\'s impossible, isn\'t it?'


if __name__ == "__main__":
    asyncio.run(main("README.md", verbose=True, ratio=1_000.5e-10, mask=0b1010_1010 | 0o755))
