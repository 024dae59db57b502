"""Train without captions, and compare with training on them: ``python -m tspbench.systems.unpaired.train --help``."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import torch
from rich.console import Console
from rich.table import Table

from tspbench.cli.steps import Steps
from tspbench.errors import TspbenchError, UsageError
from tspbench.instruments.base import weights_digest
from tspbench.systems import weights
from tspbench.systems.training.recipes import recipe
from tspbench.systems.unpaired import captions, experiment, model
from tspbench.systems.unpaired.cache import CaptionCache, cached
from tspbench.systems.unpaired.conditioning import CONDITIONINGS, conditioning
from tspbench.systems.unpaired.corpus import Part, Where, split, without
from tspbench.systems.unpaired.experiment import Heard, Row
from tspbench.systems.unpaired.noise import VARIANCE

ENCODER_STEPS = 600
SMALL = {"steps": 600, "batch": 8, "seconds": 2.0, "generate": 20_000}
LARGE = {"steps": 231_000, "batch": 32, "seconds": 10.0, "generate": 1_000_000}
"""CLAPSep's own length of training and batch; its clips last ten seconds."""


@dataclass(frozen=True)
class Tools:
    """An encoder, what tells it from others, and how to make the network that it tells."""

    encoder: Any
    digest: str
    make: Any
    small: bool


@click.command()
@click.option(
    "--corpus", type=Path, required=True, help="CSV with the columns file and label, and caption if you like."
)
@click.option("--test", required=True, metavar="COLUMN=VALUE", help="Rows to test on, such as fold=4.")
@click.option("--out", type=Path, required=True, help="Folder for checkpoints, logs and comparison.json.")
@click.option("--conditioning", "names", multiple=True, help=f"Of {', '.join(CONDITIONINGS)}; repeat it. All of them.")
@click.option("--captions", "file", type=Path, help="Text file with a caption a line, instead of generated ones.")
@click.option("--generate", type=int, help="How many captions to generate.")
@click.option("--clap", type=Path, help="CLAP's weights. Without: a network of little size and an encoder of its own.")
@click.option("--tokenizer", type=Path, help="Folder with roberta-base's tokenizer.")
@click.option("--labelled", metavar="COLUMN=VALUE", help="Rows that the small encoder learns from; all but the test.")
@click.option("--steps", type=int, help="Of every separator's training.")
@click.option("--batch", type=int, help="Mixtures in a step.")
@click.option("--seconds", type=float, help="Length of the mixtures.")
@click.option("--variance", type=float, default=VARIANCE, show_default=True, help="Of the noise in every coordinate.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--device", default="cpu", show_default=True)
def main(**given: Any) -> None:
    """Train one separator per conditioning on a corpus' sounds, and test each with captions of held-out clips.

    Only the conditioning "text" is shown the captions of the clips that it
    trains on. The same command again goes on with a training that broke off.
    """
    try:
        run(**given)
    except TspbenchError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)


def run(
    corpus: Path,
    test: str,
    out: Path,
    names: tuple[str, ...] = (),
    file: Path | None = None,
    clap: Path | None = None,
    tokenizer: Path | None = None,
    labelled: str | None = None,
    variance: float = VARIANCE,
    seed: int = 0,
    device: str = "cpu",
    console: Console | None = None,
    **sizes: int | float | None,
) -> list[Row]:
    """What the command does; returns a row per conditioning and writes ``comparison.json``."""
    kinds = [conditioning(name) for name in names or CONDITIONINGS]
    console = console or Console(stderr=True)
    defaults = LARGE if clap else SMALL
    size = {name: default if sizes.get(name) is None else sizes[name] for name, default in defaults.items()}
    _refuse(size, variance)
    with Steps(console) as steps:
        whole, parts = split(corpus, [Where.parse(text) for text in (test, labelled) if text], steps)
    train = without(whole, parts[0])
    tools = _large(clap, tokenizer, device) if clap else _small(parts[1:] or [train], out, seed, console, device)
    cache = _cache(file, int(size["generate"]), seed, tools, out, console)
    published = recipe("clapsep")
    used = replace(published, batch=int(size["batch"]), seconds=float(size["seconds"]), seed=seed)
    if tools.small:
        used = experiment.small_recipe(published, int(size["batch"]), float(size["seconds"]), seed)
    about = {"encoder": tools.digest, "captions": cache.digest}
    settings = experiment.Settings(used, int(size["steps"]), variance=variance, about=about)
    heard = [Heard.of(part, tools.encoder) for part in (train, parts[0])]
    rows = experiment.compare(kinds, tools.make, *heard, cache, settings, out, console)
    (out / "comparison.json").write_text(json.dumps([row.plain() for row in rows], indent=1) + "\n", encoding="utf-8")
    Console().print(_table(rows))
    return rows


def _refuse(size: dict[str, Any], variance: float) -> None:
    for name, value in size.items():
        if not value > 0:
            raise UsageError(f"--{name} {value}: it must be more than 0.")
    if not 0 <= variance < float("inf"):
        raise UsageError(f"--variance {variance:g}: it must not be negative.")


def _small(parts: list[Part], out: Path, seed: int, console: Console, device: str) -> Tools:
    encoder = experiment.learn_encoder(parts[0], ENCODER_STEPS, out / "encoder", seed, console).to(device)

    def make() -> model.Network:
        network = model.build(model.Small())
        network.query = encoder
        return network.to(device)

    return Tools(encoder, weights_digest(encoder.state_dict()), make, small=True)


def _large(path: Path, tokenizer: Path | None, device: str) -> Tools:
    from tspbench.systems.clap.encoder import Clap
    from tspbench.systems.clap.files import ClapFiles, load_clap
    from tspbench.systems.clap.tokens import Roberta

    files = ClapFiles.locate(weights.card_of("unpaired"), path, tokenizer)
    clap = load_clap(files, files.read()).to(device)
    encoder = Clap(clap, Roberta(files.tokenizer))
    return Tools(encoder, weights_digest(clap.state_dict()), lambda: model.for_clap(clap).to(device), small=False)


def _cache(file: Path | None, count: int, seed: int, tools: Tools, out: Path, console: Console) -> CaptionCache:
    texts = captions.read(file) if file else captions.generate(count, seed)

    def embed(some: Any) -> Any:
        return tools.encoder.text(some, at_once=len(some)).cpu().numpy()

    with Steps(console) as steps:
        return cached(texts, embed, tools.digest, out / "captions", progress=steps)


def _table(rows: list[Row]) -> Table:
    table = Table()
    for name in ("conditioning", "cosine", "loss, first", "last", "SNRi dB", "SI-SNRi dB"):
        table.add_column(name, no_wrap=True)
    for row in rows:
        cells = ["{:.2f} [{:.2f}, {:.2f}]".format(*row.improvement.mean(name)) for name in ("snr", "si_snr")]
        table.add_row(row.conditioning, f"{row.cosine:.3f}", f"{row.first:.2f}", f"{row.last:.2f}", *cells)
    return table


if __name__ == "__main__":
    torch.set_float32_matmul_precision("highest")
    main()
