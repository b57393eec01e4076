"""Settings: where values come from, and what is said about wrong ones."""

import argparse
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from backend.cli.options import add_settings, settings_from
from backend.errors import SettingsError
from backend.settings import Settings, load_settings, share_processors, unknown_variables


def test_defaults(monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", "/data/of/user")
    settings = load_settings()
    assert (settings.host, settings.port, settings.profile, settings.device) == ("127.0.0.1", 9090, "auto", "auto")
    assert settings.data_dir == Path("/data/of/user/keytrack")
    assert settings.weights_dir == Path("/data/of/user/keytrack/weights")
    assert settings.media_root is None
    assert settings.allowed_hosts == ()
    assert settings.budget_seconds == 10.0


@pytest.mark.parametrize("base", ["", "relative/dir"])
def test_xdg_directory_is_used_only_when_absolute(monkeypatch, base):
    monkeypatch.setenv("XDG_DATA_HOME", base)
    monkeypatch.setenv("HOME", "/home/annotator")
    assert load_settings().data_dir == Path("/home/annotator/.local/share/keytrack")


def test_an_option_wins_over_a_variable_and_a_variable_over_the_default(monkeypatch):
    monkeypatch.setenv("KEYTRACK_PORT", "9191")
    monkeypatch.setenv("KEYTRACK_HOST", "0.0.0.0")
    settings = load_settings(port=9292, host=None)
    assert (settings.port, settings.host) == (9292, "0.0.0.0")


def test_an_empty_variable_is_no_value(monkeypatch):
    monkeypatch.setenv("KEYTRACK_LABEL_STUDIO_URL", "")
    monkeypatch.setenv("KEYTRACK_THREADS", "")
    assert load_settings().label_studio_url is None
    assert load_settings().threads is None


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        ({"max_media_bytes": "2GiB"}, "max_media_bytes", 2 << 30),
        ({"embedding_cache_bytes": "1000"}, "embedding_cache_bytes", 1000),
        ({"allowed_hosts": "Media.example.org, cdn.example.org:8443,"}, "allowed_hosts", None),
        ({"label_studio_url": "http://localhost:8080/"}, "label_studio_url", "http://localhost:8080"),
        ({"label_studio_url": "https://example.org/studio/"}, "label_studio_url", "https://example.org/studio"),
        ({"log_level": "DEBUG"}, "log_level", "debug"),
        ({"device": "CUDA:1"}, "device", "cuda:1"),
        ({"port": "0"}, "port", 0),
    ],
)
def test_values_are_normalised(given, field, value):
    expected = ("media.example.org", "cdn.example.org:8443") if field == "allowed_hosts" else value
    assert getattr(load_settings(**given), field) == expected


def test_weights_lie_in_the_data_directory_unless_said_otherwise(tmp_path):
    assert load_settings(data_dir=tmp_path / "d").weights_dir == tmp_path / "d" / "weights"
    assert load_settings(data_dir=tmp_path / "d", weights_dir=tmp_path / "w").weights_dir == tmp_path / "w"


def test_paths_are_made_absolute_and_the_home_directory_is_filled_in(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "videos").mkdir()
    settings = load_settings(data_dir="~/data", media_root="videos/../videos")
    assert settings.data_dir == tmp_path / "data"
    assert settings.media_root == (tmp_path / "videos").resolve()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("port", "ninety"),
        ("port", 65536),
        ("port", -1),
        ("host", ""),
        ("budget_seconds", 0),
        ("budget_seconds", 95),
        ("budget_seconds", "nan"),
        ("keyframe_iou", 0.49),
        ("keyframe_iou", 1.01),
        ("profile", "huge"),
        ("device", "gpu"),
        ("device", "cuda:x"),
        ("media_root", "/no/such/directory"),
        ("data_dir", __file__),
        ("weights_dir", __file__),
        ("label_studio_url", "localhost:8080"),
        ("label_studio_url", "http://user:password@localhost:8080"),
        ("label_studio_url", "http://localhost:8080/?x=1"),
        ("allowed_hosts", "http://media.example.org"),
        ("allowed_hosts", "*"),
        ("max_media_bytes", 0),
        ("max_media_bytes", "many"),
        ("embedding_cache_bytes", -1),
        ("threads", 0),
        ("log_level", "chatty"),
    ],
)
def test_a_wrong_value_is_refused_by_name(monkeypatch, field, value):
    variable, option = f"KEYTRACK_{field.upper()}", "--" + field.replace("_", "-")
    with pytest.raises(SettingsError, match=f"^{variable} / {option}: "):
        load_settings(**{field: value})
    monkeypatch.setenv(variable, str(value))
    if field != "host":  # an empty variable is no value
        with pytest.raises(SettingsError, match=f"^{variable} / {option}: "):
            load_settings()


def test_every_wrong_value_is_named_at_once():
    with pytest.raises(SettingsError) as caught:
        load_settings(port="x", data_dir=__file__, profile="huge")
    message = str(caught.value)
    assert [name in message for name in ("--port", "--data-dir", "--profile", "--weights-dir")] == [True] * 3 + [False]


def test_a_home_directory_that_is_not_known_is_said(monkeypatch):
    with pytest.raises(SettingsError, match="--data-dir"):
        load_settings(data_dir="~nobody-of-that-name/data")


def test_an_unknown_setting_is_refused():
    with pytest.raises(SettingsError, match="prot: there is no such setting"):
        load_settings(prot=9090)


def test_the_token_shows_nowhere(monkeypatch):
    monkeypatch.setenv("KEYTRACK_LABEL_STUDIO_TOKEN", "very-secret")
    settings = load_settings()
    assert settings.label_studio_token is not None
    assert settings.label_studio_token.get_secret_value() == "very-secret"
    assert "very-secret" not in repr(settings) + str(settings)
    with pytest.raises(SettingsError) as caught:
        load_settings(label_studio_token=["very-secret"])
    assert "very-secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_settings_are_frozen():
    settings = load_settings()
    with pytest.raises(ValidationError):
        settings.port = 1


def test_variables_that_are_no_setting_are_found():
    environment = {"KEYTRACK_PROT": "1", "KEYTRACK_PORT": "9090", "keytrack_host": "x", "PATH": "/bin"}
    assert unknown_variables(environment) == ["KEYTRACK_PROT"]


def test_options_are_made_from_the_settings(monkeypatch):
    monkeypatch.setenv("KEYTRACK_PORT", "9191")
    parser = argparse.ArgumentParser()
    add_settings(parser, *Settings.model_fields)
    settings = settings_from(parser.parse_args(["--host", "0.0.0.0", "--allowed-hosts", "a.example,b.example"]))
    assert (settings.host, settings.port, settings.allowed_hosts) == ("0.0.0.0", 9191, ("a.example", "b.example"))
    text = parser.format_help()
    assert "KEYTRACK_BUDGET_SECONDS" in text
    assert "default: 9090" in text


def test_only_settings_reads_the_environment():
    """The demo may touch it too: it hands its environment on to the programs it starts."""
    backend = Path(__file__).parents[1] / "backend"
    readers = [
        path.relative_to(backend).as_posix()
        for path in sorted(backend.rglob("*.py"))
        if any(word in path.read_text(encoding="utf-8") for word in ("os.environ", "getenv"))
    ]
    assert [path for path in readers if not path.startswith("demo/")] == ["settings.py"]


def test_importing_settings_is_cheap_and_silent():
    code = "import sys, backend.settings; print([m for m in ('torch', 'numpy', 'flask', 'cv2') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ.copy()
    )
    assert done.stdout.strip() == "[]"


def test_torchs_threads_sleep_while_they_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    share_processors()
    assert os.environ["OMP_WAIT_POLICY"] == "passive"


def test_a_wait_policy_of_the_users_own_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    share_processors()
    assert os.environ["OMP_WAIT_POLICY"] == "active"


def test_kernels_of_shapes_long_gone_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", raising=False)
    share_processors()
    assert int(os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"]) < 1024


MAPPED = """
import ctypes, sys, threading
from backend.settings import reuse_memory

class Information(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks u f k".split()]

def measure():
    libc = ctypes.CDLL(None)
    libc.mallinfo.restype, libc.malloc.restype = Information, ctypes.c_void_p
    before = libc.mallinfo().hblks
    libc.malloc(100 << 20)
    print(libc.mallinfo().hblks - before)

reuse_memory()
thread = threading.Thread(target=measure)
thread.start()
thread.join()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc that is told")
@pytest.mark.parametrize(
    ("own", "mapped"),
    [({}, 0), ({"MALLOC_ARENA_MAX": "8"}, 1), ({"GLIBC_TUNABLES": "glibc.malloc.arena_max=8"}, 1)],
    ids=["by itself", "the user's variable", "the user's tunable"],
)
def test_large_blocks_are_kept_for_the_next(own: dict[str, str], mapped: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MAPPED], capture_output=True, text=True, check=True, env=os.environ | own
    )
    assert int(done.stdout) == mapped
