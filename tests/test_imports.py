"""Import cost is a feature."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "librosa", "onnxruntime", "pandas")
CALLS = ["--help", "list systems", "list tasks", "list metrics", "show system nmf", "show metric si_sdr", "run --help"]


@pytest.mark.parametrize("call", CALLS)
def test_listing_imports_nothing_heavy(call: str) -> None:
    script = (
        "import sys\n"
        f"sys.argv = ['tspbench', *{call.split()!r}]\n"
        "from tspbench.cli import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_every_public_name_is_there() -> None:
    import tspbench

    for name in tspbench.__all__:
        assert getattr(tspbench, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'rnu'"):
        _ = tspbench.rnu
