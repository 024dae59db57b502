"""Runs the published LASS-Net on seeded weights and writes what it gives; see README.md beside it.

Usage: python make_fixtures.py PATH_TO_A_CHECKOUT_OF_LASS [small|full …]
"""

from __future__ import annotations

import sys
import tempfile
import types
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import published_cases as cases  # noqa: E402

SMALL_BERT = {
    "vocab_size": 100,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 1,
    "intermediate_size": 128,
    "max_position_embeddings": 64,
}
BERT_MINI = {
    "vocab_size": 30_522,
    "hidden_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 1024,
    "max_position_embeddings": 512,
}
SIZES = {"small": (16, SMALL_BERT), "full": (1, BERT_MINI)}
"""What channels are divided by, and the text encoder."""
CAPTIONS = ("a dog barks", "Rain falls on a roof", "someone is typing", "church bells ringing, loudly!")
LONG = ("13s", 1, 512 * 813)


def vocabulary() -> list[str]:
    """Words and pieces of words, a hundred at most, as a ``vocab.txt`` lists them."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    return ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "dog", "rain", "is", "##ing", ",", "!", *letters] + [
        f"##{letter}" for letter in letters
    ]


def published(checkout: Path, divide: int, bert: dict[str, int], folder: Path) -> Any:
    """The published network, its text encoder built instead of downloaded, its words from a file of ours."""
    import torch
    import transformers

    (folder / "vocab.txt").write_text("\n".join(vocabulary()), encoding="utf-8")
    tokenizer = transformers.BertTokenizer.from_pretrained(str(folder))
    config, bert_model = transformers.BertConfig(**bert), transformers.BertModel
    # The published module imports everything that transformers has; it uses these two.
    stand_in: Any = types.ModuleType("transformers")
    stand_in.BertTokenizer = types.SimpleNamespace(from_pretrained=lambda name: tokenizer)
    stand_in.BertModel = types.SimpleNamespace(
        from_pretrained=lambda name, add_pooling_layer, **more: bert_model(config, add_pooling_layer)
    )
    package = types.ModuleType("model")
    package.__path__ = [str(checkout / "model")]
    sys.modules.update(transformers=stand_in, model=package)
    size = bert["hidden_size"]
    cases.published_class_file(checkout / "model/resunet_film.py", "model.resunet_film", divide)
    from model import LASSNet as network

    sys.modules["transformers"] = transformers
    unet = network.UNetRes_FiLM
    network.UNetRes_FiLM = lambda channels, cond_embedding_dim: unet(channels, size)
    module = network.LASSNet("cpu")
    module.text_embedder.linear_layer[0] = torch.nn.Linear(size, size)
    return torch.nn.DataParallel(module).eval()


def separated(module: Any, stft: Any, x: Any, captions: list[str]) -> Any:
    """The steps of the published ``inference``, for several mixtures (B, T)."""
    magnitude, phase = stft.transform(x)
    magnitude = magnitude.transpose(2, 1).unsqueeze(1)
    mask = module(magnitude, ["[CLS] " + caption for caption in captions])
    found = (mask * magnitude).squeeze(1).permute(0, 2, 1)
    return stft.inverse(found, phase)[:, 0]


def heard(name: str, count: int, length: int, load: Any) -> Any:
    """Mixtures as the published ``load_wav`` reads them from files: filled up to ten seconds."""
    import soundfile
    import torch

    found = []
    with tempfile.TemporaryDirectory() as folder:
        for samples in cases.mixtures(name, count, length):
            path = Path(folder) / "mix.wav"
            soundfile.write(path, samples, cases.RATE, subtype="FLOAT")
            found.append(load(str(path))[:, 0])
    return torch.from_numpy(np.stack(found))


def main(checkout: Path, label: str) -> None:
    import librosa
    import torch

    centred = librosa.util.pad_center
    librosa.util.pad_center = lambda data, size, **more: centred(data, size=size, **more)
    sys.path.insert(0, str(checkout))
    from utils.stft import STFT
    from utils.wav_io import load_wav

    divide, bert = SIZES[label]
    found: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        module = published(checkout, divide, bert, Path(folder))
        keys = cases.fill(module.module)
        text = module.module.text_embedder
        found["condition"] = torch.cat([text(*text.tokenize([f"[CLS] {each}"]))[0] for each in CAPTIONS]).numpy()
        more = {LONG[0]: LONG[1:]} if label == "small" else {}
        for name, (count, length) in {**cases.CASES, **more}.items():
            estimate = separated(module, STFT(), heard(name, count, length, load_wav), list(CAPTIONS[:count]))
            found |= cases.record(name, estimate[:, :length])
    cases.write(HERE, label, found, {f"module.{name}": shape for name, shape in keys.items()})


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    for kind in sys.argv[2:] or SIZES:
        main(Path(sys.argv[1]), kind)
