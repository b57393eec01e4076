"""``python -m backend``: finding the command, exit statuses, and what is said to whom."""

import importlib
import logging
import subprocess
import sys
from types import SimpleNamespace

import pytest

from backend import __main__ as entry
from backend import __version__
from backend.errors import VideoError


@pytest.fixture(autouse=True)
def quiet_logging(monkeypatch):
    monkeypatch.setattr(logging, "basicConfig", lambda **options: None)


@pytest.fixture
def command(monkeypatch):
    """Stand in for the module of ``serve``, with a ``run`` of the test's choice."""

    def stand_in(run):
        module = SimpleNamespace(HELP="Help of the stand-in.", configure=lambda parser: None, run=run)
        monkeypatch.setattr(importlib, "import_module", lambda name: module)

    return stand_in


def test_help_and_version_come_without_the_heavy_imports():
    code = (
        "import sys\nfrom backend.__main__ import main\n"
        "for option in ('--help', '--version'):\n"
        "    try: main([option])\n"
        "    except SystemExit as end: print(end.code)\n"
        "print([m for m in ('torch', 'numpy', 'flask', 'av', 'requests') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"keytrack {__version__}" in done.stdout
    assert all(name in done.stdout for name in entry.COMMANDS)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_exit_status_is_the_commands(command):
    command(lambda args: 7)
    assert entry.main(["serve"]) == 7


def test_a_users_mistake_is_said_on_stderr_and_exits_with_2(command, capsys):
    def run(args):
        raise VideoError("clip.mp4 is not a video")

    command(run)
    assert entry.main(["serve"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "keytrack: clip.mp4 is not a video\n"
    assert captured.out == ""


def test_a_programming_error_is_not_dressed_up(command):
    def run(args):
        raise ZeroDivisionError

    command(run)
    with pytest.raises(ZeroDivisionError):
        entry.main(["serve"])


def test_an_interrupt_exits_with_130(command):
    def run(args):
        raise KeyboardInterrupt

    command(run)
    assert entry.main(["serve"]) == 130


def test_a_wrong_setting_is_named_before_anything_runs(command, capsys, monkeypatch):
    command(lambda args: pytest.fail("ran"))
    monkeypatch.setenv("KEYTRACK_PORT", "ninety")
    assert entry.main(["serve"]) == 2
    assert "KEYTRACK_PORT / --port" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["sevre"], ["weights"], ["weights", "--nonsense", "list"]])
def test_a_wrong_command_line_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        entry.main(arguments)
    assert end.value.code == 2
    assert "usage: python -m backend" in capsys.readouterr().err


def test_a_misspelt_variable_is_warned_about(command, monkeypatch, caplog):
    command(lambda args: 0)
    monkeypatch.setenv("KEYTRACK_PROT", "1")
    assert entry.main(["serve"]) == 0
    assert "KEYTRACK_PROT is no setting" in caplog.text


@pytest.mark.parametrize("name", entry.COMMANDS)
def test_every_command_has_a_module(name):
    module = importlib.import_module(f"backend.cli.{name}")
    assert module.HELP
    assert callable(module.configure)
    assert callable(module.run)
