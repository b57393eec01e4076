"""Starting Label Studio and the backend: what is kept, what is refused, what is stopped when something fails."""

import json
import os
import socket
import stat
import sys

import pytest

from backend.demo import studio as rooms
from backend.demo.studio import Studio
from backend.errors import StartError
from backend.settings import load_settings
from support.fake_tracker import PATIENCE

SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "2"); self.end_headers(); self.wfile.write(b"{}")
words = [word for argument in sys.argv[1:] for word in argument.split("=", 1)]
port = int(words[words.index("--port") + 1])
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def make(tmp_path, monkeypatch):
    """A Studio whose Label Studio and backend are small stand-ins; either may be given as a program of its own."""
    monkeypatch.setattr(rooms, "_label_studio_version", lambda: "1.23.2")
    monkeypatch.setattr(rooms, "START_SECONDS", PATIENCE)

    def make(label_studio: str = SERVER, backend: str = SERVER) -> Studio:
        monkeypatch.setattr(rooms, "STUDIO_COMMAND", (sys.executable, "-c", label_studio))
        settings = load_settings(data_dir=tmp_path / "data")
        return Studio(tmp_path / "demo", settings, backend_command=(sys.executable, "-c", backend))

    return make


def pids(studio: Studio) -> list[int | None]:
    return [process.pid for process in studio._processes]


def test_both_run_inside_and_neither_after(make):
    with make() as studio:
        assert None not in pids(studio)
        studio.check()
    assert pids(studio) == [None, None]


def test_the_account_is_kept_for_this_user_alone(make, tmp_path):
    with make() as first:
        pass
    path = tmp_path / "demo" / "account.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with make() as second:
        assert second.account == first.account
    assert first.account.password not in repr(first.account)
    assert first.account.token not in repr(first.account)


def test_a_damaged_account_is_told(make, tmp_path):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "account.json").write_text("{")
    with pytest.raises(StartError, match=r"account\.json is damaged"), make():
        pass


def test_a_directory_serves_one_demo_at_a_time(make):
    with make() as first:
        with pytest.raises(StartError, match="another demo uses"), make():
            pass
        first.check()
    with make():
        pass


@pytest.mark.parametrize("which", ["label_studio", "backend"])
def test_when_one_does_not_come_up_the_other_is_stopped(make, which):
    studio = make(**{which: "raise SystemExit('port taken')"})
    with pytest.raises(StartError, match=r"ended with status 1(?s:.*)port taken"):
        studio.__enter__()
    assert pids(studio) == [None, None]


def test_one_that_ends_later_is_noticed(make):
    with make() as studio:
        os.kill(studio._processes[1].pid, 9)
        studio._processes[1]._process.wait()
        with pytest.raises(StartError, match="the backend ended with status -9"):
            studio.check()


def test_secrets_and_settings_go_by_the_environment(make, monkeypatch):
    monkeypatch.setenv("LABEL_STUDIO_DATABASE_NAME", "/elsewhere")
    monkeypatch.setenv("KEYTRACK_LABEL_STUDIO_TOKEN", "mine")
    monkeypatch.setenv("no_proxy", "internal.example.org")
    show = "import json, os, sys; print(json.dumps([sys.argv, dict(os.environ)]), flush=True)\n" + SERVER
    with make(show, show) as studio:
        for process, names in zip(
            studio._processes,
            [("LABEL_STUDIO_PASSWORD", "LABEL_STUDIO_USER_TOKEN"), ("KEYTRACK_LABEL_STUDIO_TOKEN",)],
            strict=True,
        ):
            arguments, environment = json.loads(process.tail().splitlines()[0])
            assert environment["no_proxy"] == environment["NO_PROXY"] == "internal.example.org,127.0.0.1"
            secrets = (studio.account.password, studio.account.token)
            assert all(environment[name] in secrets for name in names)
            assert not any(secret in argument for secret in secrets for argument in arguments)
        assert "/elsewhere" not in studio._processes[0].tail()


@pytest.mark.parametrize(("option", "name"), [("studio_port", "--studio-port"), ("backend_port", "--port")])
def test_a_port_that_is_taken_is_told(tmp_path, option, name):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=f"{name} {port}: nobody can listen there"):
            Studio(tmp_path, load_settings(), **{option: port})
    with pytest.raises(StartError, match=f"{name} 99999: nobody"):
        Studio(tmp_path, load_settings(), **{option: 99999})


def test_without_label_studio(monkeypatch, tmp_path):
    def missing(name: str) -> str:
        raise rooms.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(rooms.importlib.metadata, "version", missing)
    with pytest.raises(StartError, match=r"requirements-demo\.txt"), Studio(tmp_path, load_settings()):
        pass
