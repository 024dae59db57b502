"""AudioCaps test mixtures, as CLAPSep and AudioSep list them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from tspbench.prepared.material import Material
from tspbench.tasks import lass_lists
from tspbench.tasks.lass_lists import Labels, Pair
from tspbench.types import Condition, Trial

ROOT = "audiocaps"
LABELS = re.compile(r"(?<!,) (?=[A-Z])")
"""Where AudioSep's list joins AudioSet's labels. Every piece of the published list is such a label."""


def trials(material: Material) -> Iterator[Trial]:
    """See :class:`tspbench.prepared.material.Importer`."""
    if material.protocol == "clapsep":
        return lass_lists.clapsep(material, ROOT, lambda pair: ((None, None), {}))
    return _audiosep(material)


def _audiosep(material: Material) -> Iterator[Trial]:
    rows = lass_lists.read_csv(material.lists["trials"], ("idx", "src_wav", "labels"))
    labels = {source: frozenset(LABELS.split(text)) for _, (_, source, text) in rows}

    def describe(pair: Pair) -> tuple[Labels, dict[str, Condition]]:
        return (None, None), {"shared_labels": _shared(labels, pair)}

    texts = {idx: text for _, (idx, _, text) in rows} if material.options["queries"] == "labels" else None
    return lass_lists.audiosep(material, ROOT, describe, texts)


def _shared(labels: Mapping[str, frozenset[str]], pair: Pair) -> bool | None:
    noise = labels.get(pair.noise)
    return None if noise is None else bool(labels[pair.source] & noise)
