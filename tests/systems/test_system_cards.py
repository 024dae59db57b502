"""Every card that ships says what its class does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tspbench.systems
from tspbench.errors import MissingExtra
from tspbench.system import System, SystemRef, Verification, import_class, known_systems, options_of
from tspbench.types import QueryKind, TaskKind

HOME = Path(next(iter(tspbench.systems.__path__)))
BUNDLED = {name: ref for name, ref in known_systems().items() if ref.module.startswith("tspbench.systems.")}
each = pytest.mark.parametrize("ref", BUNDLED.values(), ids=list(BUNDLED))


def class_of(ref: SystemRef) -> type[Any]:
    try:
        return import_class(ref)
    except MissingExtra as error:
        pytest.skip(str(error))


def test_every_card_is_found_under_a_name_of_its_own() -> None:
    assert len(BUNDLED) == len(list(HOME.glob("*/*card.toml")))


@pytest.mark.parametrize("name", ["mixture", "silence", "clean", "oracle-ibm", "oracle-irm", "oracle-psm"])
def test_bounds_serve_every_kind(name: str) -> None:
    card = BUNDLED[name].card
    assert card is not None
    assert card.role == "bound"
    assert set(card.kinds) == set(TaskKind)


@each
def test_card_agrees_with_class(ref: SystemRef) -> None:
    system, card = class_of(ref)(), ref.card
    assert card is not None
    assert set(card.queries) == set(getattr(system, "queries", ()))
    assert card.aligned == getattr(system, "aligned", True)
    assert card.sample_rate == getattr(system, "sample_rate", None)


@each
def test_options_are_typed_and_have_defaults(ref: SystemRef) -> None:
    for option in options_of(class_of(ref)).values():
        assert option.default is not option.empty, option
        assert option.annotation is not option.empty, option


@each
def test_class_does_what_the_kinds_ask(ref: SystemRef) -> None:
    cls, card = class_of(ref), ref.card
    assert card is not None
    does = {name for name in ("extract", "transcribe") if getattr(cls, name, None) not in (None, getattr(System, name))}
    assert does
    if set(card.kinds) & {TaskKind.LASS, TaskKind.TSE}:
        assert "extract" in does


@each
def test_card_is_complete(ref: SystemRef) -> None:
    card = ref.card
    assert card is not None
    assert card.kinds
    assert card.devices
    assert card.summary
    assert "\n" not in card.summary
    assert len(card.summary) <= 120
    assert card.code_licence
    assert card.weights_licence
    assert card.batch_size >= 1


@each
def test_truth_makes_a_bound(ref: SystemRef) -> None:
    card = ref.card
    assert card is not None
    told = QueryKind.TRUTH in card.queries
    assert card.role == "bound" if told else True
    assert bool(card.side_information) or not told
    assert (card.role == "bound") == (card.verification is Verification.BOUND)


def test_listing_imports_no_system() -> None:
    code = (
        "import sys; from tspbench.system import known_systems; known_systems();"
        "print([m for m in sys.modules if m.startswith('tspbench.systems.') or m in ('torch', 'scipy')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
