"""Write published-campplus.*: the published class on seeded weights. Run with WeSpeaker on the path.

    git -C wespeaker checkout dfa741957e5c11f477623b6e583d67d0af25ee88
    PYTHONPATH=wespeaker python make_campplus_fixture.py

Weights are ``seeded(name, shape, 3)`` (tspbench.systems.seeded), inputs
``noise("T", (2, T, 80), 5)`` for T in 60, 298.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from wespeaker.models.campplus import CAMPPlus

from tspbench.systems.seeded import noise, randomise

HERE = Path(__file__).parent

if __name__ == "__main__":
    network = randomise(CAMPPlus(embed_dim=192), 3).eval()
    shapes = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
    (HERE / "published-campplus-keys.json").write_text(json.dumps(shapes, separators=(",", ":")) + "\n")
    with torch.no_grad():
        found = {str(t): network(torch.from_numpy(noise(str(t), (2, t, 80), 5))).numpy() for t in (60, 298)}
    np.savez_compressed(HERE / "published-campplus.npz", **found)
