"""CAM++ gives what the published class gives on equal weights; see make_campplus_fixture.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tspbench.systems.seeded import noise, seeded  # noqa: E402
from tspbench.systems.speaker_encoders import campplus  # noqa: E402

HERE = Path(__file__).parent
PARAMETERS = 6_848_544
"""Of the published class with vectors of 192."""


@pytest.fixture(scope="module")
def network() -> Any:
    shapes = json.loads((HERE / "published-campplus-keys.json").read_text())
    state = {name: torch.from_numpy(np.asarray(seeded(name, tuple(shape), 3))) for name, shape in shapes.items()}
    for name in shapes:
        if name.endswith("num_batches_tracked"):
            state[name] = torch.zeros((), dtype=torch.long)
    network = campplus.CamPlus(campplus.config(state))
    network.load_state_dict(campplus.convert(state))
    return network.eval()


@pytest.mark.parametrize("frames", ["60", "298"])
def test_equal_output_on_equal_weights(network: Any, frames: str) -> None:
    expected = np.load(HERE / "published-campplus.npz")[frames]
    with torch.no_grad():
        found = network(torch.from_numpy(noise(frames, (2, int(frames), 80), 5))).numpy()
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def test_as_large_as_published(network: Any) -> None:
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS
