"""TS-Whisper: the mean of the utterances' word error rates, texts through Whisper's English normaliser."""

from __future__ import annotations

from tspbench.dialect import Dialect, Figure, reading
from tspbench.metrics.averages import item_mean
from tspbench.types import TaskKind

NAME = "ts-whisper"

DIALECTS = [
    Dialect(
        name=NAME,
        summary="TS-Whisper: mean over utterances of the word error rate, not pooled",
        kinds=(TaskKind.TSASR,),
        rate="none: words are scored",
        span="the whole utterance",
        silence="no words: every word of the reference is deleted, 1",
        clipping="does not matter",
        averaging="mean over utterances, each rate over its own words, unweighted and unlimited",
        figures=(
            Figure(
                "WER",
                reading(f"WER@{NAME}", "wer_mean", average=item_mean),
                "wer_mean",
                True,
                "nothing; our wer is pooled: errors of all utterances over words of all",
                "on its 6000 references: 142.7 % against 122.2 % where the other speaker is always written down, "
                "10.16 % against 10.13 % for independent errors",
            ),
        ),
        citation="Ma et al.: Extending Whisper with prompt tuning to target-speaker ASR, ICASSP 2024",
        source="github.com/Aisaka0v0/TS-Whisper at 34dab05: evaluation_pt.py; jiwer, openai-whisper's normaliser",
    )
]
