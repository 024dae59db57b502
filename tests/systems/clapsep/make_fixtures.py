"""Runs the published CLAPSep and laion_clap on seeded weights and writes what they give; see README.md beside it.

Usage: python make_fixtures.py PATH_TO_A_CHECKOUT_OF_CLAPSEP [small|full|clap …]
"""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from tspbench.systems.seeded import noise, seeded

HERE = Path(__file__).parent
SEED = 20240228
STRIDE = 1009
FIXED = ("spectrogram_extractor", "logmel_extractor", "attn_mask", "stft.", "istft.")
SMALL = {"dim": 16, "heads": [1, 2, 4, 8], "depths": [2, 2, 2, 2], "size": 32, "d_mask": 64, "layers": 2, "rank": 4}
FULL = {
    "dim": 128,
    "heads": [4, 8, 16, 32],
    "depths": [2, 2, 12, 2],
    "size": 1024,
    "d_mask": 640,
    "layers": 3,
    "rank": 16,
}
CASES = {"1x3s": (1, 96_000), "4x3s": (4, 96_000), "1x10s": (1, 320_000), "4x10s": (4, 320_000)}


def mixtures(name: str, count: int, length: int) -> np.ndarray:
    """Noise under a slow envelope beside a tone; where there are four, the third is silence."""
    time = np.arange(length) / 32_000
    envelope = 0.5 + 0.5 * np.sin(2 * np.pi * 0.7 * time)
    found = 0.1 * noise(f"mixture {name}", (count, length), SEED) * envelope + 0.2 * np.sin(2 * np.pi * 440 * time)
    if count > 2:
        found[2] = 0
    return found.astype(np.float32)


def condition(name: str, count: int, size: int) -> np.ndarray:
    found = noise(f"condition {name}", (count, size), SEED)
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def offline() -> None:
    """laion_clap asks the hub for tokenizers and for RoBERTa when it is imported and built; weights are drawn here."""
    for name in ("BertTokenizer", "RobertaTokenizer", "BartTokenizer"):
        setattr(transformers, name, types.SimpleNamespace(from_pretrained=lambda *a, **k: None))
    roberta = transformers.RobertaConfig(
        vocab_size=50265, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5
    )
    transformers.RobertaModel.from_pretrained = classmethod(lambda cls, *a, **k: cls(roberta))


def fill(module: torch.nn.Module) -> dict[str, list[int]]:
    """Every trained tensor from its name; the names and shapes of all of them."""
    named = {}
    for name, tensor in module.state_dict().items():
        if not any(part in name for part in FIXED):
            named[name] = list(tensor.shape)
            if tensor.is_floating_point():
                tensor.copy_(torch.from_numpy(seeded(name, tuple(tensor.shape), SEED)))
    return named


def published(checkout: Path, size: dict[str, Any]) -> Any:
    """The published module, its CLAP replaced by nothing but the audio branch."""
    sys.path.insert(0, str(checkout))
    from laion_clap.clap_module.htsat import HTSAT_Swin_Transformer
    from laion_clap.clap_module.model import CLAPAudioCfp
    from model.CLAPSep import LightningModule
    from model.CLAPSep_decoder import HTSAT_Decoder

    front = CLAPAudioCfp(model_type="HTSAT", model_name="base", hop_size=480)
    branch = HTSAT_Swin_Transformer(embed_dim=size["dim"], depths=size["depths"], num_heads=size["heads"], config=front)
    clap = torch.nn.Module()
    clap.model = torch.nn.Module()
    clap.model.audio_branch = branch
    decoder = HTSAT_Decoder(
        lan_embed_dim=size["size"], depths=[1, 1, 1, 1], embed_dim=size["dim"], num_heads=size["heads"],
        encoder_embed_dim=size["dim"], phase=False, spec_factor=8, d_attn=size["d_mask"],
        n_masker_layer=size["layers"], conv=False,
    )  # fmt: skip
    module = LightningModule(clap, decoder, lr=1e-4, use_lora=True, rank=size["rank"], nfft=1024)
    del module.clap_model
    return module.eval()


def separated(module: Any, x: torch.Tensor, e: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The steps of the published test_step, from the mixture to the estimate."""
    import torchaudio
    from torchlibrosa.stft import magphase

    magnitude, cos, sin = magphase(*module.stft(x))
    del module.features[:]
    module.features.append(magnitude)
    module.audio_branch({"waveform": torchaudio.transforms.Resample(32_000, 48_000)(x)})
    features = list(module.features)
    mask = module.decoder_model(hidden_state=features[-1], skip_features=features[:-1], embed=e)
    return module.wav_reconstruct(mask, magnitude, cos, sin, length=x.shape[-1]), features[1:]


def summary(x: torch.Tensor) -> np.ndarray:
    """Samples of each item at a stride."""
    return x.flatten(1)[:, ::STRIDE].numpy()


@torch.no_grad()
def clapsep(checkout: Path, label: str, size: dict[str, Any]) -> None:
    module = published(checkout, size)
    keys = fill(module)
    found: dict[str, np.ndarray] = {}
    for name, (count, length) in CASES.items():
        estimate, features = separated(
            module,
            torch.from_numpy(mixtures(name, count, length)),
            torch.from_numpy(condition(name, count, size["size"])),
        )
        found[name] = summary(estimate)
        found[f"{name} peak"] = estimate.abs().amax(dim=1).numpy()
        if name == "1x3s":
            found |= {f"{name} feature {i}": summary(feature) for i, feature in enumerate(features)}
    write(label, found, keys)


@torch.no_grad()
def clap(checkout: Path, label: str, size: dict[str, Any]) -> None:
    """Embeddings of laion_clap, HTSAT-base with RoBERTa."""
    import laion_clap

    module = laion_clap.CLAP_Module(enable_fusion=False, amodel="HTSAT-base", device="cpu")
    keys = fill(module.model)
    module.eval()
    ids, mask = token_ids()
    text = module.model.get_text_embedding({"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)})
    found = {"text": text.numpy()}
    for seconds in (3, 10):
        samples = torch.from_numpy(mixtures(f"clap {seconds}", 2, 48_000 * seconds))
        found[f"audio {seconds}s"] = module.get_audio_embedding_from_data(samples, use_tensor=True).numpy()
        rounded = module.get_audio_embedding_from_data(samples.numpy(), use_tensor=False)
        found[f"audio {seconds}s sixteen bit"] = np.asarray(rounded)
    write(label, found, keys)


def token_ids() -> tuple[np.ndarray, np.ndarray]:
    """Three captions of 5, 20 and 77 tokens, as numbers and mask, (3, 77)."""
    ids = np.ones((3, 77), dtype=np.int64)
    for row, length in zip(ids, (5, 20, 77), strict=True):
        row[:length] = 4 + (np.arange(length) * 7919 + length) % 50_000
        row[0], row[length - 1] = 0, 2
    return ids, (ids != 1).astype(np.int64)


def write(label: str, found: dict[str, np.ndarray], keys: dict[str, list[int]]) -> None:
    np.savez_compressed(HERE / f"published-{label}.npz", **found)
    (HERE / f"published-{label}-keys.json").write_text(
        "{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in keys.items()) + "\n}\n", encoding="utf-8"
    )
    print(label, {name: (value.shape, float(np.abs(value).max())) for name, value in found.items()})


KINDS: dict[str, tuple[Callable[..., None], dict[str, Any]]] = {
    "small": (clapsep, SMALL),
    "full": (clapsep, FULL),
    "clap": (clap, {}),
}

if __name__ == "__main__":
    offline()
    torch.set_num_threads(1)
    for kind in sys.argv[2:] or KINDS:
        make, size = KINDS[kind]
        make(Path(sys.argv[1]), kind, size)
