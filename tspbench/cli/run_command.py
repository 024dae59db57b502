"""tspbench run"""

from __future__ import annotations

import sys
from typing import Any, get_args

import click

from tspbench.cli.options import batch_size, measuring, names
from tspbench.runner.keep import Policy


@click.command("run")
@click.option(
    "--system", "systems", required=True, multiple=True, metavar="S[,S…]", help="Names, or path/to/file.py:ClassName."
)
@measuring
@click.option("--option", "options", multiple=True, metavar="K=V", help="A system's option; SYSTEM.K=V: of one system.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--batch-size", default="auto", show_default=True, metavar="auto|N")
@click.option("--save-audio", type=click.Choice(get_args(Policy)), default="none", show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--time-limit", type=float, default=600.0, show_default=True, metavar="S", help="Seconds per trial.")
@click.option(
    "--force-aligned", is_flag=True, help="Score si_sdr and its kin although a system says it is not aligned; marked."
)
@click.option(
    "--executor", type=click.Choice(["local", "ray"]), default="local", show_default=True, help="Where to run."
)
@click.option(
    "--ray-address", metavar="HOST:PORT", help="Head node; default: the cluster that this machine is part of."
)
@click.option(
    "--ray-workers", type=int, metavar="N", help="Workers, a system each; default: as many as there is room for."
)
@click.option("--ray-gpus-per-worker", type=float, default=0.0, metavar="G", help="1, or a part that several share.")
def command(systems: tuple[str, ...], options: tuple[str, ...], max_failed: int, **settings: Any) -> None:
    """Run systems on a task and score them.

    The same command again goes on with a broken run, and leaves a finished one alone.
    """
    from tspbench.cli.outcome import console, exit_code, show_outcomes
    from tspbench.cli.progress import Bars
    from tspbench.runner.request import Request
    from tspbench.runner.run import run_systems

    settings["metrics"] = names(settings["metrics"])
    settings["batch_size"] = batch_size(settings["batch_size"])
    settings["time_limit_s"] = settings.pop("time_limit")
    request = Request(**settings)
    with Bars(console) as bars:
        outcomes = run_systems(names(",".join(systems)), request, options, bars)
    show_outcomes(outcomes)
    sys.exit(exit_code(outcomes, max_failed))
