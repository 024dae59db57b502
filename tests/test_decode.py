"""JSON to dataclasses and back: nothing is lost, and what does not fit is named."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tspbench.decode import DecodeError, canonical, decode, digest, encode
from tspbench.manifest import Header
from tspbench.system import Card, Checkpoint, Verification
from tspbench.types import Activity, Clip, Mix, QueryKind, QueryRecipe, Role, Source, TaskKind, Trial, Turn

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
MAYBE_TEXT = st.none() | TEXT
CLIP = {"path": TEXT, "start_s": NUMBER, "duration_s": st.none() | NUMBER, "label": MAYBE_TEXT, "speaker": MAYBE_TEXT}
CLIPS = st.lists(st.builds(Clip, **CLIP), max_size=2).map(tuple)

ACTIVITIES = st.builds(
    Activity,
    rule=st.sampled_from(["energy", "turns", "file"]),
    threshold_db=NUMBER,
    pause_s=NUMBER,
    turns=st.lists(st.builds(Turn, start_s=NUMBER, duration_s=NUMBER, speaker=TEXT), max_size=2).map(tuple),
    target=MAYBE_TEXT,
    file=st.none() | st.builds(Clip, **CLIP),
    origin=TEXT,
)
TRIALS = st.builds(
    Trial,
    trial_id=TEXT,
    sources=st.lists(
        st.builds(
            Source, **CLIP, role=st.sampled_from(Role), offset_s=NUMBER, gain=NUMBER, sha256=MAYBE_TEXT,
            transcript=MAYBE_TEXT,
        ),
        max_size=3,
    ).map(tuple),
    mix=st.builds(
        Mix,
        snr_db=st.none() | NUMBER,
        level=st.sampled_from(["energy", "rms", "peak"]),
        length=st.sampled_from(["target", "min", "max"]) | NUMBER,
        clip=st.sampled_from(["rescale", "none"]),
        rounding=st.sampled_from(["none", "pcm16"]),
    ),
    query=st.builds(
        QueryRecipe, text=MAYBE_TEXT, negative_text=MAYBE_TEXT, audio=CLIPS, negative_audio=CLIPS, enrolment=CLIPS,
        speaker_vector=st.none() | st.builds(Clip, **CLIP), activity_mask=st.none() | ACTIVITIES,
    ),
    transcript=MAYBE_TEXT,
    conditions=st.dictionaries(TEXT, st.none() | TEXT | st.booleans() | st.integers() | NUMBER, max_size=3),
    clusters=st.dictionaries(TEXT, TEXT, max_size=3),
)  # fmt: skip
HEADERS = st.builds(
    Header,
    kind=st.sampled_from(TaskKind),
    sample_rate=st.integers(),
    name=TEXT,
    data_root=MAYBE_TEXT,
    cluster=MAYBE_TEXT,
    metrics=st.lists(TEXT, max_size=2).map(tuple),
    synthetic=st.booleans(),
    note=TEXT,
)
CARDS = st.builds(
    Card,
    name=TEXT,
    summary=TEXT,
    entry=TEXT,
    kinds=st.lists(st.sampled_from(TaskKind)).map(tuple),
    role=st.sampled_from(["system", "bound"]),
    queries=st.lists(st.sampled_from(QueryKind)).map(tuple),
    aligned=st.booleans(),
    sample_rate=st.none() | st.integers(),
    checkpoints=st.lists(st.builds(Checkpoint, hub=TEXT, file=TEXT, sha256=MAYBE_TEXT, url=TEXT), max_size=2).map(
        tuple
    ),
    verification=st.sampled_from(Verification),
    extra=MAYBE_TEXT,
)


@given(TRIALS | HEADERS | CARDS)
def test_what_is_encoded_decodes_to_the_same(value: Any) -> None:
    text = json.dumps(encode(value), allow_nan=False)
    again = decode(type(value), json.loads(text))
    assert again == value
    assert canonical(again) == canonical(value)


def test_defaults_are_left_out_and_required_fields_are_not() -> None:
    assert encode(Trial("a", (Source("x.wav"),))) == {"trial_id": "a", "sources": [{"path": "x.wav"}]}
    assert encode(Source("x.wav", role=Role.TARGET)) == {"path": "x.wav", "role": "target"}


def test_sets_are_encoded_in_order() -> None:
    assert encode(frozenset({QueryKind.TEXT, QueryKind.AUDIO})) == ["audio", "text"]


def test_the_canonical_form_is_json_with_sorted_keys_and_no_spaces() -> None:
    value = {"b": [1, 2.5, None, True], "a": "é"}
    assert canonical(value) == '{"a":"é","b":[1,2.5,null,true]}'
    assert canonical(dict(reversed(value.items()))) == canonical(value)
    assert digest(value) == hashlib.sha256('{"a":"é","b":[1,2.5,null,true]}'.encode()).hexdigest()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_no_digest_is_taken_of_nan(bad: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        digest({"x": [bad]})


SOURCE = {"path": "x.wav"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"sources": [SOURCE]}, "trial_id: this field is required."),
        ({"trial_id": "a"}, "sources: this field is required."),
        ({"trial_id": 7, "sources": []}, "trial_id: expected text, got 7."),
        ({"trial_id": "a", "sources": "x.wav"}, 'sources: expected a list, got "x.wav".'),
        ({"trial_id": "a", "sources": ["x.wav"]}, 'sources[0]: expected an object, got "x.wav".'),
        ({"trial_id": "a", "sources": [{**SOURCE, "gain": "loud"}]}, 'sources[0].gain: expected a number, got "loud".'),
        ({"trial_id": "a", "sources": [{**SOURCE, "gain": True}]}, "sources[0].gain: expected a number, got true."),
        ({"trial_id": "a", "sources": [SOURCE, {}]}, "sources[1].path: this field is required."),
        (
            {"trial_id": "a", "sources": [{**SOURCE, "role": "noice"}]},
            "sources[0].role: 'noice' is not one of target, interferer, noise.",
        ),
        ({"trial_id": "a", "sources": [], "mix": {"snr": 3}}, "mix.snr: no such field. Did you mean snr_db?"),
        ({"trial_id": "a", "sources": [], "mix": {"snr_db": math.nan}}, "mix.snr_db: expected a finite number, got"),
        ({"trial_id": "a", "sources": [], "mix": {"snr_db": 10**400}}, "mix.snr_db: expected a finite number, got 10"),
        (
            {"trial_id": "a", "sources": [], "mix": {"level": "loud"}},
            'mix.level: expected "energy" or "rms" or "peak", got "loud".',
        ),
        ({"trial_id": "a", "sources": [], "clusters": {"clip": 3}}, "clusters.clip: expected text, got 3."),
        ({"trial_id": "a", "sources": [], "clusters": []}, "clusters: expected an object, got []."),
        ({"trial_id": "a", "sources": [], "conditions": {"snr": math.inf}}, "conditions.snr: expected"),
        ({"trial_id": "a", "sources": [], "querry": {}}, "querry: no such field. Did you mean query?"),
        ([], "value: expected an object, got []."),
    ],
)
def test_the_message_starts_with_the_path_of_the_field(row: Any, message: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(Trial, row)
    assert str(caught.value).startswith(message)


def test_whole_numbers_are_not_numbers_with_a_point() -> None:
    with pytest.raises(DecodeError, match=r"sample_rate: expected a whole number, got 16000\.5"):
        decode(Header, {"kind": "tse", "sample_rate": 16000.5})
    with pytest.raises(DecodeError, match="sample_rate: expected a whole number, got true"):
        decode(Header, {"kind": "tse", "sample_rate": True})


def test_long_values_are_shown_short() -> None:
    with pytest.raises(DecodeError) as caught:
        decode(Header, {"kind": "tse", "sample_rate": "x" * 10_000})
    assert len(str(caught.value)) < 120


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT | st.sampled_from(["path", "gain"]), inner),
    max_leaves=8,
)


@given(st.sampled_from(["sources", "mix", "query", "transcript", "conditions", "clusters"]), JSON)
def test_any_json_value_decodes_or_is_refused(field: str, value: Any) -> None:
    row = {"trial_id": "a", "sources": [SOURCE], field: value}
    try:
        trial = decode(Trial, row)
    except DecodeError as error:
        refusal = str(error)
    else:
        refusal = None
        assert decode(Trial, encode(trial)) == trial
    assert refusal is None or refusal.startswith(field)
