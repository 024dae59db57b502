"""Runs the published AudioSep on seeded weights and writes what it gives; see README.md beside it.

Usage: python make_fixtures.py PATH_TO_A_CHECKOUT_OF_AUDIOSEP [small|full|clap …]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import published_cases as cases  # noqa: E402

KERNELS = ("stft.", "istft.")
SIZES = {"small": (16, 16), "full": (1, 512)}
"""What channels are divided by, and the size of the condition."""
CHUNKS = ("chunks", 1, 400_123)
ODD = ("odd", 1, 50_123)


def token_ids() -> tuple[np.ndarray, np.ndarray]:
    """Three captions of 5, 20 and 100 tokens, filled up to 512, as numbers and mask."""
    ids = np.ones((3, 512), dtype=np.int64)
    for row, length in zip(ids, (5, 20, 100), strict=True):
        row[:length] = 4 + (np.arange(length) * 7919 + length) % 50_000
        row[0], row[length - 1] = 0, 2
    return ids, (ids != 1).astype(np.int64)


def separators(checkout: Path, label: str) -> None:
    import torch

    divide, size = SIZES[label]
    sys.path.insert(0, str(checkout))
    published = cases.published_class_file(checkout / "models/resunet.py", "models.resunet", divide)
    module = published.ResUNet30(input_channels=1, output_channels=1, condition_size=size).eval()
    keys = cases.fill(module, KERNELS)
    found: dict[str, np.ndarray] = {}
    with torch.no_grad():
        for name, (count, length) in {**cases.CASES, ODD[0]: ODD[1:]}.items():
            found |= cases.record(name, module(inputs(name, count, length, size))["waveform"][:, 0])
        if label == "small":
            estimate = torch.from_numpy(module.chunk_inference(inputs(*CHUNKS, size))).float()
            found |= cases.record(CHUNKS[0], estimate)
    cases.write(HERE, label, found, keys)


def inputs(name: str, count: int, length: int, size: int) -> dict[str, Any]:
    import torch

    return {
        "mixture": torch.from_numpy(cases.mixtures(name, count, length))[:, None],
        "condition": torch.from_numpy(cases.condition(name, count, size)),
    }


def offline() -> None:
    """The published code asks for a tokenizer and for weights when it is imported; here weights are drawn."""
    import types

    import transformers

    for name in ("BertTokenizer", "RobertaTokenizer", "BartTokenizer"):
        setattr(transformers, name, types.SimpleNamespace(from_pretrained=lambda *a, **k: None))
    roberta = transformers.RobertaConfig(
        vocab_size=50265, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5
    )
    transformers.RobertaModel.from_pretrained = classmethod(lambda cls, *a, **k: cls(roberta))


def clap(checkout: Path, label: str) -> None:
    """The whole system's names, and what its query encoder gives."""
    import torch

    offline()
    sys.path.insert(0, str(checkout))
    import models.CLAP.open_clip as vendored

    create = vendored.create_model
    vendored.create_model = lambda amodel, tmodel, pretrained, **more: create(amodel, tmodel, "", **more)
    from models.audiosep import AudioSep
    from models.clap_encoder import CLAP_Encoder
    from models.resunet import ResUNet30

    encoder = CLAP_Encoder()
    whole = AudioSep(ss_model=ResUNet30(1, 1, 512), query_encoder=encoder)
    keys = {name: list(tensor.shape) for name, tensor in whole.state_dict().items()}
    cases.fill(encoder.model, ("spectrogram_extractor", "logmel_extractor", "attn_mask"))
    encoder.eval()
    ids, mask = (torch.from_numpy(each) for each in token_ids())
    encoder.tokenizer = lambda text: {"input_ids": ids, "attention_mask": mask}
    found = {"text": encoder.get_query_embed("text", text=["one", "two", "three"]).numpy()}
    for seconds in (3, 10):
        samples = torch.from_numpy(cases.mixtures(f"clap {seconds}", 2, 32_000 * seconds))
        found[f"audio {seconds}s"] = encoder.get_query_embed("audio", audio=samples).numpy()
    cases.write(HERE, label, found, keys)


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    for kind in sys.argv[2:] or [*SIZES, "clap"]:
        (clap if kind == "clap" else separators)(Path(sys.argv[1]), kind)
