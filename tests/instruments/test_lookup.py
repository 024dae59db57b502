from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tspbench.errors import MissingExtra, MissingWeights, UnknownName, UsageError
from tspbench.instruments import encoder, identity, named_in, recogniser
from tspbench.instruments.base import files_digest


def test_unknown_names_are_met_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="pocketsphinx"):
        recogniser("pocketsphnx")
    with pytest.raises(UnknownName, match="resemblyzer"):
        encoder("resemblizer")
    with pytest.raises(UnknownName):
        encoder("pocketsphinx")


@pytest.mark.parametrize("bare", ["whisper", "whisper="])
def test_a_checkpoint_must_be_named_where_one_is_needed(bare: str) -> None:
    with pytest.raises(UsageError, match=r"whisper=openai/whisper-base\.en"):
        recogniser(bare)


def test_a_checkpoint_may_not_be_named_where_none_is_taken() -> None:
    with pytest.raises(UsageError, match="carries its own model"):
        encoder("resemblyzer=elsewhere")


def test_instruments_are_loaded_once() -> None:
    assert recogniser("pocketsphinx") is recogniser("pocketsphinx")


def test_identity_holds_package_and_model() -> None:
    found = identity("pocketsphinx")
    assert found == recogniser("pocketsphinx").version
    assert found.startswith("pocketsphinx 5.")
    assert len(found.rpartition(" ")[2]) == 64


def test_files_digest_sees_names_and_contents(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"a")
    other.write_bytes(b"b")
    digests = [files_digest(files) for files in ({"x": one}, {"y": one}, {"x": other}, {"x": one, "y": other})]
    assert len(set(digests)) == 4
    assert files_digest({"x": one}) == digests[0]


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({}, None),
        ({"text": "raw"}, None),
        ({"instrument": "pocketsphinx"}, "pocketsphinx"),
        ({"whisper": "some/where", "text": "raw"}, "whisper=some/where"),
    ],
)
def test_the_instrument_among_parameters(parameters: dict[str, str], found: str | None) -> None:
    assert named_in(parameters, "recogniser") == found


def test_one_instrument_at_a_time() -> None:
    with pytest.raises(UsageError, match="pocketsphinx and whisper=x"):
        named_in({"instrument": "pocketsphinx", "whisper": "x"}, "recogniser")


@pytest.mark.parametrize(
    ("instrument", "package", "extra"),
    [
        ("whisper=a-checkpoint", "transformers", "transformers"),
        ("wavlm-sv=a-checkpoint", "transformers", "transformers"),
        ("ecapa=a-folder", "torch", "speechbrain"),
        ("resemblyzer", "_webrtcvad", "speaker"),
    ],
)
def test_a_missing_package_names_its_extra(
    monkeypatch: pytest.MonkeyPatch, instrument: str, package: str, extra: str
) -> None:
    from tspbench.instruments import _load

    pytest.importorskip("torch")
    monkeypatch.setitem(sys.modules, package, None)
    _load.cache_clear()
    try:
        with pytest.raises(MissingExtra, match=rf"tspbench\[{extra}\]"):
            identity(instrument)
    finally:
        _load.cache_clear()


@pytest.mark.parametrize(
    ("instrument", "without"), [("whisper=no/where", "pocketsphinx"), ("wavlm-sv=no/where", "resemblyzer")]
)
def test_missing_weights_say_where_they_live_and_what_works_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, instrument: str, without: str
) -> None:
    pytest.importorskip("transformers")
    monkeypatch.delenv("TSPBENCH_ALLOW_DOWNLOAD", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingWeights, match=f"hub.*TSPBENCH_ALLOW_DOWNLOAD=1.*{without}"):
        identity(instrument)
