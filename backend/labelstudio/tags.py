"""The XML of a labeling configuration as a list of its elements."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NoReturn
from xml.parsers import expat

from backend.errors import LabelConfigError

MAX_CHARACTERS = 1_000_000
RECOMMENDED = "labelstudio_config/video_boxes.xml"


@dataclass
class Tag:
    """An element; names of tags and attributes in lower case, since Label Studio does not tell cases apart.

    ``words`` are the labels or choices inside a group, as they are in results: an ``alias`` stands for its value.
    """

    name: str
    attributes: dict[str, str]
    words: list[str] = field(default_factory=list)

    @property
    def targets(self) -> list[str]:
        """The names of what a control is for."""
        return [name.strip() for name in self.attributes.get("toname", "").split(",")]

    @property
    def is_group(self) -> bool:
        """Whether labels or choices may stand inside."""
        return self.name == "choices" or self.name.endswith("labels")

    def required(self, attribute: str) -> str:
        """An attribute that must be there.

        Raises:
            LabelConfigError: it is not, or it is empty.
        """
        value = self.attributes.get(attribute, "").strip()
        if not value:
            refuse(f'a <{self.name}> tag has no {attribute}; write {attribute}="..."')
        return value


def read_tags(xml: str) -> list[Tag]:
    """The elements in the order of the document.

    Raises:
        LabelConfigError: it is empty, too large, no XML, or declares a document type.
    """
    if not xml.strip():
        refuse("it is empty")
    if len(xml) > MAX_CHARACTERS:
        refuse(f"it has {len(xml)} characters, and {MAX_CHARACTERS} are the most that are read")
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.StartDoctypeDeclHandler = _refuse_document_type
    try:
        parser.Parse(xml.strip(), True)
    except (expat.ExpatError, UnicodeError) as error:
        refuse(f"it is no well-formed XML: {error}")
    return reader.tags


def refuse(problem: str, example: str = RECOMMENDED) -> NoReturn:
    """Raise the error that a configuration cannot be used."""
    raise LabelConfigError(f"labeling configuration: {problem} (a configuration that works: {example})")


def parse_number(value: object) -> float | None:
    """A number, or a text that is one; None for all else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return None if math.isnan(number) else number


class _Reader:
    """Gathers the elements of a document in their order, with the options of each group."""

    def __init__(self) -> None:
        self.tags: list[Tag] = []
        self._open: list[Tag] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        tag = Tag(_local(name), {_local(key): value for key, value in attributes.items()})
        if tag.name in ("label", "choice"):
            word = tag.attributes.get("alias") or tag.attributes.get("value")
            group = next((parent for parent in reversed(self._open) if parent.is_group), None)
            if word and group:
                group.words.append(word)
        self.tags.append(tag)
        self._open.append(tag)

    def end(self, _name: str) -> None:
        self._open.pop()


def _refuse_document_type(*_declaration: object) -> NoReturn:
    # Entities can only be declared in one, and a few nested entities expand to gigabytes.
    refuse("it declares a document type; remove the <!DOCTYPE ...> part")


def _local(name: str) -> str:
    """A name without its namespace, in lower case."""
    return name.rpartition(" ")[2].lower()
