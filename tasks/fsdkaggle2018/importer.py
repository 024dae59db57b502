"""FSDKaggle2018 mixtures, as CLAPSep lists them."""

from __future__ import annotations

from collections.abc import Iterator

from tspbench.prepared.material import Material
from tspbench.tasks import lass_lists
from tspbench.tasks.lass_lists import Labels, Pair
from tspbench.types import Condition, Trial

ROOT = "fsdkaggle2018"


def trials(material: Material) -> Iterator[Trial]:
    """See :class:`tspbench.prepared.material.Importer`."""
    return lass_lists.clapsep(material, ROOT, _describe)


def _describe(pair: Pair) -> tuple[Labels, dict[str, Condition]]:
    wanted, other = lass_lists.class_of(pair.caption), lass_lists.class_of(pair.negative)
    return (wanted, other), {"class": wanted, "negative_class": other, "shared_labels": wanted == other}
