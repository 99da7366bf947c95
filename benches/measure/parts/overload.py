"""Three times more than it can take: what is accepted goes on as before, the rest is told so at once, and health answers."""

import time

from .. import settings
from ..process import Watch, get
from ..report import Row, at_least, at_most
from .intake import PATH

PART = "overload"
TIMES = 3
CONNECTIONS = 2048
# what waits may take so long to be stored, if no more is let in than is stored in that time
WAITS_S = 0.05


def measure(bench):
    """With the bound on what waits that is in force by default, and with one that fits this machine."""
    seen = {"default": [], "bounded": []}
    for turn in range(bench.rounds):
        bench.say(f"overload, round {turn + 1} of {bench.rounds}")
        bench.settle()
        rules = settings.rules_that_do_not_match(10)
        with bench.quell(rules=rules) as quell:
            load = dict(path=PATH, connections=64)
            capacity = bench.load([quell], what="overload, capacity", **load)["ok_per_second"]
        waiting = max(16, int(capacity * WAITS_S))
        more = {"default": "", "bounded": f"ingest: {{ max_waiting_alerts: {waiting} }}\n"}
        for kind, settings_of_kind in more.items():
            with bench.quell(rules=rules, more=settings_of_kind) as quell:
                seen[kind].append(one(bench, kind, quell, capacity) | {"bound": waiting})
    lines = rows("by default: ingest.max_wait of 250 ms", seen["default"])
    return lines + rows("ingest.max_waiting_alerts: what is stored in 50 ms", seen["bounded"])


def one(bench, kind, quell, capacity):
    """The load, and somebody who asks for health and metrics meanwhile."""

    def ask():
        took = {}
        for path in ("/health/live", "/health/ready", "/metrics"):
            began = time.perf_counter()
            status, _ = get(quell.port, path, timeout=5)
            took[path] = (status, (time.perf_counter() - began) * 1000)
        return took

    with Watch(0.25, ask) as health:
        result = bench.load(
            [quell], what=f"overload, {kind}", path=PATH, connections=CONNECTIONS, rate=capacity * TIMES,
            seconds=2 if bench.quick else 10, warm=0.5 if bench.quick else 2, drain=10,
        )
    worst = max((ms for took in health.seen for _, ms in took.values()), default=0)
    unwell = health.failed + sum(took["/health/live"][0] != 200 for took in health.seen)
    due = capacity * TIMES * result["seconds"]
    return dict(
        # what is answered after the end was accepted all the same
        goodput=min(result["ok"]["n"], sum(result["each_second"][: int(result["seconds"])])) / result["seconds"],
        capacity=capacity,
        shed=result["shed"]["n"],
        shed_p99=result["shed"].get("p99_ms"),
        ok_p99=result["ok"].get("p99_ms", 0),
        unanswered=1 - result["answered"] / due,
        worst_health=worst,
        unwell=unwell,
    )


def rows(words, results):
    """The lines of one setting."""
    goodput = Row(PART, f"goodput at {TIMES} × capacity; {words}", "/s", [it["goodput"] for it in results], {}, [at_least(0.9, "capacity")])
    goodput.against("capacity", [it["capacity"] for it in results])
    goodput.more = {"p99 ms of what is accepted": [it["ok_p99"] for it in results]}
    goodput.note = f"{sum(it['unanswered'] for it in results) / len(results):.0%} of what was due got no answer in time"
    shed = Row(PART, f"503 within, p99; {words}", "ms", [it["shed_p99"] for it in results if it["shed"]], {}, [at_most(50)])
    if not shed.figures:
        shed.note = "nobody was answered 503"
    health = Row(PART, f"slowest answer of health and metrics meanwhile; {words}", "ms", [it["worst_health"] for it in results])
    unwell = sum(it["unwell"] for it in results)
    health.note = f"{unwell} without an answer" if unwell else "all answered"
    return [goodput, shed, health]
