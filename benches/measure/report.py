"""The table: what, its figure, its ratio to what ran beside it in the same round, and whether the target is met."""

import statistics
from dataclasses import dataclass, field



def known(values):
    """Without the rounds that could not be measured."""
    return [value for value in values if value is not None]


def median(values):
    """Of those that are known."""
    return statistics.median(known(values))


def each(results, figure):
    """A figure of each round; None for one that could not be measured, or has no such figure."""
    return [None if result is None else figure(result) for result in results]


class Rounds:
    """What came of each round, by what was measured. One that fails in one round keeps its place there: ratios are made within
    a round."""

    def __init__(self):
        self.turn = 0
        self._seen = {}

    def keep(self, key, result):
        """What this round came to."""
        results = self._seen.setdefault(key, [])
        results += [None] * (self.turn - len(results)) + [result]

    def __getitem__(self, key):
        """Of all rounds; empty when there was none."""
        results = self._seen.get(key, [])
        return results + [None] * (self.turn + 1 - len(results)) if results else []


@dataclass
class Target:
    """A bound on the figure, or on its ratio to what ran beside it."""

    bound: float
    at_least: bool
    # of which ratio; None for the figure itself
    beside: str | None = None

    def words(self, unit):
        """As people read it."""
        sign = "≥" if self.at_least else "≤"
        return f"{sign} {number(self.bound)} × {self.beside}" if self.beside else f"{sign} {number(self.bound)} {unit}"

    def is_met(self, row):
        """None when it was not measured."""
        values = row.beside.get(self.beside, []) if self.beside else row.figures
        if not known(values):
            return None
        return median(values) >= self.bound if self.at_least else median(values) <= self.bound


def at_least(bound, beside=None):
    """A target."""
    return Target(bound, True, beside)


def at_most(bound, beside=None):
    """A target."""
    return Target(bound, False, beside)


@dataclass
class Row:
    """One line: a figure for each round, and its ratios to others in the same round."""

    part: str
    what: str
    unit: str
    figures: list
    beside: dict = field(default_factory=dict)
    targets: list = field(default_factory=list)
    # other figures of the same rounds, such as latencies
    more: dict = field(default_factory=dict)
    note: str = ""

    def against(self, name, others):
        """Adds the ratio to what was measured beside it, round by round; those that were not are left out."""
        pairs = zip(self.figures, others or [])
        ratios = [figure / other for figure, other in pairs if other and figure is not None]
        if ratios:
            self.beside[name] = ratios
        return self

    def verdict(self):
        """met, missed, or what could not be said."""
        if not self.targets:
            return ""
        met = [target.is_met(self) for target in self.targets]
        if False in met:
            return "**missed**"
        return "not measured" if None in met else "met"

    def cells(self):
        """The columns of the table."""
        figures = known(self.figures)
        if figures:
            figure = f"{number(median(figures))} {self.unit}"
            if len(figures) > 1:
                figure += f" ({number(min(figures))}–{number(max(figures))})"
        else:
            figure = "–"
        more = [f"{name} {number(median(values))}" for name, values in self.more.items() if known(values)]
        if more:
            figure += "; " + ", ".join(more)
        if self.note:
            figure += f"; {self.note}"
        ratios = ", ".join(f"{ratio(median(values))} × {name}" for name, values in self.beside.items())
        targets = ", ".join(target.words(self.unit) for target in self.targets)
        return [self.what, figure, ratios, targets, self.verdict()]

    def as_json(self):
        """All that is known of it."""
        return {
            "part": self.part, "what": self.what, "unit": self.unit, "rounds": self.figures, "beside": self.beside,
            "more": self.more, "targets": [it.words(self.unit) for it in self.targets], "verdict": self.verdict(),
            "note": self.note,
        }


def number(value):
    """Three digits that mean something, and thousands apart."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def ratio(value):
    """What is below a hundredth is only small."""
    return number(value) if value >= 0.01 else "< 0.01"


HEAD = ["what", "figure: median of rounds (lowest–highest)", "beside it in the same round", "target", ""]


def table(rows):
    """As Markdown."""
    lines = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    part = None
    for row in rows:
        if row.part != part:
            part = row.part
            lines.append(f"| **{part}** |" + " |" * (len(HEAD) - 1))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in row.cells()) + " |")
    return "\n".join(lines)
