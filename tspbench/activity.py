"""The activity mask: who is heard when, frame by frame.

A mask has shape (4, F): silence, target only, others only, both at once, as in
DiCoW (Polok et al., arXiv 2501.00114, ``get_stno_mask`` of
github.com/BUTSpeechFIT/TS-ASR-Whisper at 0d8722f). Frames are those of
Whisper's encoder, 20 ms; frame k covers the seconds k/50 to (k+1)/50, and a
mixture of T samples at rate r has ceil(50 T / r) of them.

Of every voice s, a[s] is the share of a frame in which it is active. Then

    silence = prod(1 - a),  target = a[t] prod(1 - a[others]),
    others = (1 - a[t]) (1 - prod(1 - a[others])),  overlap = a[t] - target.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tspbench.decode import canonical
from tspbench.errors import AudioError
from tspbench.types import Activity, Audio, QueryRecipe, Rendered, Role, Trial, Turn

Shares = npt.NDArray[np.float64]
"""Shares of frames in which voices are active, in [0, 1], time on the last axis."""

FRAME_RATE = 50
CLASSES = ("silence", "target", "non-target", "overlap")
SLACK = 1
"""Frames that a mask from a file may be too short or too long: some round where we count a frame begun."""
ORACLE = "who speaks when, from the clean sources"


def frames_of(samples: int, sample_rate: int) -> int:
    """How many frames a mixture has: every frame begun counts."""
    return -(-samples * FRAME_RATE // sample_rate)


def fitted(mask: Audio, frames: int) -> Audio:
    """A mask cut, or continued by silence, to some frames."""
    found = np.zeros((len(CLASSES), frames), dtype=np.float32)
    kept = mask[:, :frames]
    found[:, : kept.shape[1]] = kept
    found[0, kept.shape[1] :] = 1.0
    return found


def of_voices(target: Shares, others: Shares) -> Audio:
    """The mask of a target (F,) and other voices (n, F), see above."""
    nobody_else = np.prod(1 - others, axis=0)
    alone = target * nobody_else
    rows = [(1 - target) * nobody_else, alone, (1 - target) * (1 - nobody_else), target - alone]
    return np.stack(rows).astype(np.float32)


def by_energy(signal: Audio, sample_rate: int, threshold_db: float = -30.0, pause_s: float = 0.2) -> Shares:
    """In which frames a clean signal (T,) is active: 0 or 1, shape (F,).

    Active frames are those whose mean square is at most ``-threshold_db`` below
    that of the signal's loudest frame (``librosa.effects.split`` with frames
    that do not overlap), and pauses of at most ``pause_s`` between such. A
    signal of zeros is active nowhere.
    """
    count = frames_of(len(signal), sample_rate)
    if not count or not signal.any():
        return np.zeros(count)
    starts = np.arange(count) * sample_rate // FRAME_RATE
    power = np.add.reduceat(np.square(signal, dtype=np.float64), starts) / np.diff(starts, append=len(signal))
    active = np.flatnonzero(power >= power.max() * 10 ** (threshold_db / 10))
    found = np.zeros(count)
    found[active] = 1.0
    for left, right in itertools.pairwise(active):
        if right - left - 1 <= pause_s * FRAME_RATE + 1e-9:
            found[left:right] = 1.0
    return found


def by_turns(turns: Iterable[Turn], frames: int) -> Shares:
    """The share of every frame that one speaker's turns cover, shape (F,); turns that overlap count once."""
    found = np.zeros(frames)
    edges = np.arange(frames + 1) / FRAME_RATE
    end = 0.0
    for turn in sorted(turns, key=lambda turn: turn.start_s):
        start, end = max(turn.start_s, end), max(turn.start_s + turn.duration_s, end)
        covered = np.minimum(edges[1:], end) - np.maximum(edges[:-1], start)
        found += np.maximum(covered, 0.0) * FRAME_RATE
    return np.minimum(found, 1.0)


def mask_of(trial: Trial, rendered: Rendered, frames: int, file: Path | None) -> Audio | None:
    """The activity mask of a trial, shape (4, frames) float32; None where it offers none.

    Noise is nobody. ``file`` is where the mask of the rule ``file`` lies.

    Raises
    ------
    AudioError
        The file is not a mask of this mixture.
    """
    activity = trial.query.activity_mask
    if activity is None:
        return None
    if activity.rule == "file":
        assert file is not None
        return _of_file(file, frames)
    if activity.rule == "turns":
        return _of_turns(activity, frames)
    count = frames_of(len(rendered.mixture), rendered.sample_rate)
    target = rendered.target if rendered.target is not None else np.zeros_like(rendered.mixture)
    voices = [target, *_other_voices(trial, rendered)]
    shares = [by_energy(voice, rendered.sample_rate, activity.threshold_db, activity.pause_s) for voice in voices]
    return fitted(of_voices(shares[0], np.array(shares[1:]).reshape(-1, count)), frames)


def read(path: Path) -> Audio:
    """A mask from a ``.npy`` file, shape (4, F) float32; AudioError when it is none."""
    try:
        mask: Audio = np.asarray(np.load(path, allow_pickle=False), dtype=np.float32)
    except (OSError, EOFError, TypeError, ValueError) as error:
        raise AudioError(f"{path} cannot be read as a .npy mask: {error}.") from error
    if mask.ndim != 2 or len(mask) != len(CLASSES):
        raise AudioError(
            f"{path} holds an array of shape {mask.shape}; an activity mask has shape (4, frames): "
            f"{', '.join(CLASSES)}."
        )
    if not (np.isfinite(mask).all() and (mask >= 0).all() and np.allclose(mask.sum(axis=0), 1, atol=1e-3)):
        raise AudioError(f"{path}: the four values of a frame must be shares, from 0 to 1 and adding up to 1.")
    return mask


def origins(recipes: Iterable[QueryRecipe]) -> list[str]:
    """Where the masks of some trials come from, in words for ``side_information``."""
    given = [recipe.activity_mask for recipe in recipes if recipe.activity_mask]
    return sorted({_origin(activity) for activity in given})


def rules(recipes: Iterable[QueryRecipe]) -> list[dict[str, Any]]:
    """The different rules by which the masks of some trials are made, for the record."""
    found = {}
    for activity in filter(None, (recipe.activity_mask for recipe in recipes)):
        rule: dict[str, Any] = {"rule": activity.rule}
        if activity.rule == "energy":
            rule |= {"threshold_db": activity.threshold_db, "pause_s": activity.pause_s}
        else:
            rule["origin"] = activity.origin
        found[canonical(rule)] = rule
    return [found[key] for key in sorted(found)]


def with_cue(query: QueryRecipe, cue: str) -> QueryRecipe:
    """A query as the task option ``cue`` has it.

    ``activity``: an oracle mask instead of what else would tell the target;
    ``enrolment+activity``: besides. Other choices leave it as it is.
    """
    oracle = Activity("energy")
    if cue == "activity":
        return QueryRecipe(activity_mask=oracle)
    return replace(query, activity_mask=oracle) if cue == "enrolment+activity" else query


def problem(activity: Activity) -> str | None:
    """What makes a recipe of a mask meaningless, or None."""
    if not activity.threshold_db < 0:
        return f"threshold_db counts from the loudest frame and must be negative, got {activity.threshold_db:g}."
    if activity.pause_s < 0:
        return f"pause_s must not be negative, got {activity.pause_s:g}."
    if (activity.file is not None) != (activity.rule == "file"):
        return 'file goes with the rule "file": {"rule": "file", "file": {"path": "mask.npy"}}.'
    if activity.rule != "turns" and (activity.turns or activity.target):
        return 'turns and target go with the rule "turns".'
    if any(turn.start_s < 0 or turn.duration_s <= 0 for turn in activity.turns):
        return "of a turn, start_s must not be negative and duration_s must be positive."
    speakers = sorted({turn.speaker for turn in activity.turns})
    if activity.target is not None and activity.target not in speakers:
        return f"target {activity.target!r} has no turn; the turns are of {', '.join(speakers) or 'nobody'}."
    return None


def _of_file(path: Path, frames: int) -> Audio:
    mask = read(path)
    if abs(mask.shape[1] - frames) > SLACK:
        raise AudioError(
            f"{path} holds {mask.shape[1]} frames, but the mixture has {frames} at {FRAME_RATE} frames per second "
            f"({frames / FRAME_RATE:.2f} s). Make the mask of the whole mixture, at this rate."
        )
    return fitted(mask, frames)


def _of_turns(activity: Activity, frames: int) -> Audio:
    shares = {
        speaker: by_turns([turn for turn in activity.turns if turn.speaker == speaker], frames)
        for speaker in {turn.speaker for turn in activity.turns}
    }
    target = shares.pop(activity.target, np.zeros(frames)) if activity.target else np.zeros(frames)
    return of_voices(target, np.array([shares[speaker] for speaker in sorted(shares)]).reshape(-1, frames))


def _other_voices(trial: Trial, rendered: Rendered) -> Sequence[Audio]:
    """The interferers that are somebody; where only a recorded mixture tells of them, what it holds besides."""
    roles = [source.role for source in trial.sources if source.role is not Role.TARGET]
    if len(roles) != len(rendered.interferers):
        return list(rendered.interferers)
    return [signal for role, signal in zip(roles, rendered.interferers, strict=True) if role is not Role.NOISE]


def _origin(activity: Activity) -> str:
    return ORACLE if activity.rule == "energy" else f"who speaks when, given with the trials: {activity.origin or '?'}"
