"""From a webhook to the start of what is done about it: stored, judged by all guards, looked at before, and then spawned."""

from .. import settings
from ..process import free_port
from ..report import Rounds, Row, at_most, each, known
from .intake import PATH

PART = "effect"
A_SECOND = 50


def measure(bench):
    """All lines of this part."""
    seen = Rounds()
    load = dict(rate=A_SECOND, connections=16, seconds=2 if bench.quick else 10, drain=5)
    for seen.turn in range(bench.rounds):
        bench.say(f"effect, round {seen.turn + 1} of {bench.rounds}")
        bench.settle()
        marks = free_port()
        webhook = bench.webhook(marks)
        if webhook is not None:
            with webhook:
                result = bench.load([webhook], what="webhook, marks", path="/hooks/mark", marks=marks, **load)
                seen.keep("webhook", result)
        with bench.tolerated("quell, marks"), bench.plant() as plant:
            playbook = settings.MARK % dict(mark=bench.tool("mark"), marks=marks, plant=plant.port)
            with bench.quell(rules=settings.rule_that_marks(plant.port), playbook=playbook, mode="auto") as quell:
                result = bench.load([quell], what="quell, marks", path=PATH, marks=marks, **load)
                seen.keep("quell", result)
    return rows(seen)


def of(results, quantile):
    """That quantile of each round."""
    return each(results, lambda it: it["marks"].get(quantile))


def rows(seen):
    """The table."""
    lines = []
    # am-executor, which the target names, is no Debian package; webhook takes as long as it
    bounds = {"p50_ms": [at_most(2, "webhook")], "p99_ms": [at_most(8)]}
    for quantile, targets in bounds.items():
        name = quantile.removesuffix("_ms")
        for server in ("quell", "webhook"):
            results = seen[server]
            what = f"{server}: webhook received → effect started, {name}, open loop {A_SECOND}/s"
            line = Row(PART, what, "ms", of(results, quantile))
            if server == "quell":
                line.targets = targets
                line.against("webhook", of(seen["webhook"], quantile))
                line.note = unseen(results)
            elif not results:
                line.note = "not here"
            lines.append(line)
    return lines


def unseen(results):
    """What has not begun when measuring ended, and what began twice, which must not be."""
    missing = sum(it["ok"]["n"] - it["marks"]["n"] for it in known(results))
    twice = sum(it["marks_again"] for it in known(results))
    words = [f"{missing} had not begun 5 s after the last" if missing > 0 else "", f"{twice} BEGAN TWICE" if twice else ""]
    return ", ".join(filter(None, words))
