"""YAML read as dataclasses: every complaint names the file, the line and the key.

A dataclass describes a section. Each of its fields is made by :func:`key`, which says how the
value is read and what it means; :func:`read_file` does the rest and :func:`key_table` lists the
keys for the documents.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import yaml

from ddad_core.errors import DdadError

T = TypeVar("T")
_TAG = "tag:yaml.org,2002:"
_WORDS = {"map": "a section", "seq": "a list", "str": "text", "int": "a whole number",
          "float": "a number", "bool": "true or false", "null": "nothing",
          "timestamp": "a date"}  # fmt: skip


class ConfigError(DdadError):
    """A configuration file is not usable; the message names file, line and key."""


@dataclass(frozen=True, eq=False)
class Value:
    """One value of the file.

    Attributes:
        file: Where it stands.
        name: Its dotted key, such as ``training.epochs``; empty for the whole file.
        node: As parsed.
    """

    file: Path
    name: str
    node: yaml.Node

    @property
    def line(self) -> int:
        """Line of the file, from 1."""
        return int(self.node.start_mark.line) + 1

    def fail(self, problem: str, next_step: str) -> NoReturn:
        """Raise a complaint about this value.

        Raises:
            ConfigError: Always.
        """
        located = f"{self.file}, line {self.line}: {problem}"
        raise ConfigError(located, next_step)

    def wrong(self, wanted: str) -> NoReturn:
        """Say what was found and what is wanted.

        Raises:
            ConfigError: Always.
        """
        kind = self.node.tag.removeprefix(_TAG)
        found = _WORDS.get(kind, kind)
        if isinstance(self.node, yaml.ScalarNode) and kind != "null":
            found = repr(self.node.value)
        self.fail(f"{self.name or 'the file'} is {found}; it must be {wanted}.", "Change it.")

    def is_kind(self, *kinds: str) -> bool:
        """Whether YAML takes the value for one of these kinds ("int", "map", "null", ...)."""
        return self.node.tag.removeprefix(_TAG) in kinds

    def scalar(self) -> Any:
        """The value as YAML reads it."""
        return yaml.constructor.SafeConstructor().construct_object(self.node)

    def items(self, wanted: str) -> list[Value]:
        """The members of a list."""
        if not isinstance(self.node, yaml.SequenceNode):
            self.wrong(wanted)
        return [
            Value(self.file, f"{self.name}[{i}]", node) for i, node in enumerate(self.node.value)
        ]

    def entries(self) -> dict[str, Value]:
        """The keys of a section.

        Raises:
            ConfigError: It is no section, a key is no text or is there twice.
        """
        if not isinstance(self.node, yaml.MappingNode):
            self.wrong("a section of `key: value` lines")
        found: dict[str, Value] = {}
        for key_node, node in self.node.value:
            here = Value(self.file, self.name, key_node)
            if not here.is_kind("str"):
                here.fail(f"the key {key_node.value!r} is not a name.", "Change it.")
            name = f"{self.name}.{key_node.value}" if self.name else key_node.value
            if key_node.value in found:
                first = found[key_node.value].node.start_mark.line + 1
                here.fail(f"{name} is already in line {first}.", "Keep one of the two.")
            found[key_node.value] = Value(self.file, name, node)
        return found


Reader = Callable[[Value], Any]


def key(
    read: Reader, meaning: str, *, default: Any = dataclasses.MISSING, below: type | None = None
) -> Any:
    """Describe one key of a section.

    Args:
        read: Turns the value into what the dataclass holds.
        meaning: For the documents.
        default: Of the key; a key without one is required.
        below: The dataclass of the section that the key holds, if it holds one.
    """
    metadata = {"read": read, "meaning": meaning, "below": below}
    return dataclasses.field(default=default, metadata=metadata)


def read_file(path: Path, kind: type[T]) -> T:
    """Read a whole file as one section.

    Raises:
        ConfigError: The file is missing, is no YAML, or breaks a rule of ``kind``.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        problem = f"{path} cannot be read: {reason}."
        raise ConfigError(problem, "Give the path of a configuration file.") from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = f"{path}{line}: this is no YAML: {getattr(error, 'problem', None) or error}."
        raise ConfigError(problem, "Mend this line and try again.") from error
    if node is None:
        problem = f"{path} is empty."
        raise ConfigError(problem, "Start from a file of data/experiments/.")
    return section(kind)(Value(path, "", node))


def section(kind: type[T]) -> Callable[[Value], T]:
    """Reader of a section that a dataclass describes."""

    def read(value: Value) -> T:
        fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
        entries = value.entries()
        for name, entry in entries.items():
            if name not in fields:
                key_line = Value(value.file, name, _key_node(value.node, name))
                _unknown(key_line, name, entry.name, kind)
        for name, field in fields.items():
            if name not in entries and _is_required(field):
                where = f"{value.name}.{name}" if value.name else name
                value.fail(f"the key {where} is missing.", f"It is: {field.metadata['meaning']}.")
        found = {name: fields[name].metadata["read"](entry) for name, entry in entries.items()}
        return kind(**found)

    return read


def _key_node(node: yaml.Node, name: str) -> yaml.Node:
    return next(k for k, _ in node.value if k.value == name)


def _unknown(here: Value, name: str, full: str, kind: type) -> NoReturn:
    """Complain of a key, naming the nearest one of this section or of those below it."""
    valid = [row[0] for row in key_table(kind)]
    last_parts = [dotted.rsplit(".", 1)[-1] for dotted in valid]
    near = difflib.get_close_matches(name, last_parts, n=1, cutoff=0.0)
    hint = f"Did you mean {valid[last_parts.index(near[0])]!r}? " if near else ""
    here_valid = ", ".join(dotted for dotted in valid if "." not in dotted)
    here.fail(f"there is no key {full!r}.", f"{hint}The keys here are {here_valid}.")


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING


def text(value: Value) -> str:
    """Reader of text; a number is taken as it is written."""
    if not isinstance(value.node, yaml.ScalarNode) or value.is_kind("null", "bool"):
        value.wrong("text")
    return str(value.node.value)


def path(value: Value) -> Path:
    """Reader of a path, relative to the file's own folder."""
    if not text(value).strip():
        value.wrong("a path")
    return value.file.parent / Path(text(value)).expanduser()


def flag(value: Value) -> bool:
    """Reader of true or false."""
    if not value.is_kind("bool"):
        value.wrong("true or false")
    return bool(value.scalar())


def whole(low: int, *, multiple_of: int = 1) -> Reader:
    """Reader of a whole number of at least ``low``."""
    wanted = f"a whole number of {low} or more"
    if multiple_of > 1:
        wanted += f", a multiple of {multiple_of}"

    def read(value: Value) -> int:
        if not value.is_kind("int"):
            value.wrong(wanted)
        number = int(value.scalar())
        if number < low or number % multiple_of:
            value.wrong(wanted)
        return number

    return read


def number(low: float, high: float, *, open_ends: bool = False) -> Reader:
    """Reader of a number in a range; the ends belong to it unless they are open."""
    between = "between" if open_ends else "from"
    wanted = f"a number {between} {low:g} {'and' if open_ends else 'to'} {high:g}"
    if math.isinf(high):
        wanted = f"a number above {low:g}"

    def read(value: Value) -> float:
        # YAML 1.1 takes 5e-4 for text, for want of a point; people do not.
        try:
            found = float(value.node.value) if value.is_kind("int", "float", "str") else math.nan
        except (TypeError, ValueError):
            found = math.nan
        good = low < found < high if open_ends else low <= found <= high
        if not good:
            value.wrong(wanted)
        return found

    return read


def choice(*names: str) -> Reader:
    """Reader of one of these names."""

    def read(value: Value) -> str:
        found = text(value)
        if found not in names:
            near = difflib.get_close_matches(found, names, n=1, cutoff=0.0)
            value.fail(
                f"{value.name} is {found!r}; it must be one of {', '.join(names)}.",
                f"Did you mean {near[0]!r}?" if near else "Change it.",
            )
        return found

    return read


def several(read: Reader, wanted: str) -> Reader:
    """Reader of a list of distinct values, at least one."""

    def read_all(value: Value) -> tuple[Any, ...]:
        found: list[Any] = []
        for item in value.items(wanted):
            one = read(item)
            if one in found:
                item.fail(f"{item.name} is {one!r} a second time.", "Keep one of the two.")
            found.append(one)
        if not found:
            value.wrong(wanted)
        return tuple(found)

    return read_all


def or_none(read: Reader, *, off: tuple[str, ...] = ("null",)) -> Reader:
    """Reader that takes nothing (and ``false``, if "bool" is among ``off``) for None."""

    def read_or_none(value: Value) -> Any:
        if value.is_kind("null") or ("bool" in off and value.is_kind("bool")):
            if value.is_kind("bool") and value.scalar():
                value.wrong("false or a section")
            return None
        return read(value)

    return read_or_none


def key_table(kind: type, prefix: str = "") -> list[tuple[str, str, str]]:
    """List the keys of a section and of the sections below it: (key, default, meaning)."""
    rows = []
    for field in dataclasses.fields(kind):
        name = f"{prefix}{field.name}"
        default = "required" if _is_required(field) else _shown(field.default)
        below = field.metadata["below"]
        rows.append((name, "see below" if below else default, field.metadata["meaning"]))
        if below is not None:
            rows += key_table(below, f"{name}.")
    return rows


def _shown(default: Any) -> str:
    if default is None:
        return "none"
    if isinstance(default, tuple):
        return "[" + ", ".join(_shown(one) for one in default) + "]"
    return f"{default:g}" if isinstance(default, float) else str(default).lower()
