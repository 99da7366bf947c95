"""Resident memory: idle, under load, and with so many open incidents. And the size of the binary."""

import os
import time

from .. import settings
from ..process import Failed, metric, metrics, until
from ..report import Row, at_most
from .intake import PATH

PART = "memory"
# incidents are opened by the engine, behind the intake
OPENED_WITHIN_S = 1500


def measure(bench):
    """All lines of this part."""
    idle, loaded = [], []
    for turn in range(bench.rounds):
        bench.say(f"memory, round {turn + 1} of {bench.rounds}")
        with bench.quell(rules=settings.rules_that_do_not_match(10)) as quell:
            time.sleep(0.5 if bench.quick else 3)
            idle.append(quell.memory_mb())
            bench.load([quell], what="memory under load", path=PATH, connections=256, alerts=20)
            loaded.append(quell.memory_mb("VmHWM"))
    megabytes = os.stat(bench.quell_binary).st_size / 1e6
    return [
        Row(PART, "resident, idle, 10 rules", "MB", idle, {}, [at_most(30)]),
        Row(PART, "most resident, 20 alerts a body, 256 connections", "MB", loaded),
        incidents(bench),
        Row(PART, f"binary, profile {bench.profile}", "MB", [megabytes]),
    ]


def incidents(bench):
    """An incident for each alert: they are made once, since that takes longest of all."""
    wanted = 2_000 if bench.quick else 100_000
    what = f"resident with {wanted:,} open incidents"
    bench.say(f"memory: {wanted:,} incidents, at most {OPENED_WITHIN_S} s")
    with bench.quell(rules=settings.rule_that_tells()) as quell:
        began = time.monotonic()
        bench.load([quell], what="open incidents", path=PATH, alerts=20, count=wanted // 20, connections=8, warm=0,
                   seconds=600, timeout=60)

        def opened():
            return metric(metrics(quell.port, 30), "quell_incidents_open")

        note = ""
        try:
            until("opening the incidents", OPENED_WITHIN_S, lambda: opened() >= wanted, every_s=2)
        except Failed:
            note = f"only {opened():,.0f} were open by then"
        took = time.monotonic() - began
        more = {"s until they were open": [took], "most MB": [quell.memory_mb("VmHWM")]}
        return Row(PART, what, "MB", [quell.memory_mb()], {}, [at_most(300)], more, note)
