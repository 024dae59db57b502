"""Every choice that makes a gen-tse, by name, and why it is as it is where the paper leaves it open.

H. Ma et al., IEEE Signal Processing Letters 32, 2309-2313, 2025 (arXiv
2501.14477). Neither code nor weights are public. From the paper: Whisper's
encoder, frozen, with LoRA in its attention; in front of the mixture's frames
one frame from a speaker vector and the enrolment's frames, the latter with
learned positions; optimal-transport flow matching from the target's frames to
a mel spectrum, and HiFi-GAN; beside it Whisper's frozen decoder; the sum of
both losses. Everything else in this file is ours.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tspbench.decode import DecodeError, decode
from tspbench.errors import UsageError
from tspbench.systems.vocoders.mel import MelConfig
from tspbench.systems.whisper.model import Dims

CAMPPLUS = "campplus"
RATE_OF_TOKENS = 50
"""Frames of Whisper's encoder in a second."""
STEP = 320
"""Samples at 16 kHz between two of them."""
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "out_proj")


@dataclass(frozen=True)
class PromptConfig:
    """What is put in front of the mixture.

    Attributes
    ----------
    speaker_encoder
        The paper's figure names CAM++: ``campplus``. Any speaker encoder of the
        harness (``tspbench list instruments``) will do as well.
    speaker_size
        Numbers in its vector; 192 is the CAM++ that CosyVoice ships.
    speaker, enrolment
        Whether there is a speaker frame, and whether there are enrolment
        frames. Without the latter: the paper's ablation.
    seconds
        Of enrolment. Every enrolment behind the authors' demonstration lasts
        5.0 s; a longer one is cut, a shorter one followed by silence.
    sinusoids
        The enrolment's frames also get Whisper's own positions, from the first
        on, as a recording by itself would: Whisper never heard any without.
    """

    speaker_encoder: str = CAMPPLUS
    speaker_size: int = 192
    speaker: bool = True
    enrolment: bool = True
    seconds: float = 5.0
    sinusoids: bool = True

    @property
    def frames(self) -> int:
        """Encoder frames of the enrolment."""
        return round(self.seconds * RATE_OF_TOKENS) if self.enrolment else 0

    @property
    def length(self) -> int:
        """Encoder frames in front of the mixture."""
        return int(self.speaker) + self.frames


@dataclass(frozen=True)
class LoraConfig:
    """Low-rank updates of the encoder's attention.

    Attributes
    ----------
    rank, alpha
        Not in the paper. 16 is common for speech encoders of this size; alpha
        equal to the rank leaves the update unscaled.
    projections
        All four of every attention module: the paper says "attention", no more.
    """

    rank: int = 16
    alpha: float = 16.0
    projections: tuple[str, ...] = PROJECTIONS


@dataclass(frozen=True)
class FlowConfig:
    """The network that estimates the velocity, and how its differential equation is solved.

    Attributes
    ----------
    width, layers, heads
        A transformer over mel frames whose norms are set by the time (W.
        Peebles and S. Xie, ICCV 2023), instead of the U-Nets of the literature:
        one kind of block, no lengths that must divide by four.
    speaker_width
        Channels that the speaker vector takes beside the spectrum and the
        tokens; as many as bands, as in CosyVoice. The paper's figure feeds the
        vector to the flow, too.
    sigma_min
        Width of the probability path at its end; CosyVoice's.
    schedule
        ``cosine`` takes small steps where the noise is strong; CosyVoice's.
        Training draws times from the same curve.
    steps
        Of Euler's method.
    mean, deviation
        Of log-mel values, over LibriSpeech at ``Config.level``; what the flow
        models is shifted and scaled by them, to match the noise it starts from.
    """

    width: int = 512
    layers: int = 8
    heads: int = 8
    speaker_width: int = 80
    sigma_min: float = 1e-6
    schedule: Literal["cosine", "linear"] = "cosine"
    steps: int = 10
    mean: float = -5.7
    deviation: float = 2.3


@dataclass(frozen=True)
class Config:
    """A gen-tse.

    Attributes
    ----------
    whisper
        The paper does not say which. ``small`` is the largest that a CPU serves
        within a few times real time.
    freeze_whisper
        As in the paper. False trains Whisper, too: where its weights are random
        there is nothing to keep.
    train_speaker_map
        The speaker frame's linear map. The paper's list of what is trained does
        not name it, but it has no weights from elsewhere.
    text_branch
        Whisper's decoder. Without: the paper's ablation, and no transcripts.
    text_weight
        Of the decoder's cross-entropy beside the flow's loss; the paper adds
        the two and shows no weight.
    decoder_sees_prompt
        The decoder reads the mixture's frames alone, as the flow does: those
        are the target's tokens, and as many as it was trained on.
    letters
        The decoder's tokens of text are single bytes, which need no vocabulary:
        for Whispers that are trained from nothing.
    level
        RMS in dB re full scale to which mixtures are brought; estimates are
        brought back. So what goes in louder comes out louder.
    mel
        Of the vocoder. The authors' demonstration has lengths that fit 22.05 kHz
        and a hop of 256, at which HiFi-GAN's universal weights are public.
    """

    whisper: Dims = field(default_factory=lambda: Dims.named("small"))
    prompt: PromptConfig = PromptConfig()
    lora: LoraConfig = LoraConfig()
    flow: FlowConfig = FlowConfig()
    mel: MelConfig = field(default_factory=MelConfig)
    freeze_whisper: bool = True
    train_speaker_map: bool = True
    text_branch: bool = True
    text_weight: float = 1.0
    decoder_sees_prompt: bool = False
    letters: bool = False
    level: float = -25.0

    def __post_init__(self) -> None:
        if not (self.prompt.speaker or self.prompt.enrolment):
            raise UsageError("gen-tse needs a speaker frame, enrolment frames or both; else it is not told the target.")
        if self.prompt.frames > self.whisper.frames:
            raise UsageError(f"An enrolment of {self.prompt.seconds:g} s is longer than this Whisper hears at once.")

    @property
    def window(self) -> int:
        """Samples at 16 kHz that are heard at once; 30 s of every published Whisper."""
        return self.whisper.frames * STEP

    def plain(self) -> dict[str, Any]:
        """As it stands in a checkpoint."""
        return asdict(self)

    @classmethod
    def of(cls, plain: Any, where: object) -> Config:
        """The reverse of :meth:`plain`; ``UsageError`` naming what does not fit."""
        try:
            return decode(cls, _lists(plain))
        except DecodeError as error:
            raise UsageError(f"{where} is not a checkpoint of gen-tse: {error}.") from error


def reduced(**changes: Any) -> Config:
    """Everything at little size, for tests and first trainings on a CPU: 6 s are heard at once."""
    small: dict[str, Any] = {
        "whisper": Dims(width=64, encoder_layers=2, decoder_layers=2, heads=2, inner=128, frames=300),
        "prompt": PromptConfig(speaker_encoder="resemblyzer", speaker_size=256, seconds=2.0),
        "lora": LoraConfig(rank=8, alpha=8.0),
        "flow": FlowConfig(width=96, layers=2, heads=2, speaker_width=16),
        "freeze_whisper": False,
        "letters": True,
    }
    return Config(**{**small, **changes})


def _lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _lists(item) for key, item in value.items()}
    return [_lists(item) for item in value] if isinstance(value, tuple | list) else value
