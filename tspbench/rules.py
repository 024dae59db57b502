"""Rules of a gate: ``si_sdr_i > baseline - 0.2``, ``latency_p50_s < baseline * 1.10``, ``wer < 20%``.

::

    rule   = figure (">" | ">=" | "<" | "<=") sum
    sum    = term {("+" | "-") term}
    term   = factor {("*" | "/") factor}
    factor = ["-"] (number ["%"] | "baseline" | "(" sum ")")

A figure is a metric's id or a figure of a profile. ``110%`` is 1.1 and may only
stand beside ``*`` or ``/``, or alone: what ``baseline + 10%`` adds would depend on
the reader. The right side is a * baseline + b.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tspbench.errors import UsageError

LONGEST = 300
_OPERATOR = re.compile(r">=|<=|>|<")
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<word>[A-Za-z_]\w*)|(?P<sign>[-+*/()%]))"
)


@dataclass(frozen=True)
class Linear:
    """``slope * baseline + offset``; ``percent`` while it is a bare percentage."""

    slope: float
    offset: float
    percent: bool = False

    def at(self, baseline: float) -> float:
        return self.slope * baseline + self.offset


@dataclass(frozen=True)
class Rule:
    """A rule that was read: the figure shall lie on the ``operator`` side of ``limit``."""

    text: str
    figure: str
    operator: str
    limit: Linear

    @property
    def wants_more(self) -> bool:
        """True for > and >=."""
        return self.operator[0] == ">"

    @property
    def uses_baseline(self) -> bool:
        return self.limit.slope != 0

    def holds(self, excess: float) -> bool:
        """Is the figure minus the limit on the right side of 0?"""
        return {">": excess > 0, ">=": excess >= 0, "<": excess < 0, "<=": excess <= 0}[self.operator]


def parse(text: str) -> Rule:
    """Read a rule.

    Raises
    ------
    UsageError
        It breaks the grammar; the message says where.
    """
    found = _OPERATOR.search(text)
    if found is None:
        raise UsageError(f"The rule {text!r} holds none of > >= < <=. Write for instance: si_sdr_i > baseline - 0.2")
    figure, rest = text[: found.start()].strip(), text[found.end() :]
    if not figure or not rest.strip() or _OPERATOR.search(rest):
        raise UsageError(f"The rule {text!r} must be a figure, one of > >= < <=, and a limit.")
    if len(text) > LONGEST:
        raise UsageError(f"The rule {text[:20]!r}… is longer than {LONGEST} characters.")
    limit = _Reader(text, rest).limit()
    if not math.isfinite(limit.slope) or not math.isfinite(limit.offset):
        raise UsageError(f"The rule {text!r} sets no finite limit.")
    return Rule(text.strip(), figure, found[0], limit)


class _Reader:
    """Recursive descent over the right side of a rule."""

    def __init__(self, rule: str, text: str) -> None:
        self.rule = rule
        self.tokens = [*self._split(text.rstrip()), ""]

    def limit(self) -> Linear:
        found = self._sum()
        if self.tokens[0]:
            raise self._wrong(f"{self.tokens[0]!r} is not expected there")
        return found

    def _split(self, text: str) -> Iterator[str]:
        place = 0
        while place < len(text):
            match = _TOKEN.match(text, place)
            if match is None:
                raise self._wrong(f"{text[place:].strip()!r} is no number and not baseline")
            place = match.end()
            yield match[0].strip()

    def _sum(self) -> Linear:
        left = self._term()
        while self.tokens[0] in ("+", "-"):
            sign = 1.0 if self.tokens.pop(0) == "+" else -1.0
            right = self._term()
            if left.percent or right.percent:
                raise self._wrong("a percentage is added; write baseline * 110%, say")
            left = Linear(left.slope + sign * right.slope, left.offset + sign * right.offset)
        return left

    def _term(self) -> Linear:
        left = self._factor()
        while self.tokens[0] in ("*", "/"):
            operator, right = self.tokens.pop(0), self._factor()
            if operator == "*" and left.slope == 0:
                left, right = right, left
            if right.slope:
                raise self._wrong("baseline may not be multiplied with itself or stand below a fraction bar")
            if operator == "/" and right.offset == 0:
                raise self._wrong("something is divided by 0")
            by = right.offset if operator == "*" else 1 / right.offset
            left = Linear(left.slope * by, left.offset * by)
        return left

    def _factor(self) -> Linear:
        token = self.tokens.pop(0)
        if token == "-":
            inner = self._factor()
            return Linear(-inner.slope, -inner.offset, inner.percent)
        if token == "(":
            inner = self._sum()
            if self.tokens.pop(0) != ")":
                raise self._wrong("a bracket is not closed")
            return inner
        if token == "baseline":
            return Linear(1.0, 0.0)
        if token[:1].isdigit() or token[:1] == ".":
            return self._number(token)
        raise self._wrong(f"{token!r} is no number and not baseline" if token else "something is missing at its end")

    def _number(self, token: str) -> Linear:
        if self.tokens[0] == "%":
            self.tokens.pop(0)
            return Linear(0.0, float(token) / 100, percent=True)
        return Linear(0.0, float(token))

    def _wrong(self, why: str) -> UsageError:
        return UsageError(f"The rule {self.rule!r} cannot be read: {why}.")
