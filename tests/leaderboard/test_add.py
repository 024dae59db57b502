"""What enters a leaderboard and what does not, and that a sealed result says nothing about the machine's disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tspbench import sealed
from tspbench.errors import CannotMeasure, UsageError
from tspbench.leaderboard import add
from tspbench.leaderboard.add import read_cards
from tspbench.system import known_systems

Finished = Callable[..., Path]


def test_a_finished_run_is_sealed_by_task_and_label(root: Path, finished: Finished) -> None:
    added = add(finished("mine", identity__task__name="esc50:clapsep[queries=text]"), root)
    assert added.path.parent.parent == root / "results"
    assert added.path.parent.name.startswith("esc50-clapsep-queries-text-")
    assert not added.replaced
    found = sealed.read(added.path)
    assert found.label == "mine"
    assert found.values["si_sdr"] == (1.0, 2.0, 3.0, 6.0)
    assert add(finished("mine", folder="again", identity__task__name="esc50:clapsep[queries=text]"), root).replaced


def test_a_row_may_have_a_name_of_its_own(root: Path, finished: Finished) -> None:
    assert add(finished("mine"), root, name="mine, larger").path.name.startswith("mine-larger-")
    assert sealed.read(add(finished("mine", folder="b"), root, name="mine, larger").path).label == "mine, larger"


@pytest.mark.parametrize("name", ["", "  "])
def test_a_row_without_a_readable_name_is_refused(root: Path, finished: Finished, name: str) -> None:
    with pytest.raises(UsageError, match="--name is blank"):
        add(finished("mine"), root, name=name)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"identity__task__of": 9}, "it holds 4 of the 9 trials of small. Run the whole list"),
        ({"identity__system__weights": {"random": "seed 0"}}, "the system had random weights"),
        ({"code__dirty": True}, "uncommitted changes"),
        (
            {"counts": {"expected": 4, "attempted": 4, "ok": 0, "failed": 4, "timed_out": 0}, "status": "failed"},
            "no trial succeeded",
        ),
        ({"identity__task__name": "lass-demo", "identity__task__of": None}, "it holds 4 of the 64 trials of lass-demo"),
    ],
)
def test_what_does_not_enter_is_told_why_and_leaves_nothing(
    root: Path, finished: Finished, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match="does not enter a leaderboard") as caught:
        add(finished("mine", **changes), root)
    assert said in str(caught.value)
    assert not list((root / "results").rglob("*.json"))


@pytest.mark.parametrize("changes", [{"status": "partial"}, {"status": "started"}, {"identity__task__trials": 5}])
def test_an_unfinished_run_does_not_enter(root: Path, finished: Finished, changes: dict[str, Any]) -> None:
    with pytest.raises(CannotMeasure, match="not finished"):
        add(finished("mine", **changes), root)


def test_a_dirty_run_may_be_let_in(root: Path, finished: Finished) -> None:
    assert sealed.read(add(finished("mine", code__dirty=True), root, allow_dirty=True).path).code["dirty"] is True


@pytest.mark.parametrize(
    "path", ["/home/me/models/net.safetensors", "~/models/net.safetensors", r"C:\me\net.safetensors"]
)
def test_no_path_and_no_host_of_this_machine_is_sealed(root: Path, finished: Finished, path: str) -> None:
    base = {
        "id": "snr",
        "version": 1,
        "parameters": {},
        "level": None,
        "penalty": -50.0,
        "aggregate": "mean",
        "packages": {},
        "instrument": None,
    }
    added = add(
        finished(
            "mine",
            {"snr": [1.0, 2.0]},
            metrics=[base],
            profile={"note": path},
            identity__system__options={"weights": path, "rate": "1/2"},
        ),
        root,
    )
    text = added.path.read_text()
    assert "net.safetensors" in text
    for secret in ("/home/", "~/", "models", "C:", "somehost", "/me/"):
        assert secret not in text
    assert sealed.read(added.path).identity["system"]["options"]["rate"] == "1/2"


def test_hub_ids_and_addresses_are_left_alone(root: Path, finished: Finished) -> None:
    options = {"weights": "hub/name", "url": "https://example.org/a/b", "ratio": "3/4", "pattern": "a / b"}
    added = add(finished("mine", identity__system__options=options), root)
    assert sealed.read(added.path).identity["system"]["options"] == options


def test_cards_are_kept_while_their_system_is_on_a_board(root: Path, finished: Finished) -> None:
    add(finished("nmf", identity__system__digest="d1"), root)
    add(finished("estimates"), root)
    card = read_cards(root)["d1"]
    assert card["bundled"] is True
    assert card["training_sets"] == []
    assert set(read_cards(root)) == {"d1"}
    add(finished("nmf", folder="later", identity__system__digest="d2"), root)
    assert set(read_cards(root)) == {"d2"}


def test_what_a_cascade_is_told_is_what_its_extractor_is(root: Path, finished: Finished) -> None:
    options = {"extractor": "nmf", "recogniser": "recogniser"}
    made = {"identity__system__options": options, "identity__system__digest": "d1"}
    add(finished("cascade", folder="a", queries=["audio", "text"], **made), root)
    assert read_cards(root)["d1"]["told"] == ["audio", "text"]
    add(finished("cascade", folder="b", **made), root)  # written before runs said so
    card = known_systems()["nmf"].card
    assert card is not None
    assert read_cards(root)["d1"]["told"] == sorted(kind.value for kind in card.queries) != ["enrolment"]


def test_a_cascade_was_trained_on_what_its_parts_were(root: Path, finished: Finished) -> None:
    options = {"extractor": "td-speakerbeam", "recogniser": "recogniser"}
    add(finished("cascade", identity__system__options=options, identity__system__digest="d1"), root)
    assert read_cards(root)["d1"]["training_sets"] == ["Libri2Mix train-100"]
    assert read_cards(root)["d1"]["told"] == ["enrolment"]


def test_estimates_under_a_bundled_name_do_not_borrow_its_card(root: Path, finished: Finished) -> None:
    add(finished("nmf", identity__system__code=""), root)
    assert read_cards(root) == {}


def test_a_damaged_file_of_cards_is_named(root: Path, finished: Finished) -> None:
    (root / "results" / "systems.json").write_text(json.dumps([1]))
    with pytest.raises(UsageError, match=r"systems\.json is damaged"):
        add(finished("mine"), root)
