"""Lengths of mixtures told before they are made, against the mixtures that are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import soundfile

from tspbench.runner.lengths import mixture_seconds, planned_batches
from tspbench.stage import FileReader, Stage
from tspbench.task import load_task
from tspbench.types import Clip, Mix, Role, Source, Trial

RATE = 1000


@pytest.fixture
def reader(tmp_path: Path) -> FileReader:
    for name, seconds in {"one": 1.0, "two": 2.0, "three": 3.0}.items():
        soundfile.write(tmp_path / f"{name}.wav", np.full(round(seconds * RATE), 0.1, np.float32), RATE)
    return FileReader(tmp_path)


def mixed(length: Literal["target", "min", "max"] | float, **more: object) -> Trial:
    sources = (Source("two.wav", role=Role.TARGET), Source("one.wav", offset_s=0.25), Source("three.wav"))
    return replace(Trial("t", sources, Mix(length=length)), **more)


@pytest.mark.parametrize("length", ["target", "min", "max", 1.5])
def test_it_is_the_length_of_what_is_rendered(
    length: Literal["target", "min", "max"] | float, reader: FileReader
) -> None:
    trial = mixed(length)
    rendered = Stage(RATE, reader).render(trial)
    assert mixture_seconds([trial], reader) == [pytest.approx(len(rendered.mixture) / RATE)]


def test_a_source_that_goes_on_in_circles_decides_nothing(reader: FileReader) -> None:
    sources = (Source("one.wav", role=Role.TARGET), Source("three.wav", extend="crossfade"))
    assert mixture_seconds([Trial("t", sources, Mix(length="max"))], reader) == [1.0]


def test_without_a_target_the_others_count(reader: FileReader) -> None:
    assert mixture_seconds([Trial("t", (Source("two.wav"), Source("one.wav")))], reader) == [2.0]


def test_a_recorded_mixture_is_as_long_as_it_is(reader: FileReader) -> None:
    assert mixture_seconds([mixed("min", mixture=Clip("three.wav", start_s=0.5))], reader) == [2.5]


def test_the_list_may_say_it(reader: FileReader) -> None:
    assert mixture_seconds([mixed("min", conditions={"mixture_s": 7.5})], None) == [7.5]


def test_what_cannot_be_told_is_zero(reader: FileReader) -> None:
    nowhere = Trial("t", (Source("nowhere.wav", role=Role.TARGET),))
    assert mixture_seconds([nowhere], reader) == [0.0]
    assert mixture_seconds([mixed("target")], object()) == [0.0]


def test_a_plan_puts_like_lengths_together(tiny: Callable[..., Path]) -> None:
    task = load_task(str(tiny(10)))  # their lengths go up five by five
    assert [batch.trial_ids for batch in planned_batches(task, 2)] == [
        ("t4", "t9"),
        ("t3", "t8"),
        ("t2", "t7"),
        ("t1", "t6"),
        ("t0", "t5"),
    ]
    assert [batch.trial_ids for batch in planned_batches(task, 1)] == [(f"t{i}",) for i in range(10)]
