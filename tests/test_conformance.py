"""The conformance suite: an honest system passes, and every vice is found by the check that is named for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tspbench import conformance
from tspbench.conformance import CHECKS, Verdict, assert_conforms, check_system
from tspbench.errors import UnknownName, UsageError
from tspbench.system import Card, find_system, known_systems
from tspbench.types import QueryKind, TaskKind

FILE = Path(__file__).parent / "conformance_systems.py"
ALL = set(CHECKS)
COMPARES = {"deterministic under a seed", "batch of 1 equals batch of N", "padding does not leak"}
SHAPED = {"output shape and dtype", "finite", "survives silence", "0.1 s input", "60 s input"} | COMPARES
BATCHED = {"output shape and dtype", "finite", "deterministic under a seed", "batch of 1 equals batch of N"}


def name_of(system: str) -> str:
    return f"{FILE}:{system}"


def failed(verdicts: list[Verdict]) -> set[str]:
    return {verdict.name for verdict in verdicts if verdict.outcome == "failed"}


@pytest.mark.parametrize("system", ["Honest", "HonestWords", "Torchlike", "Minimal"])
def test_an_honest_system_passes(system: str) -> None:
    verdicts = check_system(name_of(system))
    assert [verdict.name for verdict in verdicts] == list(CHECKS)
    assert failed(verdicts) == set(), verdicts


def test_a_check_that_does_not_apply_is_skipped_with_a_reason() -> None:
    verdict = check_system(name_of("Minimal"), only="each query alone")[0]
    assert (verdict.outcome, verdict.message) == ("skipped", "declares fewer than two kinds of query")


@pytest.mark.parametrize(
    ("system", "checks", "said"),
    [
        ("WrongShape", SHAPED, "extract returned shape (3, 31999) for mixtures of shape (3, 32000)"),
        ("OneDimension", SHAPED, "extract returned shape (3,) for mixtures"),
        ("Double", {"output shape and dtype"}, "extract returned float64; expected float32"),
        ("NaNOnSilence", {"survives silence"}, "the output holds NaN or infinity"),
        ("Unseeded", COMPARES, "two calls with the same seed differ by"),
        ("BatchMax", {"batch of 1 equals batch of N"}, "in a batch and alone differ by"),
        ("MeanOverPadding", {"padding does not leak", "batch of 1 equals batch of N"}, "differ by"),
        ("InPlace", {"leaves its inputs alone"}, "were changed in place"),
        ("InPlaceQuery", {"leaves its inputs alone"}, "were changed in place"),
        ("DiesOnLong", {"60 s input"}, "the worker process exited with code 7"),
        ("RaisesOnShort", {"0.1 s input"}, "ValueError: too short"),
        ("NeedsBoth", {"each query alone"}, "told audio only: TypeError"),
        ("NegativeOnly", {"declares honestly"}, "queries names negative kinds only"),
        ("OddRate", {"declares honestly"}, "sample_rate is 12; expected a rate in Hz or None"),
        (
            "OneText",
            BATCHED,
            "expected a list of 3 texts",
        ),
        ("NumberForWords", SHAPED, "transcribe returned 7"),
        ("CannotLoad", ALL - {"declares honestly", "each query alone"}, "OSError: no weights here"),
    ],
)
def test_a_vice_fails_the_checks_that_name_it_and_no_other(system: str, checks: set[str], said: str) -> None:
    verdicts = check_system(name_of(system))
    assert failed(verdicts) == checks
    named = [verdict for verdict in verdicts if verdict.name in checks]
    assert any(said in verdict.message for verdict in named), named


def test_a_crash_costs_the_other_checks_nothing() -> None:
    verdicts = check_system(name_of("DiesOnLong"))
    assert [verdict.name for verdict in verdicts] == list(CHECKS)
    after = {verdict.name: verdict.outcome for verdict in verdicts}
    assert after["leaves its inputs alone"] == "passed"


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        ({"queries": ()}, "the card says queries = set()"),
        ({"aligned": False}, "the card says aligned = False, the class says True"),
        ({"sample_rate": 16000}, "the card says sample_rate = 16000, the class says 8000"),
    ],
)
def test_a_card_that_lies_is_found_out(monkeypatch: pytest.MonkeyPatch, lie: dict[str, object], said: str) -> None:
    queries = (QueryKind.AUDIO, QueryKind.ENROLMENT, QueryKind.NEGATIVE_TEXT, QueryKind.TEXT, QueryKind.TRUTH)
    honest = Card("honest", "", "conformance_systems:Honest", (TaskKind.LASS,), queries=queries, sample_rate=8000)

    def checked(card: Card) -> Verdict:
        monkeypatch.setattr(conformance, "find_system", lambda name: replace(find_system(name), card=card))
        return check_system(name_of("Honest"), only="declares honestly")[0]

    assert checked(honest).outcome == "passed"
    verdict = checked(replace(honest, **lie))
    assert verdict.outcome == "failed"
    assert said in verdict.message


def test_options_reach_the_system() -> None:
    assert failed(check_system(name_of("Optional"), {"broken": "false"}, only="finite")) == set()
    assert failed(check_system(name_of("Optional"), {"broken": "true"}, only="finite")) == {"finite"}
    with pytest.raises(UsageError, match=r"Optional has no option 'brokn'. Did you mean broken\?"):
        check_system(name_of("Optional"), {"brokn": "true"})


def test_assert_conforms_raises_the_finding() -> None:
    assert_conforms(name_of("Minimal"), "finite")
    with pytest.raises(AssertionError, match=r"Double: output shape and dtype: extract returned float64"):
        assert_conforms(name_of("Double"), "output shape and dtype")


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("mixtrue", UnknownName, "Did you mean mixture?"),
        (name_of("Honset"), UnknownName, "Did you mean Honest"),
        (name_of("CannotBuild"), UsageError, "cannot be built: RuntimeError: in the constructor"),
        (name_of("UnknownQuery"), UsageError, "'smell' is not a valid QueryKind. Known kinds: text, "),
    ],
)
def test_what_cannot_be_built_is_refused(name: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error) as caught:
        check_system(name)
    assert said in str(caught.value)


def test_an_unknown_check_gives_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"There is no check called 'finit'. Did you mean finite\?"):
        check_system("mixture", only="finit")


def test_bundled_bounds_conform() -> None:
    assert "mixture" in known_systems()
    assert failed(check_system("mixture")) == set()
