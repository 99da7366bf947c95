"""Whether a large database costs more than a small one: new alerts, judged and written down, and repeats."""

import os
import shutil
import sqlite3

from .. import settings
from ..process import free_port
from ..report import Rounds, Row, at_least, each
from .intake import PATH, WORDS

PART = "growth"
# as quell stores what waits for nothing
NEVER = 2**63 - 1
# a day ago, by what was stored before: retention keeps it
AGO_S = 86_400

FILL = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :last)
INSERT INTO episodes (id, fingerprint, source, labels, annotations, generator_url, is_open, starts_at, opened_at, seen_at,
  ended_at, reopened, truncated, due_at, attempt)
SELECT i, printf('%016x', i * 2654435761 % 4294967296 * 4294967296 + i), 'loopback',
  printf('{"alertname":"HighRequestLatency","instance":"before-%d","job":"api","severity":"warning"}', i),
  '{"summary":"requests take long"}', 'http://prometheus:9090/graph', 0, :at + i, :at + i, :at + i, :at + i + 60000000, 0, 0, :never, 1
FROM n
"""


def measure(bench):
    """A line for each size and kind of load, beside the smallest size in the same round."""
    sizes = (1_000, 20_000) if bench.quick else (1_000, 100_000, 1_000_000)
    seen = Rounds()
    # each size is filled once, and measured on a copy: a load adds more than the smallest holds
    made = {size: filled(bench, size) for size in sizes}
    for seen.turn in range(bench.rounds):
        bench.say(f"growth, round {seen.turn + 1} of {bench.rounds}")
        for mix in ("new", "repeat"):
            for size in sizes:
                bench.settle()
                what = f"{mix} on {size:,} episodes"
                with bench.tolerated(what), copied(bench, made[size]) as quell:
                    seen.keep((mix, size), bench.load([quell], what=what, path=PATH, connections=64, mix=mix))
    lines = []
    for mix in ("new", "repeat"):
        least = each(seen[mix, sizes[0]], lambda it: it["ok_per_second"])
        for size in sizes:
            rates = each(seen[mix, size], lambda it: it["ok_per_second"])
            times = {"p50 ms": each(seen[mix, size], lambda it: it["ok"]["p50_ms"])}
            row = Row(PART, f"{WORDS[mix]}, on {size:,} stored episodes", "/s", rates, {}, [], times)
            if size != sizes[0]:
                name = f"on {sizes[0]:,}"
                row.targets = [at_least(0.9, name)]
                row.against(name, least)
            lines.append(row)
    return lines


def filled(bench, size):
    """The folder of a quell whose database has so many episodes that have ended."""
    bench.say(f"growth: {size:,} episodes")
    folder, port = bench.new_folder(), free_port()
    config = settings.write(folder, port, rules=settings.rules_that_do_not_match(10))
    # it makes its tables
    bench.serve(config, port, folder).stop()
    file = sqlite3.connect(os.path.join(folder, "quell.db"))
    with file:
        now = file.execute("SELECT CAST(strftime('%s', 'now') AS INTEGER) * 1000000").fetchone()[0]
        file.execute(FILL, {"last": size, "at": now - AGO_S * 1_000_000, "never": NEVER})
        file.execute("UPDATE counters SET value = ? WHERE name = 'episode'", (size,))
    file.close()
    return folder


def copied(bench, folder):
    """A quell on a copy of that folder."""
    copy, port = os.path.join(bench.new_folder(), "copy"), free_port()
    shutil.copytree(folder, copy)
    return bench.serve(settings.write(copy, port, rules=settings.rules_that_do_not_match(10)), port, copy)
