"""TD-SpeakerBeam: what it hears, what it refuses to load, and published files through the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tspbench.conformance import check_system  # noqa: E402
from tspbench.errors import UsageError  # noqa: E402
from tspbench.systems.seeded import noise  # noqa: E402
from tspbench.systems.td_speakerbeam import checkpoint as ckpt  # noqa: E402
from tspbench.systems.td_speakerbeam.adapter import TDSpeakerBeam, TDSpeakerBeam8k  # noqa: E402
from tspbench.types import Query  # noqa: E402

Drawn = Callable[[str], dict[str, Any]]
LAYOUTS = ("asteroid", "espnet")
SYSTEMS = ("td-speakerbeam", "td-speakerbeam-8k")


def sound(length: int, name: str = "x") -> np.ndarray:
    return 0.1 * noise(name, (length,), 3)


@pytest.fixture(scope="session")
def files(state: Drawn, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Checkpoints of little size as they are published: the authors' and ESPnet's."""
    folder = tmp_path_factory.mktemp("published")
    asteroid, espnet = folder / "model.pth", folder / "99epoch.pth"
    content = {"model_name": "TimeDomainSpeakerBeam", "state_dict": state("asteroid"),
               "model_args": {"sample_rate": 8000.0}, "infos": {"software_versions": {}}}  # fmt: skip
    torch.save(content, asteroid)
    torch.save(state("espnet"), espnet)
    return {"asteroid": asteroid, "espnet": espnet}


@pytest.fixture(scope="module", params=LAYOUTS)
def system(request: pytest.FixtureRequest, files: dict[str, Path]) -> TDSpeakerBeam:
    found = TDSpeakerBeam8k(checkpoint=files[request.param])
    found.load("cpu")
    return found


def one(system: TDSpeakerBeam, mixture: np.ndarray, *enrolments: np.ndarray) -> np.ndarray:
    query = Query(system.sample_rate, enrolment=enrolments)
    return np.asarray(system.extract(mixture[None], np.array([len(mixture)]), [query])[0])


# -- what it hears -------------------------------------------------------------------------------


def test_the_enrolment_decides(system: TDSpeakerBeam) -> None:
    mixture = sound(8000)
    first, other = (one(system, mixture, sound(6000, name)) for name in ("a", "b"))
    assert np.abs(first - other).max() > 1e-3 * np.abs(first).max()


def test_several_enrolments_are_one_after_the_other(system: TDSpeakerBeam) -> None:
    a, b, mixture = sound(3000, "a"), sound(5000, "b"), sound(8000)
    np.testing.assert_array_equal(one(system, mixture, a, b), one(system, mixture, np.concatenate([a, b])))


def test_a_batch_of_mixed_lengths_is_each_alone(system: TDSpeakerBeam) -> None:
    lengths = np.array([8000, 5001, 8000, 7])
    mixtures = np.zeros((4, 8000), np.float32)
    queries = []
    for row, length in enumerate(lengths):
        mixtures[row, :length] = sound(int(length), str(row))
        queries.append(Query(8000, enrolment=(sound([4000, 4000, 6000, 3][row], f"e{row}"),)))
    before = mixtures.copy()
    together = system.extract(mixtures, lengths, queries)
    np.testing.assert_array_equal(mixtures, before)
    for row, length in enumerate(lengths):
        alone = one(system, mixtures[row, :length], *queries[row].enrolment)
        np.testing.assert_allclose(together[row, :length], alone, atol=1e-5 * np.abs(alone).max() + 1e-12)
        assert not together[row, length:].any()


@pytest.mark.parametrize("length", [1, 15, 16, 17, 23, 24, 25])
def test_around_the_length_of_one_filter(system: TDSpeakerBeam, length: int) -> None:
    estimate = one(system, sound(length), sound(length))
    assert estimate.shape == (length,)
    assert np.isfinite(estimate).all()
    assert np.isfinite(one(system, sound(800))).all(), "no enrolment at all"


# -- checkpoints ---------------------------------------------------------------------------------


def saved(content: Any, path: Path) -> Path:
    torch.save(content, path)
    return path


def test_training_checkpoints_give_the_same_network(state: Drawn, tmp_path: Path) -> None:
    """Lightning's (every name behind ``model.``) and ESPnet's (beside its optimisers)."""
    lightning = {"state_dict": {f"model.{key}": tensor for key, tensor in state("asteroid").items()}, "epoch": 199}
    espnet = {"model": state("espnet"), "optimizers": [{"state": {0: torch.zeros(2)}}]}
    for layout, content in zip(LAYOUTS, (lightning, espnet), strict=True):
        path = saved(content, tmp_path / f"{layout}.ckpt")
        own = ckpt.load(ckpt.read(path), path).state_dict()
        plain = ckpt.load(state(layout), path).state_dict()
        assert all(torch.equal(own[key], tensor) for key, tensor in plain.items())


@pytest.mark.parametrize(
    ("layout", "lost"),
    [
        ("asteroid", "decoder.filterbank._filters"),
        ("asteroid", "masker.TCN.7.res_conv.bias"),
        ("asteroid", "masker.bottleneck.1.weight"),
        ("espnet", "encoder.conv1d.weight"),
        ("espnet", "extractor.tcn.network.2.1.0.net.3.skip_conv.weight"),
        ("espnet", "extractor.auxiliary_net.network.4.weight"),
    ],
)
def test_a_missing_tensor_is_named(layout: str, lost: str, state: Drawn) -> None:
    left = {key: tensor for key, tensor in state(layout).items() if key != lost}
    with pytest.raises(UsageError, match=r"x\.pth lacks"):
        ckpt.load(left, Path("x.pth"))


def test_every_lost_tensor_is_noticed(state: Drawn) -> None:
    for layout in LAYOUTS:
        whole = state(layout)
        for lost in whole:
            with pytest.raises(UsageError):
                ckpt.load({key: tensor for key, tensor in whole.items() if key != lost}, Path("x.pth"))


def test_what_is_not_the_checkpoint_is_named(state: Drawn, tmp_path: Path) -> None:
    other = saved({"ss_model.base.weight": torch.zeros(1)}, tmp_path / "other.ckpt")
    with pytest.raises(UsageError, match=r"not TD-SpeakerBeam's checkpoint .* but AudioSep's Lightning checkpoint"):
        ckpt.read(other)
    vectors = saved({"extractor.auxiliary_net.weight": torch.zeros(1)}, tmp_path / "vectors.pth")
    with pytest.raises(UsageError, match="told by speaker vectors"):
        ckpt.read(vectors)
    with pytest.raises(UsageError, match=r"has tensors that TD-SpeakerBeam has not: masker\.adapt\.weight"):
        ckpt.load({**state("asteroid"), "masker.adapt.weight": torch.zeros(1)}, Path("x.pth"))
    wide = state("espnet")
    wide["decoder.convtrans1d.weight"] = torch.zeros(32, 1, 20)
    with pytest.raises(UsageError, match=r"decoder\.weight has shape \(32, 1, 20\), expected \(32, 1, 16\)"):
        ckpt.load(wide, Path("x.pth"))


# -- the command line ----------------------------------------------------------------------------


def invoke(*arguments: str) -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-m", "tspbench", *arguments], capture_output=True, text=True, check=False)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


@pytest.mark.parametrize(("name", "layout"), list(zip(SYSTEMS, ("espnet", "asteroid"), strict=True)))
def test_published_files_run_through_the_command_line(
    name: str, layout: str, files: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    code, said = invoke("run", "--system", name, "--option", f"checkpoint={files[layout]}", "--task", "tse-demo",
                        "--limit", "4", "--metrics", "si_sdr", "--out", str(out))  # fmt: skip
    assert code == 0, said
    identity = json.loads((out / "run.json").read_text())["identity"]
    assert [key.partition(" ")[2] for key in identity["system"]["weights"]] == [files[layout].name]
    assert str(tmp_path.parent) not in json.dumps(identity)
    assert "filters of 16 samples" in (out / "system.log").read_text()
    scores = [json.loads(line) for line in (out / "scores.jsonl").read_text().splitlines()]
    assert [score["status"] for score in scores] == ["ok"] * 4


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("td-speakerbeam", ["99epoch.pth", "CC BY 4.0", "Wangyou_Zhang_librimix"]),
        ("td-speakerbeam-8k", ["model.pth", "evaluation licence", "BUTSpeechFIT/speakerbeam"]),
    ],
)
def test_without_weights_the_command_says_what_to_get(
    name: str, parts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TSPBENCH_WEIGHTS", raising=False)
    code, said = invoke("run", "--system", name, "--task", "tse-demo", "--out", str(tmp_path / "out"))
    assert code == 2
    for part in (*parts, "--option checkpoint=PATH", "--option weights=random"):
        assert part in said
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", SYSTEMS)
def test_random_weights_stamp_the_identity(name: str) -> None:
    from tspbench.runner.inference import SystemService
    from tspbench.system import find_system

    assert SystemService(find_system(name), {"weights": "random"}).describe().weights == {"random": "seed 0"}


@pytest.mark.parametrize(("name", "layout"), list(zip(SYSTEMS, ("espnet", "asteroid"), strict=True)))
def test_it_conforms(name: str, layout: str, files: dict[str, Path]) -> None:
    verdicts = check_system(name, {"checkpoint": str(files[layout])})
    assert [v for v in verdicts if v.outcome == "failed"] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", SYSTEMS)
def test_it_conforms_at_full_size(name: str) -> None:
    verdicts = check_system(name, {"weights": "random"})
    assert [v for v in verdicts if v.outcome == "failed"] == []


@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_on_a_gpu_it_is_the_same(layout: str, files: dict[str, Path]) -> None:
    here, there = (TDSpeakerBeam8k(checkpoint=files[layout]) for _ in range(2))
    here.load("cpu")
    there.load("cuda")
    exact = one(here, sound(20_000), sound(9_000, "e"))
    assert np.abs(one(there, sound(20_000), sound(9_000, "e")) - exact).max() < 1e-3 * np.abs(exact).max()
