"""Runs a second from claim over a step to a verification that sees that it helped."""

import time

from .. import settings
from ..bench import stop_all
from ..process import metric, metrics
from ..report import Rounds, Row, at_least, each, known
from .intake import PATH

PART = "runs"
# seconds that are watched, at most
WITHIN_S = 20
# alerts of a body
TOGETHER = 20


def measure(bench):
    """All lines of this part."""
    seen = Rounds()
    kinds = ["sqlite", "sqlite command", "postgres 1", "postgres 3"]
    for seen.turn in range(bench.rounds):
        for kind in kinds:
            bench.say(f"runs, round {seen.turn + 1} of {bench.rounds}: {kind}")
            bench.settle()
            with bench.tolerated(kind), bench.plant() as plant:
                servers = start(bench, kind, plant.port)
                try:
                    seen.keep(kind, one(bench, kind, servers))
                finally:
                    stop_all(servers)
    return rows(seen)


def start(bench, kind, plant):
    """The servers of a kind."""
    by_command = kind.endswith("command")
    playbook = settings.MEND_BY_COMMAND if by_command else settings.MEND_BY_HTTP
    playbook = playbook % dict(plant=plant, mark=bench.tool("mark"))
    files = dict(rules=settings.rule_that_mends(plant), playbook=playbook, mode="auto")
    if kind.startswith("sqlite"):
        return [bench.quell(**files)]
    return bench.replicas(int(kind.split()[1]), **files)


def ended(servers):
    """Runs that have ended over all replicas, and how many of them as fixed."""
    page = [line for server in servers for line in metrics(server.port)]
    return metric(page, "quell_runs_total"), metric(page, 'quell_runs_total{state="fixed"}')


def one(bench, kind, servers):
    """Posts alerts, and watches their runs end: from the first alert to the last run, or for `WITHIN_S`."""
    alerts = 400 if bench.quick else 5_000
    began, curve = time.monotonic(), []
    bench.load(servers, what=f"runs on {kind}", path=PATH, alerts=TOGETHER, count=alerts // TOGETHER, connections=4,
               warm=0, seconds=30, timeout=60)
    while time.monotonic() - began < WITHIN_S:
        count, fixed = ended(servers)
        curve.append((time.monotonic(), count))
        if count >= alerts:
            break
        time.sleep(0.1)
    else:
        count, fixed = ended(servers)
    took = time.monotonic() - began
    return dict(rate=count / took, steady=steady(curve), ended=count, fixed=fixed, alerts=alerts)


def steady(curve):
    """Runs a second between the first look and the one at which nine tenths of what ended had ended."""
    (first_at, first), last = curve[0], curve[-1][1]
    for at, count in curve[1:]:
        if count - first >= 0.9 * (last - first) and at > first_at:
            return (count - first) / (at - first_at)
    return 0.0


def rows(seen):
    """The table."""
    lines = []
    for kind, words, targets in (
        ("sqlite", "SQLite, HTTP step", [at_least(1000)]),
        ("sqlite command", "SQLite, command step", []),
        ("postgres 1", "PostgreSQL, 1 replica, HTTP step", [at_least(500)]),
        ("postgres 3", "PostgreSQL, 3 replicas, HTTP step", [at_least(500)]),
    ):
        results = seen[kind]
        more = {"without the first look and the last tenth": each(results, lambda it: it["steady"])}
        line = Row(PART, f"claim → step → verify, {words}", "runs/s", each(results, lambda it: it["rate"]), {}, targets, more)
        odd = sum(it["ended"] - it["fixed"] for it in known(results))
        if not results:
            line.note = "not here"
        elif odd:
            line.note = f"{odd:.0f} of {sum(it['ended'] for it in known(results)):.0f} did not end as fixed"
        if kind == "postgres 3":
            line.against("1 replica", each(seen["postgres 1"], lambda it: it["rate"]))
        lines.append(line)
    return lines
