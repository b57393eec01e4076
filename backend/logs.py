"""Logs that tell which job and which task a line is about, as text or as a JSON object a line."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal, TextIO

Format = Literal["text", "json"]

_about: ContextVar[dict[str, object]] = ContextVar("about", default={})  # noqa: B039 - never changed, only replaced
_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s%(about)s"


@contextmanager
def about(**ids: object) -> Iterator[None]:
    """What is logged meanwhile, on this thread, carries these ids beside those it carries already."""
    token = _about.set({**_about.get(), **{name: value for name, value in ids.items() if value is not None}})
    try:
        yield
    finally:
        _about.reset(token)


def set_up(level: str, form: Format, stream: TextIO) -> None:
    """Log to ``stream`` from ``level`` on, unless somebody has set up logging before."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Json() if form == "json" else _Text(_TEXT))
    handler.addFilter(_attach)
    logging.basicConfig(level=level.upper(), handlers=[handler])
    # Below that it writes down every address that is asked for, with the signature in its query.
    logging.getLogger("urllib3").setLevel(max(logging.INFO, logging.getLogger().level))


def _attach(record: logging.LogRecord) -> bool:
    record.ids = _about.get()
    return True


class _Text(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:
        ids = " ".join(f"{name}={value}" for name, value in getattr(record, "ids", {}).items())
        record.about = f" [{ids}]" if ids else ""
        # What somebody sent cannot make a line of its own.
        record.message = record.message.replace("\r", "\\r").replace("\n", "\\n")
        return super().formatMessage(record)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "ids", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)
