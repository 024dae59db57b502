"""What people and CI run: ``nox -s demo``, ``tests``, ``lint``, ``wheel``, ``parity``, ``benchmarks``, and more."""

from __future__ import annotations

import shutil
from pathlib import Path

import nox

nox.options.sessions = ["tests"]
nox.options.reuse_existing_virtualenvs = True
nox.needs_version = ">=2024.10"

PYPROJECT = nox.project.load_toml("pyproject.toml")
TEST_DEPENDENCIES = nox.project.dependency_groups(PYPROJECT, "test")
LINT_DEPENDENCIES = nox.project.dependency_groups(PYPROJECT, "lint")


BOUNDS = ["mixture", "silence", "clean", "oracle-ibm", "oracle-irm", "oracle-psm"]
BUNDLED = {
    "lass-demo": ["nmf", "clapsep-mini", "unpaired-mini"],
    "tse-demo": ["nmf", "td-speakerbeam-mini"],
    "tsasr-demo": ["nmf", "cascade-mini"],
}
"""What needs no download, by the bundled task that it is for."""


@nox.session
def demo(session: nox.Session) -> None:
    """Install the package and run bounds and bundled systems on the bundled tasks; -- --limit 8 for a quick look."""
    session.install(".[torch]")
    for task, systems in BUNDLED.items():
        named = ",".join(["mixture", "oracle-irm", *systems])
        out = ["--out", f"runs/demo/{task}", "--fresh", "--save-audio", "worst"]
        session.run("tspbench", "run", "--system", named, "--task", task, *out, *session.posargs)
    rows = [f"runs/demo/lass-demo/{name}" for name in ["mixture", "oracle-irm", *BUNDLED["lass-demo"]]]
    session.run("tspbench", "report", *rows, "--out", "runs/demo/report")


@nox.session
def tests(session: nox.Session) -> None:
    """The quick tests; pass -m slow (or any pytest option) after --."""
    session.install("-e", ".[speaker,clap]", *TEST_DEPENDENCIES)
    # Hypothesis repeats its examples here, so that a verdict is about the code; plain pytest draws new ones.
    session.run("pytest", "-n", "auto", "--hypothesis-profile=ci", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style and types."""
    session.install(".", *LINT_DEPENDENCIES)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")


@nox.session
def browser(session: nox.Session) -> None:
    """Reports and leaderboards in a real browser; wants a Chromium on the machine."""
    session.install("-e", ".", "playwright>=1.45,<2", *TEST_DEPENDENCIES)
    session.run("pytest", "tests/report", "tests/leaderboard", "-m", "slow", "-rs", *session.posargs)


@nox.session
def ray(session: nox.Session) -> None:
    """Runs on a Ray cluster of two nodes, both on this machine; one is killed. Minutes."""
    session.install("-e", ".[ray]", *TEST_DEPENDENCIES)
    session.run("pytest", "tests/runner/test_ray.py", "-m", "slow", "-rs", *session.posargs)


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Speed and memory, as ratios within one run. Wants a quiet machine."""
    session.install("-e", ".[speaker]", *TEST_DEPENDENCIES)
    session.run("pytest", "tests/benchmarks", "-m", "bench", "-s", *session.posargs)


@nox.session
def leaderboards(session: nox.Session) -> None:
    """Run what is bundled on the demo tasks, profile it, build leaderboards/; -- --allow-dirty for uncommitted code."""
    session.install("-e", ".[speaker,torch]")
    folder = Path(session.create_tmp()) / "leaderboards"
    shutil.rmtree(folder, ignore_errors=True)
    more = {"tsasr-demo": ["recogniser", "recogniser-clean"]}
    rows = {task: [*BOUNDS, *more.get(task, []), *systems] for task, systems in BUNDLED.items()}
    for task, systems in rows.items():
        session.run("tspbench", "run", "--system", ",".join(systems), "--task", task, "--out", str(folder / task))
    settings = ["--seconds", "1", "4", "10", "--batch", "1", "--budget", "10"]
    for task, systems in BUNDLED.items():
        for name in systems:
            run = str(folder / task / name)
            session.run("tspbench", "profile", "--system", name, "--task", task, *settings, "--run", run)
    # Added only now: that changes the checkout, and a run of changed code is marked as such.
    runs = [str(folder / task / name) for task, systems in rows.items() for name in systems]
    session.run("tspbench", "leaderboard", "add", *session.posargs, *runs)
    session.run("tspbench", "leaderboard", "build")


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the wheel, install it into an environment of its own, use it outside the repository."""
    session.install("build")
    folder = Path(session.create_tmp())
    for old in (folder / "dist").glob("*.whl"):
        old.unlink()
    session.run("python", "-m", "build", "--wheel", "--outdir", str(folder / "dist"), silent=True)
    session.install("--force-reinstall", *map(str, (folder / "dist").glob("*.whl")))
    session.chdir(folder)
    session.run("tspbench", "list", "systems")
    session.run("tspbench", "run", "--system", "mixture,nmf", "--task", "lass-demo", "--limit", "4", "--fresh")


@nox.session
def parity(session: nox.Session) -> None:
    """Instruments beside the packages they stand for; systems on transformers' Whisper beside published outputs."""
    session.install("-e", ".[speaker,transformers,meeteval]", *TEST_DEPENDENCIES)
    session.install("setuptools<81")  # the published resemblyzer imports pkg_resources through webrtcvad
    where = ["tests/instruments", "tests/metrics/test_text.py", "tests/systems/whisper", "tests/systems/ts_whisper"]
    where += ["tests/metrics/test_cpwer.py", "tests/test_sessions.py"]  # meeteval's build takes a while: not in tests
    session.run("pytest", *where, "-m", "not bench", "-rs", *session.posargs)


@nox.session
def laion(session: nox.Session) -> None:
    """CLAP beside LAION's own package, which wants an older numpy."""
    session.install("-e", ".[clap,laion]", *TEST_DEPENDENCIES)
    session.run("pytest", "tests/systems/clap", "-m", "not bench", "-rs", *session.posargs, env={"HF_HUB_OFFLINE": "1"})
