from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tspbench.errors import UsageError
from tspbench.metrics import dnsmos as module
from tspbench.metrics import dnsmos_networks as networks
from tspbench.metrics.declaration import Need, Score, Status
from tspbench.metrics.dnsmos import METRICS, Opinion, dnsmos, windows
from tspbench.metrics.dnsmos_networks import HOP, P808, P835, WINDOW, mel_features, raw_scores
from tspbench.metrics.onnx_part import Tensor, part
from tspbench.metrics.signals import Signals

BY_ID = {metric.id: metric for metric in METRICS}
PARTS = ("sig", "bak", "ovrl", "p808")


@pytest.fixture
def heard(monkeypatch):
    """What the networks would hear, with made-up opinions in their place."""
    clips: list[np.ndarray] = []

    def judge(samples: np.ndarray) -> Opinion:
        clips.append(samples)
        return Opinion(1.0, 2.0, 3.0, 4.0)

    monkeypatch.setattr(module, "dnsmos", judge)
    return clips


def signals_of(scene, estimate, **changes) -> Signals:
    parts = {"sample_rate": 16_000, "mixture": scene.mixture, "target": scene.target, "estimate": estimate}
    return Signals(**parts | changes)


def speechmos(samples: np.ndarray) -> list[float]:
    run = pytest.importorskip("speechmos.dnsmos").run
    result = run(samples, 16_000)
    return [result[f"{part}_mos"] for part in PARTS]


def own(samples: np.ndarray) -> list[float]:
    opinion = dnsmos(samples)
    return [getattr(opinion, part) for part in PARTS]


def test_same_as_speechmos(scene):
    samples = np.tile(scene.estimates["good"], 2)[: 5 * 16_000]
    np.testing.assert_allclose(own(samples), speechmos(samples), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.01, 4.5, 9.01, 10.02, 11.5, 18.2])
def test_same_as_speechmos_at_any_length(seconds, scene):
    samples = np.tile(scene.estimates["good"], 5)[: int(seconds * 16_000)]
    np.testing.assert_allclose(own(samples), speechmos(samples), atol=1e-4)


@pytest.mark.parametrize("quality", ["good", "unrelated"])
@pytest.mark.parametrize("count", [1, 3])
def test_features_same_as_librosa(quality, count, scene):
    librosa = pytest.importorskip("librosa")
    fade = np.linspace(1, 0.01, WINDOW + (count - 1) * HOP)
    stretch = (np.resize(scene.estimates[quality], fade.size) * fade).astype(np.float32)
    features = mel_features(stretch, count)
    assert features.shape == (count, 900, 120)
    for i, found in enumerate(features):
        window = stretch[i * HOP : i * HOP + WINDOW - 160]
        mel = librosa.feature.melspectrogram(y=window, sr=16_000, n_fft=321, hop_length=160, n_mels=120)
        expected = (librosa.power_to_db(mel, ref=np.max) + 40) / 40
        np.testing.assert_allclose(found, expected.T, atol=1e-4)


def test_features_of_silence_are_finite():
    assert (mel_features(np.zeros(WINDOW, np.float32), 1) == 1).all()


@pytest.fixture(scope="module")
def whole():
    """The P.835 network in one piece."""
    onnxruntime = pytest.importorskip("onnxruntime")
    return onnxruntime.InferenceSession(networks.network(*P835), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(("group", "chunk"), [(64, 400), (2, 900), (64, 98)])
def test_what_windows_share_is_what_each_has_alone(group, chunk, scene, whole, monkeypatch):
    monkeypatch.setattr(networks, "_GROUP", group)
    monkeypatch.setattr(networks, "_CHUNK", chunk)
    starts = [0, HOP, 2 * HOP, 4 * HOP]
    clip = np.resize(scene.estimates["bad"], starts[-1] + WINDOW + 1_000)
    clip *= np.linspace(0.1, 1, clip.size, dtype=np.float32)
    p835, p808 = raw_scores(clip, starts)
    alone = np.stack([clip[start : start + WINDOW] for start in starts])
    expected = np.concatenate([whole.run(None, {"input_1": window[np.newaxis]})[0] for window in alone])
    np.testing.assert_allclose(p835, expected, atol=2e-6)
    one_by_one = [raw_scores(window, [0])[1][0] for window in alone]
    np.testing.assert_allclose(p808, one_by_one, atol=2e-6)


def test_a_part_of_a_network_is_checked():
    model = networks.network(*P835)
    late, scores = Tensor("mos_estimator_logpow/dense/Relu:0", ("n", 128)), Tensor("Identity:0", ("n", 3))
    assert len(part(model, late, scores)) < len(model) / 4
    with pytest.raises(ValueError, match="dense/Relu:0 cannot be computed from Identity:0"):
        part(model, scores, late)
    with pytest.raises(ValueError, match="nothing cannot be computed"):
        part(model, late, Tensor("nothing", ()))


@pytest.mark.parametrize(("there", "variable", "first"), [(True, "", True), (True, "cpu", False), (False, "", False)])
def test_a_gpu_is_used_where_onnxruntime_has_one_unless_forbidden(there, variable, first, monkeypatch):
    onnxruntime = pytest.importorskip("onnxruntime")
    found = [networks.CUDA] * there + ["CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: found)
    monkeypatch.setenv("TSPBENCH_DNSMOS", variable)
    chosen = networks.providers()
    assert chosen[-1] == "CPUExecutionProvider"
    assert (chosen[0] == (networks.CUDA, {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"})) is first


def by_the_published_loop(length: int) -> list[int]:
    """Starts of the windows that the DNS Challenge's script scores."""
    while length < int(9.01 * 16_000):
        length *= 2
    starts = []
    for hop in range(int(np.floor(length / 16_000) - 9.01) + 1):
        start, stop = int(hop * 16_000), int((hop + 9.01) * 16_000)
        if min(stop, length) - start >= int(9.01 * 16_000):
            starts.append(start)
    return starts


@pytest.mark.parametrize(
    "length", [1, 2, 4_504, 4_505, 4_506, 16_000, 72_000, 72_080, 80_000, 144_159, 144_160, 160_320, 300_000, 600_000]
)
def test_windows_are_those_of_the_published_script(length):
    clip = np.arange(length, dtype=np.float32)
    expected = by_the_published_loop(length)
    long, starts = windows(clip)
    assert starts == expected
    np.testing.assert_array_equal(long, np.arange(long.size) % length)
    assert starts[-1] + WINDOW <= long.size


@pytest.mark.parametrize("samples", [np.zeros(0, np.float32), np.zeros((2, 16_000), np.float32)])
def test_refuses_what_would_never_end(samples):
    with pytest.raises(ValueError, match="T >= 1"):
        dnsmos(samples)


def test_one_evaluation_serves_the_four_ids(synthetic, heard):
    signals = signals_of(synthetic, synthetic.estimates["good"])
    assert [BY_ID[f"dnsmos_{part}"].compute(signals).value for part in PARTS] == [1, 2, 3, 4]
    assert len(heard) == 1
    BY_ID["dnsmos_sig"].compute(signals.mixture_as_estimate())
    assert len(heard) == 2


@pytest.mark.parametrize("gain", [0.01, 30.0])
def test_the_gain_of_an_estimate_is_of_no_account(gain, synthetic, heard):
    for factor in (1.0, gain):
        signals = signals_of(synthetic, np.float32(factor) * synthetic.estimates["good"])
        BY_ID["dnsmos_ovrl"].compute(signals)
    np.testing.assert_allclose(heard[0], heard[1], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("gain", [0.01, 30.0])
def test_the_raw_variant_hears_the_estimate_as_it_is(gain, synthetic, heard):
    raw = BY_ID["dnsmos_ovrl"].parametrise({"level": "raw"})
    assert (raw.id, raw.level, raw.parameters["level"]) == ("dnsmos_ovrl[level=raw]", "raw", "raw")
    estimate = np.float32(gain) * synthetic.estimates["good"]
    raw.compute(signals_of(synthetic, estimate))
    np.testing.assert_array_equal(heard[0], estimate)


def test_a_target_absent_trial_is_heard_at_the_mixtures_active_level(synthetic, heard):
    quiet = synthetic.mixture / 100
    assert BY_ID["dnsmos_bak"].compute(signals_of(synthetic, quiet, target=None)) == Score(2.0)
    np.testing.assert_allclose(heard[0], synthetic.mixture, rtol=1e-4, atol=1e-7)


def test_level_matters_to_the_networks(synthetic):
    estimate = np.tile(synthetic.estimates["good"], 2)[: 5 * 16_000]
    assert abs(dnsmos(estimate).ovrl - dnsmos(estimate / 100).ovrl) > 0.05


@pytest.mark.parametrize("level", ["matched", "raw"])
def test_silence_is_undefined(level, synthetic, heard):
    metric = BY_ID["dnsmos_ovrl"].parametrise({"level": level})
    score = metric.compute(signals_of(synthetic, np.zeros_like(synthetic.target)))
    assert score == Score(None, Status.UNDEFINED, "silent estimate")
    assert not heard


def test_an_id_never_stands_for_two_computations():
    assert BY_ID["dnsmos_sig"].parametrise({"level": "matched"}).id == "dnsmos_sig"


@pytest.mark.parametrize("parameters", [{}, {"level": "loud"}, {"instrument": "raw"}, {"level": "raw", "x": "1"}])
def test_refuses_other_parameters(parameters):
    with pytest.raises(UsageError, match=r"dnsmos_sig takes \[level=matched\] or \[level=raw\]"):
        BY_ID["dnsmos_sig"].parametrise(parameters)


def test_other_network_files_are_refused(monkeypatch):
    with pytest.raises(UsageError, match=r"model_v8\.onnx is not the DNSMOS network known here"):
        networks.network(P808[0], P835[1])
    with pytest.raises(UsageError, match=r"needs gone\.onnx from the speechmos package"):
        networks.network("gone.onnx", P808[1])
    monkeypatch.setattr(networks, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install speechmos==0\.0\.1\.1"):
        networks.network(*P808)


def test_neither_speechmos_nor_librosa_is_imported():
    code = (
        "import sys, numpy; from tspbench.metrics import dnsmos; "
        "assert 'onnxruntime' not in sys.modules; dnsmos.dnsmos(numpy.ones(144160, 'float32') / 9); "
        "print([name for name in ('speechmos', 'librosa', 'torch') if name in sys.modules])"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout.strip() == "[]"


def test_declarations():
    assert list(BY_ID) == [f"dnsmos_{part}" for part in PARTS]
    for metric in METRICS:
        assert metric.needs == {Need.ESTIMATE}
        assert metric.improves
        assert metric.level == "matched"
        assert metric.sample_rates == (16_000,)
        assert metric.parameters["sha256"] in (P835[1], P808[1])
