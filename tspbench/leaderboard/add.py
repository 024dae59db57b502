"""``leaderboard add``: a finished run becomes a sealed result, or the reason why not."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from tspbench import sealed
from tspbench.errors import TspbenchError, UsageError
from tspbench.results import load_run
from tspbench.sealed import Sealed
from tspbench.store import write_json
from tspbench.system import Card, known_systems
from tspbench.task import known_tasks, load_task

SYSTEMS = "systems.json"
_ABSOLUTE = re.compile(r"(?<![\w.:/])(?:~|[A-Za-z]:)?[/\\](?:[^\s/\\:;,\]\[]+[/\\])*([^\s/\\:;,\]\[]+)")
BUNDLED = "tspbench.systems."


@dataclass(frozen=True)
class Added:
    """Where a result went, and whether one of that name was there."""

    path: Path
    label: str
    task: str
    replaced: bool


def add(run: Path, root: Path, *, name: str | None = None, allow_dirty: bool = False) -> Added:
    """Seal a finished run into ``root/results/<task>/<system>.json``.

    ``name`` is how its row is called, by default as the system is.

    Raises
    ------
    UsageError
        The run may not enter a leaderboard; the message says why.
    CannotMeasure
        It is not finished.
    """
    if name is not None and not name.strip():
        raise UsageError("--name is blank: give the row a name that can be read.")
    result = sealed.read(run)
    _refuse(run, result, allow_dirty=allow_dirty)
    card = _card(run, result)
    result = _portable(replace(result, label=name or result.label))
    task = str(result.identity["task"]["name"])
    path = place(root, result)
    replaced = path.exists()
    sealed.write(path, result)
    _remember(root, str(result.identity["system"]["digest"]), card)
    return Added(path, result.label, task, replaced)


def place(root: Path, result: Sealed) -> Path:
    """Where a result lies below a leaderboard's root."""
    folder = sealed.file_name(str(result.identity["task"]["name"]))
    return root / "results" / folder / f"{sealed.file_name(result.label)}.json"


def _refuse(run: Path, result: Sealed, *, allow_dirty: bool) -> None:
    task, counts = result.identity["task"], result.counts
    reason = ""
    if counts.get("attempted", 0) < task["trials"] or len(result.trial_ids) < task["trials"]:
        reason = (
            f"it is not finished: {len(result.trial_ids)} of {task['trials']} trials. The same command goes on with it."
        )
    elif not counts.get("ok"):
        reason = "it failed: no trial succeeded."
    elif "random" in (result.identity["system"].get("weights") or {}):
        reason = "the system had random weights. Run it with its published weights."
    else:
        reason = _not_whole(task) or _unclean(result, allow_dirty)
    if reason:
        raise UsageError(f"{run} does not enter a leaderboard: {reason}")


def _not_whole(task: Mapping[str, Any]) -> str:
    """Why a trial list is not the whole of its task; empty where it is, as far as can be known here."""
    name, trials = str(task["name"]), int(task["trials"])
    whole = task.get("of")
    if whole is None and name in known_tasks():
        try:
            whole = len(load_task(name))
        except TspbenchError:  # its list is not on this machine
            return ""
    if whole is not None and trials < whole:
        return f"it holds {trials} of the {whole} trials of {name}. Run the whole list (no --limit, all of the data)."
    return ""


def _unclean(result: Sealed, allow_dirty: bool) -> str:
    if result.code.get("dirty") and not allow_dirty:
        return "the code had uncommitted changes. Commit them and run again, or --allow-dirty: the row then says so."
    return ""


def _card(run: Path, result: Sealed) -> dict[str, Any] | None:
    """What the card of the very system that ran declares; None where it has none here."""
    ref = known_systems().get(str(result.identity["system"]["name"]))
    if ref is None or ref.card is None:
        return None
    if not result.identity["system"].get("code"):
        return None  # estimates made elsewhere, under a name that a system here bears too
    card = ref.card
    parts = _parts(card, result) if card.by_option else [card]
    return {
        "name": card.name,
        "summary": card.summary,
        "bundled": ref.module.startswith(BUNDLED),
        "told": _told(run, parts),
        "training_sets": list(dict.fromkeys(name for part in parts for name in part.training_sets)),
        "verification": str(card.verification.value),
        "paper": card.paper,
        "code_licence": card.code_licence,
        "weights_licence": card.weights_licence,
    }


def _told(run: Path, parts: list[Card]) -> list[str]:
    """The kinds of query that the run's system declared; of a result without its folder, what the cards say."""
    declared = load_run(run).record.get("queries") if run.is_dir() else None
    return sorted({kind.value for part in parts for kind in part.queries}) if declared is None else list(declared)


def _parts(card: Card, result: Sealed) -> list[Card]:
    """The cards that declare what depends on options: those of the systems that the options name, or its own."""
    systems = known_systems()
    named = [systems.get(str(value)) for value in result.identity["system"]["options"].values()]
    return [ref.card for ref in named if ref and ref.card] or [card]


def read_cards(root: Path) -> dict[str, dict[str, Any]]:
    """``results/systems.json``: cards by the digest of the system."""
    path = root / "results" / SYSTEMS
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} is damaged: {error}.") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path} is damaged: it must hold an object.")
    return found


def _remember(root: Path, digest: str, card: Mapping[str, Any] | None) -> None:
    """Keep the cards of the systems that are on a board, and no others."""
    used = {str(sealed.read(path).identity["system"]["digest"]) for path in result_files(root)}
    cards = {key: value for key, value in read_cards(root).items() if key in used and key != digest}
    if card is not None:
        cards[digest] = dict(card)
    write_json(root / "results" / SYSTEMS, dict(sorted(cards.items())))


def result_files(root: Path) -> list[Path]:
    """Every sealed result below a root, in order."""
    return sorted((root / "results").glob("*/*.json"))


def _portable(result: Sealed) -> Sealed:
    """Without this machine in it: paths are cut to their last part, platforms to their name."""
    kept = ("trial_ids", "clusters", "conditions", "label")
    return replace(result, **{f.name: _cut(getattr(result, f.name)) for f in fields(result) if f.name not in kept})


def _cut(value: Any) -> Any:
    """Absolute paths inside any text of a value, keys included, reduced to the name of the file."""
    if isinstance(value, str):
        return _ABSOLUTE.sub(r"\1", value)
    if isinstance(value, Mapping):
        return {_cut(key): _platform(item) if key == "platform" else _cut(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(_cut(item) for item in value)
    return [_cut(item) for item in value] if isinstance(value, list) else value


def _platform(value: Any) -> str:
    """``Linux`` of ``Linux-6.1.0-build7-x86_64``: the rest may name the machine."""
    return str(value).split("-")[0]
