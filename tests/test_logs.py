"""Log lines: what they are about, as text and as JSON."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator

import pytest

from backend import logs
from backend.logs import Format

log = logging.getLogger("keytrack.test")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield io.StringIO()
    root.setLevel(level)
    root.handlers = handlers


def set_up(level: str, form: Format, stream: io.StringIO) -> None:
    """As in a process in which nobody has set up logging."""
    logging.getLogger().handlers = []
    logs.set_up(level, form, stream)


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_what_it_is_about(stream: io.StringIO) -> None:
    set_up("info", "json", stream)
    with logs.about(project="1", task="7"), logs.about(job=3, task=None):
        log.info('a "quoted"\nmessage of %d lines', 2)
    log.warning("after")
    first, second = lines(stream)
    assert {name: first[name] for name in ("level", "logger", "message", "project", "task", "job")} == {
        "level": "info",
        "logger": "keytrack.test",
        "message": 'a "quoted"\nmessage of 2 lines',
        "project": "1",
        "task": "7",
        "job": 3,
    }
    assert "job" not in second


def test_text_says_it_at_the_end(stream: io.StringIO) -> None:
    set_up("info", "text", stream)
    with logs.about(job=3):
        log.info("started")
    log.info("idle")
    first, second = stream.getvalue().splitlines()
    assert first.endswith(" INFO keytrack.test: started [job=3]")
    assert second.endswith(": idle")


def test_what_somebody_sent_makes_no_line_of_its_own(stream: io.StringIO) -> None:
    set_up("info", "text", stream)
    log.info("task %s", "1\n2026-11-21 WARNING somebody else")
    assert len(stream.getvalue().splitlines()) == 1


def test_another_thread_is_about_something_else(stream: io.StringIO) -> None:
    set_up("info", "json", stream)
    with logs.about(job=3):
        thread = threading.Thread(target=log.info, args=("beside",))
        thread.start()
        thread.join()
    assert "job" not in lines(stream)[0]


def test_an_exception_stays_in_its_line(stream: io.StringIO) -> None:
    set_up("info", "json", stream)
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        log.exception("failed")
    (line,) = lines(stream)
    assert "RuntimeError: broken" in str(line["exception"])


@pytest.mark.parametrize("form", ["text", "json"])
def test_quieter_messages_are_left_out(stream: io.StringIO, form: Format) -> None:
    set_up("warning", form, stream)
    log.info("quiet")
    assert stream.getvalue() == ""
