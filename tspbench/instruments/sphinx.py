"""PocketSphinx with the English model in its wheel: a recogniser that is always at hand.

Its word error rates are several times those of current recognisers, on clean
speech too. Read them as an order of systems, never as absolute figures.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from tspbench.instruments.base import files_digest, versions
from tspbench.types import Audio


class Pocketsphinx:
    """The ``en-us`` model, trigram language model, three passes, cepstral means over the whole utterance."""

    name = "pocketsphinx"
    sample_rate = 16_000

    def __init__(self) -> None:
        import pocketsphinx

        self._model = Path(pocketsphinx.get_model_path("en-us"))
        self._decoder = pocketsphinx.Decoder(loglevel="FATAL", cmn="batch", samprate=float(self.sample_rate))

    @cached_property
    def version(self) -> str:
        files = {str(path.relative_to(self._model)): path for path in self._model.rglob("*") if path.is_file()}
        return f"{versions('pocketsphinx')}, model sha256 {files_digest(files)}"

    def transcribe(self, samples: Audio) -> str:
        """Samples beyond ±1 are clipped: the model hears 16-bit integers."""
        if not samples.any():
            return ""
        # Front end and feature statistics remember the utterance before; without this the order of trials would count.
        self._decoder.reinit_feat()
        self._decoder.start_utt()
        self._decoder.process_raw(_pcm16(samples), no_search=False, full_utt=True)
        self._decoder.end_utt()
        found = self._decoder.hyp()
        return str(found.hypstr) if found is not None else ""


def _pcm16(samples: Audio) -> bytes:
    return (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
