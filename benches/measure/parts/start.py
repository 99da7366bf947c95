"""How long a start takes, from the process to the first 200 of /health/ready."""

from .. import settings
from ..process import Failed, free_port
from ..report import Row, at_most
from .intake import PATH

PART = "start"
STARTS = 5


def measure(bench):
    """All lines of this part."""
    few = small(bench)
    bench.say("start: 10,000 rules and 100,000 stored episodes")
    many, stored, note = large(bench)
    rules = 1_000 if bench.quick else 10_000
    return [
        Row(PART, "cold start, 10 rules, new database", "ms", few, {}, [at_most(100)]),
        Row(PART, f"cold start, {rules:,} rules, {stored:,} stored episodes", "s", many, {}, [at_most(2)], {}, note),
    ]


def small(bench):
    """A database that does not exist yet, each time."""
    took = []
    for turn in range(bench.rounds):
        bench.say(f"start, round {turn + 1} of {bench.rounds}")
        bench.settle()
        for _ in range(2 if bench.quick else STARTS):
            with bench.quell(rules=settings.rules_that_do_not_match(10)) as quell:
                took.append(quell.started_ms)
    return took


def large(bench):
    """A database with open episodes, made once and started on in each round."""
    rules, episodes = (1_000, 2_000) if bench.quick else (10_000, 100_000)
    folder, port = bench.new_folder(), free_port()
    config = settings.write(folder, port, rules=settings.rules_that_do_not_match(rules))
    quell = bench.serve(config, port, folder)
    try:
        result = bench.load([quell], what="stored before the start", path=PATH, alerts=20, count=episodes // 20,
                            connections=8, warm=0, seconds=600, timeout=60)
    finally:
        quell.stop()
    stored, took, note = result["ok"]["n"] * 20, [], ""
    for _ in range(bench.rounds):
        bench.settle()
        try:
            quell = bench.serve(config, port, folder)
        except Failed as why:
            note = str(why)[:200]
            break
        took.append(quell.started_ms / 1000)
        quell.stop()
    return took, stored, note
