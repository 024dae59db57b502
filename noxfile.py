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


@nox.session
def demo(session: nox.Session) -> None:
    """Install the package and run the main job on a bundled task."""
    session.install(".")
    task = session.posargs or ["--task", "lass-demo"]
    session.run("tspbench", "run", "--system", "mixture,oracle-irm,nmf", *task)


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
    """Reports in a real browser; wants a Chromium on the machine."""
    session.install("-e", ".", "playwright>=1.45,<2", *TEST_DEPENDENCIES)
    session.run("pytest", "tests/report", "-m", "slow", "-rs", *session.posargs)


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Speed and memory, as ratios within one run. Wants a quiet machine."""
    session.install("-e", ".[speaker]", *TEST_DEPENDENCIES)
    session.run("pytest", "tests/benchmarks", "-m", "bench", "-s", *session.posargs)


@nox.session
def leaderboards(session: nox.Session) -> None:
    """Run what is bundled on the demo tasks, profile it, build leaderboards/; -- --allow-dirty for uncommitted code."""
    session.install("-e", ".[speaker]")
    folder = Path(session.create_tmp()) / "leaderboards"
    shutil.rmtree(folder, ignore_errors=True)
    bounds = ["mixture", "silence", "clean", "oracle-ibm", "oracle-irm", "oracle-psm"]
    more = {"lass-demo": [], "tse-demo": [], "tsasr-demo": ["recogniser", "recogniser-clean"]}
    rows = {task: [*bounds, *others, "nmf"] for task, others in more.items()}
    for task, systems in rows.items():
        session.run("tspbench", "run", "--system", ",".join(systems), "--task", task, "--out", str(folder / task))
    settings = ["--seconds", "1", "4", "10", "--batch", "1", "--budget", "10"]
    for task in rows:
        run = str(folder / task / "nmf")
        session.run("tspbench", "profile", "--system", "nmf", "--task", task, *settings, "--run", run)
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
    """The instruments beside the packages they stand for: transformers, and resemblyzer as published."""
    session.install("-e", ".[speaker,transformers]", *TEST_DEPENDENCIES)
    session.install("setuptools<81")  # the published resemblyzer imports pkg_resources through webrtcvad
    session.run("pytest", "tests/instruments", "tests/metrics/test_text.py", "-m", "not bench", "-rs", *session.posargs)


@nox.session
def laion(session: nox.Session) -> None:
    """CLAP beside LAION's own package, which wants an older numpy."""
    session.install("-e", ".[clap,laion]", *TEST_DEPENDENCIES)
    session.run("pytest", "tests/systems/clap", "-m", "not bench", "-rs", *session.posargs, env={"HF_HUB_OFFLINE": "1"})
