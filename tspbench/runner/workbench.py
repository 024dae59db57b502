"""The processes that render trials and score answers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tspbench import audio, decode
from tspbench.metrics import Score, resolve_all
from tspbench.metrics.evaluate import Scored, evaluate
from tspbench.metrics.signals import Signals
from tspbench.runner.answers import Prepared
from tspbench.runner.spool import read_samples
from tspbench.stage import Stage
from tspbench.types import QueryKind, Rendered, Role, Trial


@dataclass(frozen=True)
class Setting:
    """What every trial of a run shares."""

    stage: Stage
    queries: frozenset[QueryKind]
    sample_rate: int
    aligned: bool
    keep_enrolment: bool


@dataclass(frozen=True)
class RenderReport:
    """``input_digest`` names all that a score may depend on beside the answer: samples, words, enrolment."""

    input_digest: str
    seconds: float
    render_s: float


@dataclass(frozen=True)
class ScoreJob:
    trial: Trial
    scratch: Path
    estimate: Path | None
    text: str | None
    metrics: tuple[str, ...]
    baselines: Mapping[str, Score] = field(default_factory=dict)
    keep: Path | None = None


@dataclass(frozen=True)
class ScoreReport:
    """``rendered`` is the input digest, where the trial had to be rendered again."""

    scored: Scored
    rendered: str | None = None


class Workbench:
    """Serves rendering and scoring in a worker process; instruments load once and stay."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def render(self, trial: Trial, scratch: Path) -> RenderReport:
        """Make a trial's samples and leave them in ``scratch``."""
        start = time.perf_counter()
        setting = self.setting
        rendered = setting.stage.render(trial)
        rate = setting.sample_rate
        clips = trial.query.enrolment if setting.keep_enrolment else ()
        Prepared(
            rendered=rendered,
            mixture=audio.resample(rendered.mixture, rendered.sample_rate, rate),
            query=setting.stage.query(trial, setting.queries, rate, rendered),
            enrolment=setting.stage.clips(clips, rendered.sample_rate, trial.mix),
        ).save(scratch)
        seconds = len(rendered.mixture) / rendered.sample_rate
        return RenderReport(input_digest(trial, rendered), seconds, time.perf_counter() - start)

    def score(self, job: ScoreJob) -> ScoreReport:
        """Score one answer; renders first where that was not done in this run."""
        again = None if job.scratch.exists() else self.render(job.trial, job.scratch).input_digest
        prepared = Prepared.load(job.scratch)
        scored = evaluate(self._signals(job, prepared), resolve_all(job.metrics), job.baselines)
        if job.keep is not None and job.estimate is not None:
            audio.write(job.keep, read_samples(job.estimate), prepared.query.sample_rate)
        return ScoreReport(scored, again)

    def _signals(self, job: ScoreJob, prepared: Prepared) -> Signals:
        rendered, trial = prepared.rendered, job.trial
        estimate = None
        if job.estimate is not None:
            raw = read_samples(job.estimate)
            resampled = audio.resample(raw, prepared.query.sample_rate, rendered.sample_rate)
            estimate = audio.fit(resampled, len(rendered.mixture))
        return Signals(
            sample_rate=rendered.sample_rate,
            mixture=rendered.mixture,
            target=rendered.target,
            interferers=rendered.interferers,
            estimate=estimate,
            hypothesis=job.text,
            transcript=trial.transcript,
            interferer_transcripts=_spoken_by_others(trial),
            enrolment=prepared.enrolment,
            aligned=self.setting.aligned,
        )


def input_digest(trial: Trial, rendered: Rendered) -> str:
    """Names all that a score may depend on beside the answer."""
    words = [trial.transcript, _spoken_by_others(trial), trial.query.enrolment, rendered.sample_rate]
    samples = audio.digest(rendered.mixture, rendered.target, rendered.interferers)
    return decode.digest([samples, words])[:32]


def _spoken_by_others(trial: Trial) -> tuple[str, ...]:
    others: Sequence[str | None] = [s.transcript for s in trial.sources if s.role is not Role.TARGET]
    return tuple(text for text in others if text)
