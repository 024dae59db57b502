"""A task of a third party that has to be prepared: two protocols, two lists, options, two corpora."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

RATE = 8000
TOML = """
name = "toy"
kind = "lass"
sample_rate = 8000
summary = "from elsewhere"
metrics = ["si_sdr", "si_sdr_i"]
cluster = "clip"
importer = "toypackage.toy.importer"
default_protocol = "one"

[[protocols]]
name = "one"
summary = "pairs as published"
rows = 4
dialect = "none"

[[protocols.files]]
role = "list"
name = "pairs.csv"
sha256 = "{pairs}"
rows = 4
source = "https://example.org/pairs"
columns = ["target", "other"]

[[protocols.files]]
role = "captions"
name = "captions.csv"
sha256 = "{captions}"
rows = 1
source = "https://example.org/captions"
columns = ["caption", "file"]
required = false

[[protocols.roots]]
name = "sounds"
what = "five sounds"
source = "https://example.org/sounds"
channels = 1

[[protocols.roots]]
name = "noise"
what = "one noise"
required = false
rate = 8000

[[protocols.options]]
name = "queries"
default = "text"
choices = ["text", "both"]

[[protocols.options]]
name = "rate"
default = "8k"
choices = ["8k", "16k"]

[[protocols.options]]
name = "noise"
default = "no"
choices = ["no", "yes"]

[[protocols]]
name = "two"
summary = "the same the other way round"
rows = 4

[[protocols.files]]
role = "list"
name = "reversed.csv"
sha256 = "{reversed}"
rows = 4
source = "https://example.org/reversed"
columns = ["target", "other"]

[[protocols.roots]]
name = "sounds"
what = "five sounds"
"""
IMPORTER = """
import csv
from tspbench.types import Mix, QueryRecipe, Role, Source, Trial


def stems(path):
    stem = path.rpartition("/")[2].rpartition(".")[0]
    return (stem, stem.removesuffix("-x"))


def trials(material):
    with material.lists["list"].open(newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            target, other = f"sounds/{row['target']}", f"sounds/{row['other']}"
            noise = (Source("noise/hum.wav"),) if material.options.get("noise") == "yes" else ()
            negative = "other" if material.options.get("queries") == "both" else None
            yield Trial(
                trial_id=f"{number:02d}",
                sources=(Source(target, role=Role.TARGET), Source(other), *noise),
                mix=Mix(snr_db=0.0),
                query=QueryRecipe(text=row["target"], negative_text=negative),
                conditions={"seconds": material.seconds(target)},
                clusters={"clip": row["target"]},
            )
"""
PAIRS = "target,other\na.wav,b.wav\nb.wav,sub/c.wav\nsub/c.wav,d-x.wav\nd-x.wav,a.wav\n"
REVERSED = "target,other\nb.wav,a.wav\nsub/c.wav,b.wav\nd-x.wav,sub/c.wav\na.wav,d-x.wav\n"
CAPTIONS = "caption,file\nhello,a.wav\n"


@dataclass(frozen=True)
class Toy:
    """Paths of the toy task's material."""

    pairs: Path
    reversed: Path
    captions: Path
    sounds: Path
    noise: Path

    @staticmethod
    def write_noise(path: Path, **settings: Any) -> None:
        write_noise(path, **settings)


@pytest.fixture(autouse=True)
def data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the user's data folder."""
    monkeypatch.setenv("TSPBENCH_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Toy]:
    """Install the toy task and lay out its lists and sounds."""
    package = tmp_path / "site" / "toypackage" / "toy"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "importer.py").write_text(IMPORTER)
    texts = {"pairs": PAIRS, "reversed": REVERSED, "captions": CAPTIONS}
    paths = {name: tmp_path / f"{name}.csv" for name in texts}
    for name, text in texts.items():
        paths[name].write_text(text)
    shas = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
    (package / "task.toml").write_text(TOML.format(**shas))
    for name in ("a.wav", "b.wav", "sub/c.wav", "d-x.wav"):
        write_noise(tmp_path / "sounds" / name, seed=len(name) + ord(name[0]))
    write_noise(tmp_path / "noise" / "hum.wav", seed=9)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    importlib.invalidate_caches()
    entry = importlib.metadata.EntryPoint("toy", "toypackage.toy", "tspbench.tasks")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [entry] if group == entry.group else [])
    yield Toy(**paths, sounds=tmp_path / "sounds", noise=tmp_path / "noise")
    for name in [name for name in sys.modules if name.startswith("toypackage")]:
        del sys.modules[name]


def write_noise(path: Path, *, seed: int, seconds: float = 0.5, rate: int = RATE, channels: int = 1) -> None:
    """White noise, the same for the same seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.1 * np.random.default_rng(seed).standard_normal((round(seconds * rate), channels))
    soundfile.write(path, samples.astype(np.float32), rate, subtype="PCM_16")
