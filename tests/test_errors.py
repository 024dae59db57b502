"""Errors say what was wrong and survive the way home from a worker process."""

from __future__ import annotations

import pickle

import pytest

from tspbench import errors
from tspbench.errors import MissingExtra, TspbenchError, UnknownName, nearest


def subclasses(cls: type[TspbenchError]) -> list[type[TspbenchError]]:
    return [cls, *(found for child in cls.__subclasses__() for found in subclasses(child))]


@pytest.mark.parametrize(
    ("name", "known", "said"),
    [
        ("mixtrue", ["mixture", "silence"], "Did you mean mixture?"),
        ("zzz", ["silence", "mixture"], "Known: mixture, silence."),
        ("voices", ["demo-voices-tse", "lass"], "Did you mean demo-voices-tse?"),
        ("", ["b", "a"], "Known: a, b."),
        ("x", [], "None is known."),
    ],
)
def test_nearest_names_what_is_close_or_else_everything(name: str, known: list[str], said: str) -> None:
    assert nearest(name, known) == said


def test_nearest_names_at_most_three() -> None:
    assert nearest("sdr", ["sdr0", "sdr1", "sdr2", "sdr3", "sdr4"]).count("sdr") == 3


def test_an_unknown_name_says_what_was_asked_and_where_to_look() -> None:
    error = UnknownName("task", "lass-dmeo", ["lass-demo"], "List them with: tspbench list tasks.")
    assert str(error) == (
        "There is no task called 'lass-dmeo'. Did you mean lass-demo? List them with: tspbench list tasks."
    )


def test_a_missing_extra_names_the_command() -> None:
    assert str(MissingExtra("The metric 'spk_cos'", "speaker")).endswith("pip install 'tspbench[speaker]'")


@pytest.mark.parametrize(
    "error",
    [
        UnknownName("metric", "sdir", ["sdr"], "hint"),
        MissingExtra("This", "speaker"),
        errors.AudioError("a.wav does not exist."),
        errors.CannotMeasure("nothing"),
    ],
)
def test_errors_pickle_whole(error: TspbenchError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_exit_codes_follow_the_branch_of_the_tree() -> None:
    for cls in subclasses(errors.UsageError):
        assert cls.exit_code == 2, cls
    for cls in subclasses(errors.CannotMeasure):
        assert cls.exit_code == 3, cls
    assert issubclass(errors.UsageError, ValueError)
