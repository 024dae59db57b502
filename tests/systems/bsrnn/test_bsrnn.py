"""BSRNN: what it hears, what it refuses to load, and published files through the command line."""

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
from tspbench.systems.bsrnn import checkpoint as ckpt  # noqa: E402
from tspbench.systems.bsrnn.adapter import Bsrnn  # noqa: E402
from tspbench.systems.seeded import noise  # noqa: E402
from tspbench.types import Query  # noqa: E402

Drawn = Callable[[str], dict[str, Any]]
RATE = 16000


def sound(length: int, name: str = "x") -> np.ndarray:
    return 0.1 * noise(name, (length,), 3)


@pytest.fixture(scope="session")
def file(state: Drawn, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of little size as WeSep's averaging writes it: a list of models, counters as floats."""
    folder = tmp_path_factory.mktemp("bsrnn_ecapa_vox1")
    averaged = {k: t.float() if k.endswith("num_batches_tracked") else t for k, t in state("ecapa-multiply").items()}
    averaged["pred_linear.weight"] = torch.zeros(251, 192)
    torch.save({"models": [averaged]}, folder / "avg_model.pt")
    (folder / "config.yaml").write_text("model_args:\n  tse_model:\n    spk_fuse_type: 'multiply'\n")
    return folder / "avg_model.pt"


@pytest.fixture(scope="module")
def system(file: Path) -> Bsrnn:
    found = Bsrnn(checkpoint=file)
    found.load("cpu")
    return found


def one(system: Bsrnn, mixture: np.ndarray, *enrolments: np.ndarray) -> np.ndarray:
    query = Query(RATE, enrolment=enrolments)
    return np.asarray(system.extract(mixture[None], np.array([len(mixture)]), [query])[0])


# -- what it hears -------------------------------------------------------------------------------


def test_the_enrolment_decides(system: Bsrnn) -> None:
    """Its level does not, but for rounding: the mean of the logarithms is removed."""
    mixture, enrolment = sound(16_000), sound(20_000, "a")
    first, louder, other = (one(system, mixture, x) for x in (enrolment, 4 * enrolment, sound(20_000, "b")))
    assert np.abs(first - other).max() > 1e-3 * np.abs(first).max()
    assert np.abs(first - louder).max() < 1e-4 * np.abs(first).max()


def test_several_enrolments_are_one_after_the_other(system: Bsrnn) -> None:
    a, b, mixture = sound(9000, "a"), sound(12_000, "b"), sound(16_000)
    np.testing.assert_array_equal(one(system, mixture, a, b), one(system, mixture, np.concatenate([a, b])))


def test_a_batch_of_mixed_lengths_is_each_alone(system: Bsrnn) -> None:
    lengths = np.array([16_000, 9001, 16_000, 7])
    mixtures = np.zeros((4, 16_000), np.float32)
    queries = []
    for row, length in enumerate(lengths):
        mixtures[row, :length] = sound(int(length), str(row))
        queries.append(Query(RATE, enrolment=(sound([12_000, 12_000, 16_000, 3][row], f"e{row}"),)))
    before = mixtures.copy()
    together = system.extract(mixtures, lengths, queries)
    np.testing.assert_array_equal(mixtures, before)
    for row, length in enumerate(lengths):
        alone = one(system, mixtures[row, :length], *queries[row].enrolment)
        np.testing.assert_allclose(together[row, :length], alone, atol=1e-5 * np.abs(alone).max() + 1e-12)
        assert not together[row, length:].any()


@pytest.mark.parametrize("length", [1, 127, 256, 257, 258])
def test_around_half_a_window(system: Bsrnn, length: int) -> None:
    estimate = one(system, sound(length), sound(length))
    assert estimate.shape == (length,)
    assert np.isfinite(estimate).all()
    assert np.isfinite(one(system, sound(800))).all(), "no enrolment at all"


def test_the_two_front_ends_differ(system: Bsrnn, file: Path) -> None:
    other = Bsrnn(checkpoint=file, frontend="cli")
    other.load("cpu")
    mixture, enrolment = sound(16_000), sound(20_000, "a")
    first = one(system, mixture, enrolment)
    assert np.abs(first - one(other, mixture, enrolment)).max() > 1e-3 * np.abs(first).max()


# -- checkpoints ---------------------------------------------------------------------------------


def test_the_fusion_is_told_by_the_option_then_the_file_beside(file: Path, state: Drawn, tmp_path: Path) -> None:
    copy = tmp_path / "avg_model.pt"
    copy.write_bytes(file.read_bytes())

    def fusion(**options: Any) -> str:
        system = Bsrnn(checkpoint=copy, **options)
        system.load("cpu")
        return str(system._network.config.fusion)

    assert fusion() == "multiply"
    assert [path.name for path in Bsrnn(checkpoint=copy).weight_files()] == ["avg_model.pt"]
    config = tmp_path / "config.yaml"
    config.write_text("    spk_fuse_type: additive # as trained\n")
    assert fusion() == "additive"
    assert fusion(fusion="multiply") == "multiply"
    assert Bsrnn(checkpoint=copy).weight_files() == [copy, config]
    assert Bsrnn(checkpoint=copy, fusion="multiply").weight_files() == [copy]
    config.write_text("spk_fuse_type: cross_attention\n")
    with pytest.raises(UsageError, match="spk_fuse_type cross_attention; known are concat"):
        fusion()


def test_a_missing_tensor_is_named(state: Drawn) -> None:
    whole = state("ecapa-multiply")
    for lost in ("mask.3.5.bias", "separator.separation.0.fc.linear.weight", "spk_model.bn.running_var", "BN.9.0.bias"):
        left = {key: tensor for key, tensor in whole.items() if key != lost}
        with pytest.raises(UsageError, match=r"x\.pt lacks"):
            ckpt.load(left, Path("x.pt"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"BN.0.0.weight": None}, "is not WeSep's BSRNN"),
        ({"separator.attenFuse.x": 1}, "BSRNN_Feats"),
        ({"preEmphasis.flipped_filter": 1}, "spk_feat: False"),
        ({"spk_transform.transforms.0.weight": 1}, "use_spk_transform: True"),
        ({"spk_model.pool.linear1.weight": None}, r"neither ECAPA-TDNN nor ResNet18/34: spk_model\."),
    ],
)
def test_what_is_not_the_checkpoint_is_named(
    change: dict[str, int | None], said: str, state: Drawn, tmp_path: Path
) -> None:
    content = {**state("ecapa-multiply"), **{key: torch.zeros(1) for key, value in change.items() if value}}
    content = {key: tensor for key, tensor in content.items() if change.get(key, 1) is not None}
    torch.save({"models": [content]}, tmp_path / "avg_model.pt")
    with pytest.raises(UsageError, match=said):
        ckpt.read(tmp_path / "avg_model.pt")


def test_one_tensor_too_many_is_refused(state: Drawn) -> None:
    with pytest.raises(UsageError, match=r"has tensors that this BSRNN has not: encoder\.bn2\.weight"):
        ckpt.load({**state("ecapa-multiply"), "spk_model.bn2.weight": torch.zeros(192)}, Path("x.pt"))


# -- the command line ----------------------------------------------------------------------------


def invoke(*arguments: str) -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-m", "tspbench", *arguments], capture_output=True, text=True, check=False)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def test_the_published_file_runs_through_the_command_line(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, said = invoke("run", "--system", "bsrnn", "--option", f"checkpoint={file}", "--task", "tse-demo",
                        "--limit", "4", "--metrics", "si_sdr", "--out", str(out))  # fmt: skip
    assert code == 0, said
    identity = json.loads((out / "run.json").read_text())["identity"]
    names = [key.partition(" ")[2] for key in identity["system"]["weights"]]
    assert names == ["avg_model.pt", "config.yaml"]
    assert str(tmp_path.parent) not in json.dumps(identity)
    assert "Ecapa, fusion multiply" in (out / "system.log").read_text()
    scores = [json.loads(line) for line in (out / "scores.jsonl").read_text().splitlines()]
    assert [score["status"] for score in scores] == ["ok"] * 4


def test_without_weights_the_command_says_what_to_get(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TSPBENCH_WEIGHTS", raising=False)
    code, said = invoke("run", "--system", "bsrnn", "--task", "tse-demo", "--out", str(tmp_path / "out"))
    assert code == 2
    for part in ("avg_model.pt", "bsrnn_ecapa_vox1.tar.gz", "--option checkpoint=PATH", "--option weights=random"):
        assert part in said
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


def test_random_weights_stamp_the_identity() -> None:
    from tspbench.runner.inference import SystemService
    from tspbench.system import find_system

    assert SystemService(find_system("bsrnn"), {"weights": "random"}).describe().weights == {"random": "seed 0"}


def test_it_conforms(file: Path) -> None:
    verdicts = check_system("bsrnn", {"checkpoint": str(file)})
    assert [v for v in verdicts if v.outcome == "failed"] == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_it_conforms_at_full_size() -> None:
    verdicts = check_system("bsrnn", {"weights": "random"})
    assert [v for v in verdicts if v.outcome == "failed"] == []


@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_it_is_the_same(file: Path, system: Bsrnn) -> None:
    there = Bsrnn(checkpoint=file)
    there.load("cuda")
    exact = one(system, sound(20_000), sound(19_000, "e"))
    assert np.abs(one(there, sound(20_000), sound(19_000, "e")) - exact).max() < 1e-3 * np.abs(exact).max()
