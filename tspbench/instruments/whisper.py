"""Whisper through transformers: English, greedy, windows of 30 s."""

from __future__ import annotations

from functools import cached_property

from tspbench.instruments.base import one_thread, package, versions, weights_digest
from tspbench.instruments.hub import pretrained
from tspbench.types import Audio

ENGLISH_ONLY_VOCABULARY = 51_864
WINDOW_S = 30


class Whisper:
    """A Whisper checkpoint in float32 on the CPU.

    Audio longer than 30 s is cut into windows of 30 s, each transcribed by
    itself and joined by spaces. No timestamps, no beam, no fallback
    temperatures; the language is set to English, never guessed.

    Parameters
    ----------
    model
        A folder with a transformers checkpoint, or a hub id such as ``openai/whisper-base.en``.
    """

    sample_rate = 16_000

    def __init__(self, model: str) -> None:
        self.name = f"whisper={model}"
        what = f"The recogniser {self.name!r}"
        transformers = package("transformers", what, "transformers")
        self._torch = package("torch", what, "transformers")
        self._features, self._tokenizer, loaded = pretrained(
            transformers,
            ("WhisperFeatureExtractor", "WhisperTokenizer", "WhisperForConditionalGeneration"),
            model,
            what,
            published="openai/whisper-base.en and its kin on the Hugging Face hub",
            without="the recogniser 'pocketsphinx'",
        )
        self._model = loaded.float().eval()

    @cached_property
    def version(self) -> str:
        return f"{versions('transformers', 'torch')}, weights sha256 {weights_digest(self._model.state_dict())}"

    def transcribe(self, samples: Audio) -> str:
        """Silence gives no words: Whisper itself would make some up."""
        if not samples.any():
            return ""
        window = WINDOW_S * self.sample_rate
        texts = [self._window(samples[start : start + window]) for start in range(0, samples.size, window)]
        return " ".join(text for text in texts if text)

    def _window(self, samples: Audio) -> str:
        inputs = self._features(samples, sampling_rate=self.sample_rate, return_tensors="pt")
        language = {"language": "en", "task": "transcribe"} if self._multilingual else {}
        with one_thread(self._torch):
            tokens = self._model.generate(inputs.input_features, num_beams=1, do_sample=False, **language)
        return str(self._tokenizer.batch_decode(tokens, skip_special_tokens=True)[0]).strip()

    @property
    def _multilingual(self) -> bool:
        """English-only checkpoints refuse to be told the language."""
        by_size = self._model.config.vocab_size > ENGLISH_ONLY_VOCABULARY
        return bool(getattr(self._model.generation_config, "is_multilingual", by_size))
