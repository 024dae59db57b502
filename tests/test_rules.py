"""The grammar of gate rules, against Python's own arithmetic."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tspbench.errors import UsageError
from tspbench.rules import parse

READ = {
    "si_sdr_i > baseline - 0.2": ("si_sdr_i", ">", 1, -0.2),
    "latency_p50_s<baseline*1.10": ("latency_p50_s", "<", 1.1, 0),
    "wer <= 20%": ("wer", "<=", 0, 0.2),
    "rtf < 110% * baseline": ("rtf", "<", 1.1, 0),
    "wer[whisper=openai/whisper-base,text=raw] < 2*(baseline + .1) / 4": (
        "wer[whisper=openai/whisper-base,text=raw]", "<", 0.5, 0.05
    ),
    "leakage < -baseline - -1e1": ("leakage", "<", -1, 10),
    "SDRi@audiosep >= 8": ("SDRi@audiosep", ">=", 0, 8),
}  # fmt: skip


@pytest.mark.parametrize("text", READ)
def test_rules_are_read(text: str) -> None:
    rule = parse(text)
    figure, operator, slope, offset = READ[text]
    assert (rule.figure, rule.operator) == (figure, operator)
    assert (rule.limit.slope, rule.limit.offset) == pytest.approx((slope, offset))
    assert rule.uses_baseline == bool(slope)
    assert rule.wants_more == (operator[0] == ">")


WRONG = {
    "si_sdr": "holds none of > >= < <=",
    "> 3": "must be a figure",
    "x <": "must be a figure",
    "1 < x < 3": "must be a figure",
    "x == 3": "holds none",
    "x < 3 3": "'3' is not expected",
    "x < (baseline": "bracket is not closed",
    "x < baseline + 10%": "write baseline \\* 110%",
    "x < baselin": "'baselin' is no number",
    "x < baseline $ 2": "no number and not baseline",
    "x < baseline * baseline": "multiplied with itself",
    "x < 1 / baseline": "below a fraction bar",
    "x < baseline / 0": "divided by 0",
    "x < 2 *": "missing at its end",
    "x < 1e999": "no finite limit",
    "x < " + "(" * 5000: "longer than",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_said(text: str) -> None:
    with pytest.raises(UsageError, match=WRONG[text]):
        parse(text)


NUMBERS = st.integers(1, 99).map(str) | st.just("baseline") | st.floats(0.1, 9).map(lambda v: f"{v:.2f}")
SUMS = st.recursive(
    NUMBERS,
    lambda inner: st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda t: f"({t[0]} {t[1]} -{t[2]})"),
    max_leaves=8,
)


@given(SUMS, st.floats(-5, 5))
def test_limits_are_what_python_computes(text: str, baseline: float) -> None:
    try:
        limit = parse(f"x < {text}").limit
    except UsageError:
        return
    assert limit.at(baseline) == pytest.approx(eval(text, {"baseline": baseline}), rel=1e-6, abs=1e-6)


@given(st.text(max_size=30))
def test_nothing_breaks_the_reader(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert np.isfinite(parse(f"x < {text}").limit.at(1.0))
