"""Memory under a long load: at four fifths of what it can take, it must not grow."""

from .. import settings
from ..process import Watch
from ..report import Row, at_most, median
from .intake import PATH

PART = "soak"
PART_OF_PEAK = 0.8


def measure(bench):
    """One run: what a site sends, mostly repeats, at 80 % of the most that it takes."""
    load = dict(path=PATH, mix="mixed", connections=64)
    files = dict(rules=settings.rules_that_do_not_match(10))
    with bench.quell(**files) as quell:
        peak = bench.load([quell], what="soak, peak", seconds=2 if bench.quick else 10, **load)["ok_per_second"]
    rate, lasts = peak * PART_OF_PEAK, 6 if bench.quick else bench.soak_s
    bench.say(f"soak: {rate:,.0f} webhooks a second for {lasts} s")
    with bench.quell(**files) as quell:
        with Watch(0.2 if bench.quick else 1, quell.memory_mb) as watch:
            result = bench.load([quell], what="soak", rate=rate, seconds=lasts, warm=0, drain=10, within_s=lasts + 120, **load)
    memory = watch.seen
    result["memory_mb"] = memory[:: max(1, len(memory) // 200)]
    fifth = max(1, len(memory) // 5)
    # the first fifth is warming up: caches and pools fill
    early, late = median(memory[fifth : 2 * fifth]), median(memory[-fifth:])
    grown = {"MB in the second fifth": [early], "MB in the last": [late], "most MB": [max(memory)]}
    answered = result["ok"]["n"] / (rate * lasts)
    times = {"p50 ms": [result["ok"]["p50_ms"]], "p99 ms": [result["ok"]["p99_ms"]]}
    return [
        Row(PART, f"memory, last fifth to second fifth, {lasts / 60:.0f} min at {PART_OF_PEAK:.0%} of peak", "×",
            [late / early], {}, [at_most(1.1)], grown),
        Row(PART, "answered 2xx of what was due", "", [answered], {}, [], times),
    ]
