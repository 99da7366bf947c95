"""What it costs to find the rules that take an alert, and to load a hundred thousand of them: `cargo bench`."""

import re

from ..process import Failed
from ..report import Row, at_most

PART = "match"
# equality, two labels, … are shapes; this one is a mixture of all
SHAPE = "mixed"
TARGETS_US = {1_000: 5, 100_000: 20}


def measure(bench):
    """All lines of this part."""
    return matching(bench) + loading(bench)


def matching(bench):
    """The lines that `--bench matching` ends with: `mixed, 1000 rules  0.85  112.20  132×  3`."""
    bench.say("match: cargo bench --bench matching")
    seen = {}
    for _ in range(bench.rounds):
        printed = bench.cargo("bench", "--locked", "--bench", "matching", "--", SHAPE, within_s=1800, capture=True)
        found = re.findall(rf"^{SHAPE}, +(\d+) rules +([\d.]+) +([\d.]+) ", printed, re.MULTILINE)
        if not found:
            raise Failed("cargo bench --bench matching printed no figure")
        for count, index, in_turn in found:
            seen.setdefault(int(count), []).append((float(index), float(in_turn)))
    lines = []
    for count, pairs in sorted(seen.items()):
        line = Row(PART, f"rules for one alert, {count:,} rules of mixed shapes", "µs", [it[0] for it in pairs])
        line.against("trying all in turn", [it[1] for it in pairs])
        if count in TARGETS_US:
            line.targets.append(at_most(TARGETS_US[count]))
        lines.append(line)
    return lines


def loading(bench):
    """`--bench load`: `100000 rules: 3.21 s, of which computing 3.10 s; peak 312 MB, held 240 MB`, five times."""
    count = 1_000 if bench.quick else 100_000
    bench.say("match: cargo bench --bench load")
    printed = bench.cargo("bench", "--locked", "--bench", "load", "--", str(count), "100", within_s=1800, capture=True)
    found = re.findall(r"^\d+ rules: ([\d.]+) s, .*; peak (\d+) MB, held (\d+) MB", printed, re.MULTILINE)
    if not found:
        raise Failed(f"cargo bench --bench load printed no figure: {printed[-500:]}")
    seconds, peak, held = (list(map(float, column)) for column in zip(*found))
    return [
        Row(PART, f"loading {count:,} rules", "s", seconds, {}, [at_most(5)]),
        Row(PART, f"most resident while loading {count:,} rules", "MB", peak, {}, [at_most(500)], {"held MB": held}),
    ]
