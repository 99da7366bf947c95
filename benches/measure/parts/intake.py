"""Webhooks a second, each answered when it is on disk, beside a handler that stores nothing and beside peers."""

from .. import settings
from ..bench import stop_all
from ..report import Rounds, Row, at_least, at_most, each, known

PART = "intake"
PATH = "/api/v1/webhook/alertmanager"

# ratios to what stores nothing, by alerts of a body and what they say; with 64 connections
BARE = {(1, "new"): 0.70, (20, "new"): 0.35, (1, "repeat"): 0.80, (20, "repeat"): 0.80}
WORDS = {"new": "new episodes", "repeat": "repeats that change nothing", "mixed": "8 repeats, 1 new, 1 end of 10"}
RATES = (50, 500)


def cells(bench):
    """Alerts of a body and connections."""
    return [(alerts, conns) for alerts in (1, 20) for conns in ((16, 64) if bench.quick else (1, 16, 64, 256))]


def measure(bench):
    """All lines of this part."""
    seen = Rounds()
    for seen.turn in range(bench.rounds):
        bench.say(f"intake, round {seen.turn + 1} of {bench.rounds}")
        one_round(bench, seen.keep)
        accept_latency(bench, seen.keep)
    return rows(bench, seen)


def one_round(bench, keep):
    """What is compared follows closely: drifts of the machine hit all of a round alike."""
    none = dict(rules=settings.rules_that_do_not_match(10))
    with bench.bare() as bare:
        for alerts, conns in cells(bench):
            bench.settle()
            what = f"bare, {alerts} alerts, {conns} connections"
            keep(("bare", alerts, conns), bench.load([bare], what=what, alerts=alerts, connections=conns))
            for mix in WORDS:
                what = f"quell, {alerts} alerts, {mix}, {conns} connections"
                # a database of its own: what was posted before would be judged meanwhile
                with bench.tolerated(what), bench.quell(**none) as quell:
                    result = bench.load([quell], what=what, path=PATH, alerts=alerts, connections=conns, mix=mix)
                    keep((mix, alerts, conns), result)
            if conns == 64:
                peers(bench, keep, alerts)
                others(bench, keep, alerts)


def peers(bench, keep, alerts):
    """The same load on servers of others."""
    webhook = bench.webhook()
    if webhook is not None:
        with webhook:
            for hook in ("runs", "other"):
                what = f"webhook, hook {hook}, {alerts} alerts"
                path = f"/hooks/{hook}"
                keep(("webhook", hook, alerts), bench.load([webhook], what=what, path=path, alerts=alerts))
    alertmanager = bench.alertmanager()
    if alertmanager is not None:
        with alertmanager:
            what = f"Alertmanager, {alerts} alerts"
            path = "/api/v2/alerts"
            result = bench.load([alertmanager], what=what, path=path, alerts=alerts, kind="alertmanager")
            keep(("alertmanager", alerts), result)


def others(bench, keep, alerts):
    """quell with a rule that takes every alert, and quell on PostgreSQL."""
    what = f"quell, {alerts} alerts, a rule takes all"
    with bench.tolerated(what), bench.quell(rules=settings.rule_that_plans()) as quell:
        keep(("taken", alerts), bench.load([quell], what=what, path=PATH, alerts=alerts))
    what = f"quell on PostgreSQL, {alerts} alerts"
    with bench.tolerated(what):
        servers = bench.replicas(1, rules=settings.rules_that_do_not_match(10))
        try:
            keep(("postgres", alerts), bench.load(servers, what=what, path=PATH, alerts=alerts))
        finally:
            stop_all(servers)


def accept_latency(bench, keep):
    """How long a webhook takes when there is no queue: at a rate, whatever the answers."""
    for rate in RATES:
        bench.settle()
        load = dict(rate=rate, connections=16, seconds=2 if bench.quick else 10)
        with bench.bare() as bare:
            keep(("bare at", rate), bench.load([bare], what=f"bare at {rate}/s", **load))
        with bench.tolerated(f"quell at {rate}/s"), bench.quell(rules=settings.rules_that_do_not_match(10)) as quell:
            keep(("at", rate), bench.load([quell], what=f"quell at {rate}/s", path=PATH, **load))


def rates(results):
    """Webhooks a second of each round."""
    return each(results, lambda it: it["ok_per_second"])


def times(results):
    """The latencies of each round."""
    return {
        "p50 ms": each(results, lambda it: it["ok"].get("p50_ms")),
        "p99 ms": each(results, lambda it: it["ok"].get("p99_ms")),
    }


def failures(results):
    """Says what was not answered 2xx."""
    lost = sum(it["answered"] - it["ok"]["n"] + it["broken"] + it["timeouts"] for it in known(results))
    return f"{lost} not answered 2xx" if lost else ""


def row(what, results, targets=()):
    """A line about a rate."""
    return Row(PART, what, "/s", rates(results), {}, list(targets), times(results), failures(results))


def rows(bench, seen):
    """The table."""
    lines = []
    for alerts, conns in cells(bench):
        bare = rates(seen["bare", alerts, conns])
        lines.append(row(f"bare axum, stores nothing; {bodies(alerts)}, {conns} connections", seen["bare", alerts, conns]))
        for mix, words in WORDS.items():
            results = seen[mix, alerts, conns]
            targets = []
            if conns == 64 and (alerts, mix) in BARE:
                targets.append(at_least(BARE[alerts, mix], "bare"))
            line = row(f"{words}; {bodies(alerts)}, {conns} connections", results, targets).against("bare", bare)
            if conns == 64 and mix == "new":
                against_peers(line, seen, alerts)
            lines.append(line)
    for alerts in (1, 20):
        bare, new = rates(seen["bare", alerts, 64]), rates(seen["new", alerts, 64])
        for name, key in (
            ("quell, a rule takes every alert", ("taken", alerts)),
            ("quell on PostgreSQL", ("postgres", alerts)),
            ("webhook, runs /bin/true", ("webhook", "runs", alerts)),
            ("webhook, no rule matches", ("webhook", "other", alerts)),
            ("Alertmanager's API", ("alertmanager", alerts)),
        ):
            line = row(f"{name}; {bodies(alerts)}, 64 connections", seen[key]).against("bare", bare)
            if not seen[key]:
                line.note = "not here"
            elif not name.startswith("quell"):
                line.against("quell", new)
            lines.append(line)
    for rate in RATES:
        latencies(lines, seen, rate)
    return lines


def against_peers(line, seen, alerts):
    """What the issue asks for: with one alert beside who runs a command, with twenty beside who keeps alerts."""
    runs, alertmanager = rates(seen["webhook", "runs", alerts]), rates(seen["alertmanager", alerts])
    line.against("webhook running a command", runs)
    line.against("Alertmanager", alertmanager)
    if alerts == 1:
        line.targets.append(at_least(6, "webhook running a command"))
    else:
        line.targets.append(at_least(3, "Alertmanager"))


def latencies(lines, seen, rate):
    """Accept latency at a rate."""
    results = seen["at", rate]
    latency = times(results)
    p99, more = latency.pop("p99 ms"), latency
    bare = times(seen["bare at", rate])["p99 ms"]
    targets = [at_most(3)] if rate == 500 else []
    what = f"accept latency p99, open loop, {rate}/s"
    lines.append(Row(PART, what, "ms", p99, {}, targets, more, failures(results)).against("bare", bare))


def bodies(alerts):
    """As people say it."""
    return "1 alert a body" if alerts == 1 else f"{alerts} alerts a body"
