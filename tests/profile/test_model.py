"""Parameters and MACs in closed form."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from tspbench.profile.model import count_macs, count_parameters, held_modules  # noqa: E402

TIME, IN, OUT, HEADS, WIDE = 50, 16, 32, 4, 24


class Holder:
    def __init__(self, **held: Any) -> None:
        self.__dict__.update(held)


def layers() -> dict[str, tuple[Any, int]]:
    """A layer, and the MACs of its products on TIME x IN, batch 1."""
    attention = 4 * TIME * IN * IN + 2 * TIME * TIME * IN
    return {
        "linear": (torch.nn.Linear(IN, OUT), TIME * IN * OUT),
        "lstm": (torch.nn.LSTM(IN, OUT, batch_first=True), TIME * 4 * OUT * (IN + OUT)),
        "two-way lstm": (
            torch.nn.LSTM(IN, OUT, batch_first=True, bidirectional=True),
            2 * TIME * 4 * OUT * (IN + OUT),
        ),
        "gru": (torch.nn.GRU(IN, OUT, batch_first=True), TIME * 3 * OUT * (IN + OUT)),
        "encoder": (
            torch.nn.TransformerEncoderLayer(IN, HEADS, WIDE, batch_first=True),
            attention + 2 * TIME * IN * WIDE,
        ),
        "convolution": (torch.nn.Conv1d(TIME, OUT, 5, groups=2), (IN - 4) * OUT * (TIME // 2) * 5),
        "transposed": (torch.nn.ConvTranspose1d(TIME, OUT, 4, stride=2), IN * TIME * OUT * 4),
    }


@pytest.mark.parametrize("name", layers())
@pytest.mark.parametrize("mode", ["no_grad", "inference_mode"])
def test_macs(name: str, mode: str) -> None:
    layer, expected = layers()[name]
    layer.eval()
    with getattr(torch, mode)():
        found = count_macs(lambda: layer(torch.randn(1, TIME, IN)))
    assert found.total == expected
    assert sum(found.by_operator.values()) == expected
    assert found.uncounted == ()


def test_fast_kernels_are_left_as_they_were() -> None:
    before = torch.backends.mha.get_fastpath_enabled(), torch._C._get_mkldnn_enabled()
    with pytest.raises(ZeroDivisionError):
        count_macs(lambda: 1 / 0)
    assert (torch.backends.mha.get_fastpath_enabled(), torch._C._get_mkldnn_enabled()) == before


def test_what_is_missed_is_named() -> None:
    found = count_macs(lambda: torch.fft.rfft(torch.randn(1, 512)))
    assert found.total == 0
    assert found.uncounted
    assert all("fft" in name for name in found.uncounted)


def test_parameters_by_part() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.BatchNorm1d(5))
    net[0].requires_grad_(False)
    found = count_parameters(Holder(net=net))
    assert found is not None
    assert (found.total, found.trainable) == (3 * 5 + 5 + 10, 10)
    assert dict(found.parts) == {"net.0": 20, "net.1": 10}
    assert found.bytes == 4 * (30 + 10) + 8  # running mean and variance, and a counter of 64 bits


def test_modules_are_found_wherever_they_hang() -> None:
    inner, listed = torch.nn.Linear(2, 2), torch.nn.Linear(2, 3)
    holder = Holder(model=Holder(backend=Holder(net=inner)), stages={"a": [listed]}, call=Holder(x=inner).x.forward)
    assert dict(held_modules(holder)) == {"model.backend.net": inner, "stages.a.0": listed}
    found = count_parameters(holder)
    assert found is not None
    assert found.total == 6 + 9


def test_a_shared_parameter_counts_once() -> None:
    one, two = torch.nn.Linear(4, 4, bias=False), torch.nn.Linear(4, 4, bias=False)
    two.weight = one.weight
    found = count_parameters(Holder(net=torch.nn.ModuleDict({"one": one, "two": two})))
    assert found is not None
    assert (found.total, dict(found.parts)) == (16, {"net.one": 16})


def test_a_system_that_is_a_module_itself() -> None:
    class Net(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.gain = torch.nn.Parameter(torch.ones(3))
            self.out = torch.nn.Linear(2, 1)

    found = count_parameters(Net())
    assert found is not None
    assert dict(found.parts) == {"out": 3, "(itself)": 3}


def test_no_module() -> None:
    assert count_parameters(Holder(rank=3, itself=None)) is None
    circle = Holder()
    circle.circle = circle
    assert count_parameters(circle) is None
