"""What can be said of a cluster without one. Runs on Ray are in test_ray.py."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from tspbench.errors import MissingExtra, UsageError
from tspbench.runner.cluster import Need, RayCluster, _must_answer
from tspbench.runner.request import Request, choose_device


def test_room_on_a_node() -> None:
    assert Need(2, 0.0).fits({"CPU": 7.0}) == 3
    assert Need(2, 0.5).fits({"CPU": 64.0, "GPU": 4.0}) == 8
    assert Need(2, 1.0).fits({"CPU": 64.0}) == 0
    assert str(Need(2, 0.5)) == "2 CPUs and 0.5 GPUs"


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"pip install 'tspbench\[ray\]'"):
        RayCluster(None, None, 1, 0.0)


@pytest.mark.parametrize("address", ["here", "ray://here:10001", "here:", ":x"])
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(UsageError, match="write HOST:PORT"):
        _must_answer(address)


def test_a_head_node_that_is_not_there() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(UsageError, match="nothing answers there"):
            _must_answer(address)


@pytest.mark.parametrize(
    "settings", [{"ray_workers": 2}, {"ray_address": "here:1"}, {"ray_gpus_per_worker": 1.0}], ids=str
)
def test_ray_options_without_ray(settings: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="add --executor ray"):
        Request(task="lass-demo", out=Path("out"), **settings)


def test_devices_are_those_of_the_workers() -> None:
    assert choose_device("auto", None, per_worker=0.0) == "cpu"
    assert choose_device("cuda", None, per_worker=0.5) == "cuda"
    with pytest.raises(UsageError, match="Add --ray-gpus-per-worker 1"):
        choose_device("cuda", None, per_worker=0.0)
