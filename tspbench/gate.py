"""Has a system become worse than its baseline by more than a margin? For continuous integration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from tspbench import stats
from tspbench.errors import UsageError
from tspbench.identity import differences, remarks
from tspbench.metrics import resolve
from tspbench.pairing import Paired, paired
from tspbench.rules import Rule, parse
from tspbench.sealed import Sealed

Outcome = Literal["passed", "regressed", "undecided", "unmeasured"]
CONFIDENCE = 0.95
FIGURE_ENDINGS = ("_s", "_bytes", "_x", "rtf", "parameters", "length_exponent")
"""How the names of a profile's figures end: a rule about one asks for a profile."""
OF_NO_LENGTH = ("load_s", "parameters", "trainable_parameters", "algorithmic_latency_s")
"""Figures that do not depend on which lengths and batch sizes were measured."""


@dataclass(frozen=True)
class Result:
    """What became of one rule.

    ``passed``: shown at the confidence. ``regressed``: the contrary is shown.
    ``undecided``: neither; more trials would tell. ``unmeasured``: the question
    could not be put, see ``why``. ``bound`` is the one-sided bound of
    figure - limit that decided, ``value`` and ``baseline`` are the figures.
    """

    rule: str
    outcome: Outcome
    why: str
    value: float | None = None
    baseline: float | None = None
    limit: float | None = None
    bound: float | None = None
    trials: int | None = None
    clusters: int | None = None


@dataclass(frozen=True)
class Gate:
    """All rules of a gate."""

    confidence: float
    results: tuple[Result, ...]
    remarks: tuple[str, ...]

    @property
    def outcome(self) -> Outcome:
        """The gravest: regressed, then what could not be told, then passed."""
        order: tuple[Outcome, ...] = ("regressed", "unmeasured", "undecided")
        return next((one for one in order if any(each.outcome == one for each in self.results)), "passed")

    @property
    def exit_code(self) -> int:
        """0 passed, 1 regressed, 3 could not be told."""
        return {"passed": 0, "regressed": 1}.get(self.outcome, 3)

    def as_dict(self) -> dict[str, Any]:
        rules = [asdict(each) for each in self.results]
        return {"kind": "gate", "outcome": self.outcome, "confidence": self.confidence, "rules": rules,
                "remarks": list(self.remarks)}  # fmt: skip


def gate(run: Sealed, baseline: Sealed | None, rules: Sequence[str], confidence: float = CONFIDENCE) -> Gate:
    """Hold a finished run against rules.

    A rule on a metric passes when the one-sided bound of figure - limit at
    ``confidence``, from a cluster bootstrap paired by trial, is on its side. A
    rule on a figure of the profile (latency, memory) compares the two figures
    as they are. All rules must pass, which asks for no correction.

    Raises
    ------
    UsageError
        A rule cannot be read, names nothing that exists, points the wrong way,
        or speaks of a baseline where none is given.
    """
    if not 0.5 < confidence < 1:
        raise UsageError(f"--confidence {confidence}: a number between 0.5 and 1, such as 0.95.")
    if not rules:
        raise UsageError("A gate needs a rule, such as --rule 'si_sdr_i > baseline - 0.2'.")
    read = [parse(text) for text in rules]
    for rule in read:
        _refuse_nonsense(rule, run, baseline)
    results = [_result(rule, run, baseline, confidence) for rule in read]
    metrics = [rule.figure for rule in read if not _is_figure(rule.figure, run, baseline)]
    told = remarks(run, baseline, metrics) if baseline else []
    return Gate(confidence, tuple(results), tuple(told))


def _refuse_nonsense(rule: Rule, run: Sealed, baseline: Sealed | None) -> None:
    if rule.uses_baseline and baseline is None:
        raise UsageError(f"The rule {rule.text!r} speaks of a baseline: give one with --baseline.")
    if _is_figure(rule.figure, run, baseline):
        return
    declared = run.summary["metrics"].get(rule.figure)
    better_more = declared["higher_is_better"] if declared else resolve(rule.figure).higher_is_better
    if better_more != rule.wants_more:
        turned = rule.text.replace(rule.operator, {">": "<", "<": ">"}[rule.operator[0]] + rule.operator[1:], 1)
        kind = "higher" if better_more else "lower"
        raise UsageError(f"The rule {rule.text!r} asks for a bad value: {kind} is better. Did you mean {turned!r}?")


def _is_figure(name: str, *sealeds: Sealed | None) -> bool:
    """Is this a profile's figure, not a metric?"""
    known = any(name in (one.profile or {}).get("figures", {}) for one in sealeds if one)
    scored = any(name in one.values for one in sealeds if one)
    return known or (not scored and "[" not in name and name.endswith(FIGURE_ENDINGS))


def _result(rule: Rule, run: Sealed, baseline: Sealed | None, confidence: float) -> Result:
    if _is_figure(rule.figure, run, baseline):
        return _of_profile(rule, run, baseline)
    against = baseline if rule.uses_baseline else None
    why = _cannot_pair(rule, run, against)
    pair = None if why else paired(run, against or run, rule.figure)
    if pair is None:
        return Result(rule.text, "unmeasured", why or f"{rule.figure} applies to no trial of both")
    rate = run.summary["metrics"][rule.figure]["unit"] == "rate"
    return _of_metric(rule, pair, against is not None, confidence, rate)


def _cannot_pair(rule: Rule, run: Sealed, against: Sealed | None) -> str:
    for name, one in (("run", run), ("baseline", against)):
        if one is not None and rule.figure not in one.values:
            return f"the {name} was not scored with {rule.figure}"
    found = differences(run, against, [rule.figure]) if against else []
    return f"the baseline is another measurement: {'; '.join(found)}" if found else ""


def _of_metric(rule: Rule, pair: Paired, has_baseline: bool, confidence: float, rate: bool) -> Result:
    value, base = pair.first.mean, pair.second.mean if has_baseline else None
    limit = rule.limit.at(base or 0.0)
    clusters = len(set(pair.clusters))
    figures: dict[str, Any] = {"value": value, "baseline": base, "limit": limit, "trials": len(pair.places),
                               "clusters": clusters}  # fmt: skip
    if clusters < stats.FEWEST:
        why = f"too few trials: {clusters} clusters of trials, at least {stats.FEWEST} are needed"
        return Result(rule.text, "unmeasured", why, **figures)
    first, second = ((side.tops, side.bottoms) for side in (pair.first, pair.second))
    found = stats.bounds(first, second if has_baseline else None, pair.clusters, confidence, rule.limit.slope)
    assert found is not None
    alike = rate and not has_baseline and found[0] == found[1]
    unseen = stats.unseen(clusters, confidence) if alike else 0.0
    low, high = found[0] - rule.limit.offset - unseen, found[1] - rule.limit.offset + unseen
    bad, good = (low, high) if rule.wants_more else (high, low)
    sure = f"at {confidence:.0%} confidence{_penalties(pair, has_baseline)}"
    if rule.holds(bad):
        return Result(rule.text, "passed", f"shown {sure}", bound=bad, **figures)
    if not rule.holds(good):
        return Result(rule.text, "regressed", f"the contrary is shown {sure}", bound=good, **figures)
    why = f"neither shown nor refuted {sure}; {_would_decide(value - limit, low, high, len(pair.places))}"
    return Result(rule.text, "undecided", why, bound=bad, **figures)


def _penalties(pair: Paired, has_baseline: bool) -> str:
    """What a reader of the figures must know: they may be penalties more than scores."""
    sides = {"run": pair.first} | ({"baseline": pair.second} if has_baseline else {})
    counts = {name: int(side.penalised.sum()) for name, side in sides.items()}
    said = " and ".join(f"{count} of the {name}" for name, count in counts.items() if count)
    return f" ({said} without a score count as the penalty)" if said else ""


def _would_decide(excess: float, low: float, high: float, trials: int) -> str:
    """About how many trials would tell, if the figures stayed as they are: widths shrink with the root."""
    reach = excess - low if excess > 0 else high - excess
    needed = trials * (reach / excess) ** 2 if excess else math.inf
    return f"about {math.ceil(needed):d} trials would tell" if needed < 1000 * trials else "it lies on the limit"


def _of_profile(rule: Rule, run: Sealed, baseline: Sealed | None) -> Result:
    asked = [("run", run)] + ([("baseline", baseline)] if baseline and rule.uses_baseline else [])
    values = []
    for name, one in asked:
        if one.profile is None:
            return Result(rule.text, "unmeasured", f"the {name} has no profile (tspbench profile --run …)")
        value = one.profile.get("figures", {}).get(rule.figure)
        if not isinstance(value, int | float) or not np.isfinite(value):
            return Result(rule.text, "unmeasured", f"the profile of the {name} has no {rule.figure}")
        values.append(float(value))
    now, then = (_circumstances(one, rule.figure) for one in (run, asked[-1][1]))
    differs = [
        f"other {name}: {now[name]} now, {then[name]} in the baseline" for name in now if now[name] != then[name]
    ]
    if differs:
        return Result(rule.text, "unmeasured", "; ".join(differs))
    base = values[1] if len(values) > 1 else None
    limit = rule.limit.at(base or 0.0)
    holds = rule.holds(values[0] - limit)
    outcome: Outcome = "passed" if holds else "regressed"
    return Result(rule.text, outcome, "figures of the profile, as they are", values[0], base, limit)


def _circumstances(one: Sealed, figure: str) -> dict[str, str]:
    """What must be equal for two figures to be comparable: a second of audio costs less than ten."""
    profile: Mapping[str, Any] = one.profile or {}
    found = {"hardware": str(profile.get("hardware_key", "unknown"))}
    if figure in OF_NO_LENGTH:
        return found
    settings, figures = profile.get("settings", {}), profile.get("figures", {})
    asked = {"lengths of audio": settings.get("seconds"), "batch sizes": settings.get("batch")}
    return found | {"reference length": str(figures.get("reference_seconds"))} | {k: str(v) for k, v in asked.items()}
