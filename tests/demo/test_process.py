"""Servers in processes of their own: what they print is kept, and nothing of them stays behind."""

import os
import socket
import sys
import textwrap
import time
from pathlib import Path

import pytest

from backend.demo.process import PORTS, ServerProcess, answers, free_port
from backend.errors import StartError
from support.fake_tracker import PATIENCE
from support.http import Answer, web_server

SLEEP = "import time; time.sleep(60)"


@pytest.fixture
def process(tmp_path):
    started = []

    def make(code: str, **options) -> ServerProcess:
        command = [sys.executable, "-c", textwrap.dedent(code)]
        server = ServerProcess("the server", command, tmp_path / "log" / "server.log", env=os.environ, **options)
        started.append(server)
        server.start()
        return server

    yield make
    for server in started:
        server.stop()


def is_running(pid: int) -> bool:
    """Whether there is such a process that is not just waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_it_is_waited_for_and_stopped(process, tmp_path):
    server = process(f"open({str(tmp_path / 'up')!r}, 'w'); {SLEEP}")
    server.wait_until((tmp_path / "up").exists, PATIENCE)
    pid = server.pid
    assert pid is not None
    server.check()
    server.stop()
    assert server.pid is None
    assert not is_running(pid)
    server.stop()


def test_one_that_ends_is_reported_with_the_end_of_its_log(process):
    server = process("print('\\n'.join(f'line {n}' for n in range(100))); raise SystemExit('no such port')")
    with pytest.raises(StartError, match=r"the server ended with status 1\.(?s:.*)line 99\nno such port") as caught:
        server.wait_until(lambda: False, PATIENCE)
    assert "line 50" not in str(caught.value)


def test_one_that_never_answers_is_reported(process):
    server = process(f"print('thinking', flush=True); {SLEEP}")
    wait_for(lambda: server.tail() == "thinking")
    with pytest.raises(StartError, match=r"did not answer within 0 s(?s:.*)thinking"):
        server.wait_until(lambda: False, 0.1)


def test_a_command_that_does_not_exist(tmp_path):
    server = ServerProcess("the server", [str(tmp_path / "none")], tmp_path / "log", env={})
    with pytest.raises(StartError, match="cannot be started"):
        server.start()
    with pytest.raises(StartError, match="was not started"):
        server.check()


def test_what_it_started_is_stopped_too(process):
    server = process(
        f"""
        import subprocess, sys
        child = subprocess.Popen([sys.executable, "-c", "{SLEEP}"])
        print(child.pid, flush=True)
        child.wait()
        """
    )
    wait_for(lambda: server.tail().strip())
    child = int(server.tail())
    assert is_running(child)
    server.stop()
    wait_for(lambda: not is_running(child))


def test_one_that_does_not_want_to_stop_is_killed(process, monkeypatch):
    monkeypatch.setattr("backend.demo.process.STOP_SECONDS", 0.2)
    server = process(f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); {SLEEP}")
    wait_for(lambda: server.tail() == "up")
    pid = server.pid
    server.stop()
    assert not is_running(pid)


def test_an_interrupt_in_the_terminal_does_not_reach_it(process):
    server = process(f"print('up', flush=True); {SLEEP}")
    wait_for(lambda: server.tail() == "up")
    assert os.getpgid(server.pid) != os.getpgid(0)
    assert os.getsid(server.pid) != os.getsid(0)


def test_an_interrupt_while_stopping_leaves_nothing(process, monkeypatch):
    server = process(f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); {SLEEP}")
    wait_for(lambda: server.tail() == "up")
    pid, wait = server.pid, server._process.wait

    def interrupted(seconds: float | None = None) -> int:
        if seconds is not None:
            raise KeyboardInterrupt
        return wait()

    monkeypatch.setattr(server._process, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        server.stop()
    assert not is_running(pid)


def test_answers_means_200():
    with web_server({"/up": Answer(200), "/moved": Answer(302, b"", {"Location": "/up"})}) as site:
        wait_for(lambda: answers(site.url + "/up"))  # which gives it no more than a second
        assert not answers(site.url + "/moved")
        assert not answers(site.url + "/none")
    assert not answers(site.url + "/up")


def test_a_free_port_is_none_that_the_system_gives_to_others_meanwhile(monkeypatch):
    assert free_port() in PORTS
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr("backend.demo.process.PORTS", [port] * 100)
        with pytest.raises(StartError, match=f"from {port} to {port}; give one"):
            free_port()
