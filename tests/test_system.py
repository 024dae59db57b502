"""Systems: options, files, cards, plug-ins, and errors in the user's words."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import pytest

from tspbench import system
from tspbench.errors import MissingExtra, UnknownName, UsageError
from tspbench.system import (
    Card,
    System,
    SystemRef,
    find_system,
    import_class,
    known_systems,
    options_of,
    parse_options,
)
from tspbench.types import QueryKind, TaskKind


class Many:
    def __init__(
        self,
        steps: int = 3,
        scale: float = 0.5,
        loud: bool = False,
        mode: Literal["a", "b"] = "a",
        order: Literal[1, 2] = 1,
        weights: Path | None = None,
        cap: int | None = 4,
        label: str = "x",
    ) -> None: ...


DEFAULTS: dict[str, Any] = {
    "steps": 3, "scale": 0.5, "loud": False, "mode": "a", "order": 1, "weights": None, "cap": 4, "label": "x",
}  # fmt: skip


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("steps", "12", 12),
        ("steps", "-1", -1),
        ("scale", "1e-3", 0.001),
        ("scale", "2", 2.0),
        ("loud", "true", True),
        ("loud", "YES", True),
        ("loud", "0", False),
        ("mode", "b", "b"),
        ("order", "2", 2),
        ("weights", "a/b.pt", Path("a/b.pt")),
        ("weights", "none", None),
        ("cap", "None", None),
        ("cap", "7", 7),
        ("label", "none", "none"),
        ("label", "", ""),
    ],
)
def test_an_option_gets_the_type_that_the_constructor_states(key: str, text: str, value: Any) -> None:
    parsed = parse_options(Many, {key: text})
    assert parsed == DEFAULTS | {key: value}
    assert type(parsed[key]) is type(value) or isinstance(value, Path)


@pytest.mark.parametrize(
    ("key", "text", "said"),
    [
        ("steps", "3.5", "--option steps=3.5: expected a whole number."),
        ("scale", "loud", "--option scale=loud: expected a finite number."),
        ("scale", "nan", "--option scale=nan: expected a finite number."),
        ("loud", "perhaps", "--option loud=perhaps: expected true or false."),
        ("mode", "c", "--option mode=c: choose one of a, b."),
        ("order", "3", "--option order=3: choose one of 1, 2."),
        ("cap", "few", "--option cap=few: expected a whole number."),
        ("stesp", "3", "Many has no option 'stesp'. Did you mean steps?"),
    ],
)
def test_an_option_that_does_not_fit_is_refused(key: str, text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_options(Many, {key: text})
    assert str(caught.value) == said


def test_defaults_are_filled_in_so_equal_settings_are_equal() -> None:
    assert parse_options(Many, {}) == DEFAULTS == parse_options(Many, {"steps": "3", "cap": "4"})


def test_a_class_without_a_constructor_has_no_options() -> None:
    assert options_of(System) == {}
    with pytest.raises(UsageError, match=r"System has no option 'a'\. It has no options\."):
        parse_options(System, {"a": "1"})


def test_an_option_without_a_default_must_be_given() -> None:
    class Needy:
        def __init__(self, weights: Path, **rest: Any) -> None: ...

    assert list(options_of(Needy)) == ["weights"]
    assert parse_options(Needy, {"weights": "w.pt"}) == {"weights": Path("w.pt")}
    with pytest.raises(UsageError, match="Needy needs the option 'weights': --option weights=…"):
        parse_options(Needy, {})


# -- files ---------------------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's file with a neighbour that it imports."""
    monkeypatch.setattr(sys, "path", sys.path.copy())
    path = tmp_path / "own_system_file.py"
    path.write_text("import own_neighbour\nclass Halve:\n    part = own_neighbour.PART\nclass Other: ...\nnumber = 3\n")
    (tmp_path / "own_neighbour.py").write_text("PART = 0.5\n")
    return path


def test_a_class_in_a_file_is_found_and_imported_with_its_neighbours(own: Path) -> None:
    ref = find_system(f"{own}:Halve")
    assert (ref.path, ref.label, ref.qualname, ref.card) == (True, "Halve", "Halve", None)
    assert import_class(ref).part == 0.5


def test_a_relative_path_is_made_absolute(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(own.parent)
    assert find_system("own_system_file.py:Halve").module == str(own)


def test_a_missing_class_gives_the_nearest(own: Path) -> None:
    with pytest.raises(UnknownName, match=r"no class called 'Halv'. Did you mean Halve\? Looked in .*own_system_file"):
        import_class(find_system(f"{own}:Halv"))


@pytest.mark.parametrize("name", ["halve.py", "halve.py:", ":x.py"])
def test_a_file_without_a_class_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"names no class\. Write path/to/file\.py:ClassName"):
        find_system(name)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(UsageError, match=r"There is no file no/such\.py\. Write path"):
        find_system("no/such.py:Halve")


def test_a_package_that_a_file_needs_is_named(own: Path) -> None:
    own.write_text("import surely_not_installed\n")
    with pytest.raises(UsageError, match="needs the package 'surely_not_installed', which is not installed"):
        import_class(find_system(f"{own}:Halve"))


def test_a_package_of_an_extra_is_named_with_the_extra() -> None:
    card = Card("x", "", "a:B", (TaskKind.TSE,), extra="speaker")
    with pytest.raises(MissingExtra, match=r"no module named 'surely_not_installed'.* 'tspbench\[speaker\]'"):
        import_class(SystemRef("x", "surely_not_installed.a", "B", card=card))


# -- cards ---------------------------------------------------------------------------------------


def test_an_unknown_system_gives_the_nearest_and_where_to_look() -> None:
    with pytest.raises(UnknownName, match=r"no system called 'mixtrue'. Did you mean mixture\? List them with"):
        find_system("mixtrue")


def test_every_system_says_where_it_is_and_the_names_are_sorted() -> None:
    found = known_systems()
    assert list(found) == sorted(found)
    assert {"mixture", "silence", "clean", "oracle-irm"} <= set(found)
    for name, ref in found.items():
        assert ref.name == ref.label == name
        assert find_system(name) == ref


def test_listing_imports_no_system() -> None:
    code = """
import sys
from tspbench.system import known_systems
names = list(known_systems())
assert len(names) >= 6, names
print([m for m in sys.modules if m.startswith('tspbench.systems.')
       or m.split('.')[0] in {'torch', 'transformers', 'librosa', 'onnxruntime', 'pandas', 'pocketsphinx'}])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


CARD = """name = "theirs"
summary = "a plug-in"
entry = "theirs:Theirs"
kinds = ["tse"]
queries = ["enrolment"]
"""


@pytest.fixture
def plugged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that a third party installed, with one system and its card."""
    folder = tmp_path / "othersystems" / "theirs"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("raise RuntimeError('listing must not import plug-ins')")
    (folder / "adapter.py").touch()
    (folder / "card.toml").write_text(CARD)
    monkeypatch.syspath_prepend(str(tmp_path))
    entry = importlib.metadata.EntryPoint("theirs", "othersystems.theirs.adapter:Theirs", system.GROUP)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [entry] if group == entry.group else [])
    return folder


def test_a_plug_in_is_found_with_its_card_and_not_imported(plugged: Path) -> None:
    ref = known_systems()["theirs"]
    assert (ref.module, ref.qualname, ref.path) == ("othersystems.theirs.adapter", "Theirs", False)
    assert ref.card is not None
    assert ref.card.queries == (QueryKind.ENROLMENT,)


def test_a_plug_in_needs_no_card(plugged: Path) -> None:
    (plugged / "card.toml").unlink()
    assert find_system("theirs").card is None


def test_a_plug_in_does_not_take_the_name_of_a_bundled_system(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = importlib.metadata.EntryPoint("mixture", "elsewhere:Mixture", system.GROUP)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [entry])
    assert find_system("mixture").module == "tspbench.systems.bounds.plain"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("summary", "sumary"), r"card\.toml: sumary: no such field\. Did you mean summary"),
        (('["tse"]', '"tse"'), r'card\.toml: kinds: expected a list, got "tse"'),
        (('"enrolment"', '"voice"'), r"card\.toml: queries\[0\]: 'voice' is not one of text, "),
        (('kinds = ["tse"]', ""), r"card\.toml: kinds: this field is required"),
        (('"theirs"', "theirs"), r"card\.toml: Invalid value \(at line 1"),
    ],
)
def test_a_broken_card_is_named_with_what_is_wrong(plugged: Path, change: tuple[str, str], said: str) -> None:
    (plugged / "card.toml").write_text(CARD.replace(*change))
    with pytest.raises(UsageError, match=said):
        known_systems()
