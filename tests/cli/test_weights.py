"""``python -m backend weights``."""

import hashlib
import os
from dataclasses import replace
from types import MappingProxyType

import pytest

from backend import checkpoints
from backend.__main__ import main
from backend.checkpoints import CATALOGUE, PROFILES
from backend.cli import weights
from backend.downloads import UrlSource
from support.http import Answer, web_server

CONTENT = b"weights" * 1000


@pytest.fixture
def site():
    with web_server({"/mobile_sam.pt": Answer(200, CONTENT)}) as site:
        yield site


@pytest.fixture
def catalogue(monkeypatch, site):
    """MobileSAM's entry, moved to the test's server; the others as they are."""
    moved = replace(
        CATALOGUE["mobile_sam"],
        size=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        sources=(UrlSource(f"{site.url}/mobile_sam.pt"),),
    )
    stand_in = MappingProxyType({**CATALOGUE, "mobile_sam": moved})
    monkeypatch.setattr(checkpoints, "CATALOGUE", stand_in)
    monkeypatch.setattr(weights, "CATALOGUE", stand_in)


def run(tmp_path, *arguments):
    return main(["weights", *arguments, "--weights-dir", str(tmp_path)])


def test_list_shows_all_of_the_catalogue(tmp_path, capsys):
    (tmp_path / "XMem.pth").write_bytes(b"x")
    assert run(tmp_path, "list") == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert set(CATALOGUE) < set(lines)
    assert " yes " in lines["xmem"]
    assert " no " in lines["xmem_s012"]
    assert all("full" in lines[name] for name in PROFILES["full"])


def test_list_tells_what_is_in_use(tmp_path, capsys):
    assert run(tmp_path, "list", "--device", "cpu", "--profile", "full", "--propagator", "xmem") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == "in use: profile full on cpu (sam_vit_h + xmem), which takes sam_vit_h, xmem, mobile_sam"


def test_fetch_by_profile_then_verify(catalogue, site, tmp_path, capsys):
    assert run(tmp_path, "fetch", "lite", "mobile_sam") == 0
    assert capsys.readouterr().out == f"mobile_sam: {tmp_path / 'mobile_sam.pt'}\n"
    assert (tmp_path / "mobile_sam.pt").read_bytes() == CONTENT
    assert run(tmp_path, "verify") == 0
    assert capsys.readouterr().out == "mobile_sam: ok\n"
    assert len(site.asked) == 1


def test_verify_reads_the_file_again(catalogue, tmp_path, capsys):
    run(tmp_path, "fetch", "mobile_sam")
    path = tmp_path / "mobile_sam.pt"
    before = path.stat().st_mtime_ns
    path.write_bytes(b"X" + CONTENT[1:])
    os.utime(path, ns=(before, before))
    capsys.readouterr()
    assert run(tmp_path, "verify") == 1
    assert capsys.readouterr().out == "mobile_sam: damaged\n"


def test_verify_fails_where_weights_asked_for_by_name_are_missing(tmp_path, capsys):
    assert run(tmp_path, "verify", "xmem") == 1
    assert capsys.readouterr().out == "xmem: missing\n"
    assert run(tmp_path, "verify") == 0


def test_an_unknown_name_is_refused_before_anything_is_fetched(catalogue, site, tmp_path, capsys):
    assert run(tmp_path, "fetch", "mobile_sam", "xmen") == 2
    assert "did you mean xmem?" in capsys.readouterr().err
    assert site.asked == []


def test_a_failed_fetch_says_what_was_tried(catalogue, site, tmp_path, capsys):
    site.routes.clear()
    assert run(tmp_path, "fetch", "mobile_sam") == 2
    error = capsys.readouterr().err
    assert f"{site.url}/mobile_sam.pt: HTTP 404" in error
    assert str(tmp_path / "mobile_sam.pt") in error
