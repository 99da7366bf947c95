"""The pure parts, one at a time: `cargo bench --bench micro`."""

import re

from ..process import Failed
from ..report import Row

PART = "micro"
NS = {"ns": 1.0, "µs": 1e3, "ms": 1e6, "s": 1e9}
TIME = r"([\d.]+) (ns|µs|ms|s)"


def measure(bench):
    """The medians of divan: `├─ parse_1  12.1 µs │ 32.9 µs │ 12.4 µs │ 12.9 µs │ 100 │ 3200`."""
    bench.say("micro: cargo bench --bench micro")
    printed = bench.cargo("bench", "--locked", "--bench", "micro", within_s=1800, capture=True)
    line = re.compile(rf"(│  |   )?[├╰]─ (\S+) +(?:{TIME} +│ {TIME} +│ {TIME} +│)?")
    lines, group = [], ""
    for text in printed.splitlines():
        found = line.match(text)
        if found is None:
            continue
        inner, name = found[1], found[2]
        if found[7] is None:
            group = name
            continue
        what = f"{group}, {name}" if inner else name
        lines.append(Row(PART, what, "ns", [float(found[7]) * NS[found[8]]]))
    if not lines:
        raise Failed("cargo bench --bench micro printed no figure")
    return lines
