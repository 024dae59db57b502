from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tspbench.errors import UsageError
from tspbench.metrics import dnsmos as module
from tspbench.metrics.declaration import Need, Score, Status
from tspbench.metrics.dnsmos import METRICS, P808, P835, Opinion, dnsmos, mel_features, windows
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
def test_features_same_as_librosa(quality, scene):
    librosa = pytest.importorskip("librosa")
    window = np.tile(scene.estimates[quality], 3)[:144_000]
    mel = librosa.feature.melspectrogram(y=window, sr=16_000, n_fft=321, hop_length=160, n_mels=120)
    expected = (librosa.power_to_db(mel, ref=np.max) + 40) / 40
    assert mel_features(window).shape == (900, 120)
    np.testing.assert_allclose(mel_features(window), expected.T, atol=1e-4)


def test_features_of_silence_are_finite():
    assert (mel_features(np.zeros(144_000, np.float32)) == 1).all()


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
    cut = windows(clip)
    assert cut.shape == (len(expected), 144_160)
    np.testing.assert_array_equal(cut[:, 0], [start % length for start in expected])
    np.testing.assert_array_equal(cut[:, -1], [(start + 144_159) % length for start in expected])


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
        module._network(P808[0], P835[1])
    with pytest.raises(UsageError, match=r"needs gone\.onnx from the speechmos package"):
        module._network("gone.onnx", P808[1])
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install speechmos==0\.0\.1\.1"):
        module._network(*P808)


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
