"""Weights: the catalogue, trust, fetching from several sources, and loading without running code."""

import errno
import hashlib
import json
import logging
import os
import pickle
import threading
from types import MappingProxyType

import pytest
import torch

from backend import checkpoints, downloads
from backend.checkpoints import CATALOGUE, PROFILES, Checkpoint, expand, fetch, load_state, verify
from backend.downloads import UrlSource, WheelSource
from backend.errors import WeightsError
from support.http import Answer, web_server

CONTENT = b"the weights " * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
WRONG = CONTENT[:-1] + b"!"


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setattr(downloads, "RETRY_PAUSE", 0.0)
    monkeypatch.setattr(downloads, "CHUNK", 50)
    with web_server({"/first": Answer(200, CONTENT), "/second": Answer(200, CONTENT)}) as site:
        yield site


@pytest.fixture
def model(monkeypatch, site) -> Checkpoint:
    """A catalogue with one entry, "model", at two addresses of the test's server."""
    return put(monkeypatch, site, SHA256)


@pytest.fixture
def unpublished(monkeypatch, site) -> Checkpoint:
    """The same without a published hash."""
    return put(monkeypatch, site, None)


def put(monkeypatch, site, sha256) -> Checkpoint:
    sources = (UrlSource(f"{site.url}/first"), UrlSource(f"{site.url}/second"))
    entry = Checkpoint("model", "a test's", "MIT", "model.pt", len(CONTENT), sha256, sources)
    monkeypatch.setattr(checkpoints, "CATALOGUE", MappingProxyType({"model": entry}))
    return entry


def names(directory):
    return sorted(path.name for path in directory.iterdir() if not path.name.startswith("."))


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=CATALOGUE)
def test_catalogue_entries_are_whole(entry):
    assert CATALOGUE[entry.name] is entry
    assert entry.description and entry.licence in ("Apache-2.0", "MIT")
    assert entry.size > 1 << 20
    assert entry.sha256 is None or (len(entry.sha256) == 64 and set(entry.sha256) <= set("0123456789abcdef"))
    assert entry.filename == os.path.basename(entry.filename)
    assert entry.sources
    for source in entry.sources:
        if isinstance(source, UrlSource):
            assert source.url.startswith("https://")
            assert source.url.endswith("/" + entry.filename)
        else:
            assert isinstance(source, WheelSource)
            assert "==" in source.requirement
            assert entry.sha256 is not None, "a package that is not the publisher's needs a hash"


def test_catalogue_has_what_the_design_names():
    assert set(CATALOGUE) == {
        "mobile_sam",
        *("sam_vit_b", "sam_vit_l", "sam_vit_h"),
        *("xmem", "xmem_s012"),
        *("masa_r50", "masa_sam_b", "masa_sam_h"),
    }
    assert len({entry.filename for entry in CATALOGUE.values()}) == len(CATALOGUE)
    assert PROFILES["lite"] == ("mobile_sam",)
    assert all(name in CATALOGUE for members in PROFILES.values() for name in members)
    assert CATALOGUE["mobile_sam"].sha256 == "6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f"


def test_expand_takes_names_and_profiles_each_once():
    chosen = [entry.name for entry in expand(["full", "sam_vit_b", "xmem_s012"])]
    assert chosen == ["sam_vit_h", "xmem_s012", "mobile_sam", "masa_r50", "sam_vit_b"]


@pytest.mark.parametrize(("name", "hint"), [("mobilesam", "did you mean mobile_sam"), ("zzz", "known are mobile_sam")])
def test_an_unknown_name_is_answered_with_a_hint(tmp_path, name, hint):
    for call in (lambda: expand([name]), lambda: fetch(name, tmp_path), lambda: verify(name, tmp_path)):
        with pytest.raises(WeightsError, match=hint):
            call()


def test_fetch_takes_the_first_source(model, site, tmp_path):
    directory = tmp_path / "deep" / "weights"
    assert fetch("model", directory) == directory / "model.pt"
    assert (directory / "model.pt").read_bytes() == CONTENT
    assert [asked.path for asked in site.asked] == ["/first"]
    assert names(directory) == ["model.pt", "model.pt.json"]


def test_what_is_there_is_used_without_a_request(model, site, tmp_path):
    (tmp_path / "model.pt").write_bytes(CONTENT)
    assert fetch("model", tmp_path) == tmp_path / "model.pt"
    assert site.asked == []


def test_a_file_is_read_again_only_when_it_changed(model, tmp_path, monkeypatch):
    path = fetch("model", tmp_path)
    read = []
    original = checkpoints.sha256_of
    monkeypatch.setattr(checkpoints, "sha256_of", lambda path: read.append(path) or original(path))
    assert (verify("model", tmp_path), read) == ("ok", [])
    assert (verify("model", tmp_path, rehash=True), read) == ("ok", [path])
    os.utime(path, ns=(1, 1))
    assert (verify("model", tmp_path), len(read)) == ("ok", 2)
    assert (verify("model", tmp_path), len(read)) == ("ok", 2)


@pytest.mark.parametrize("broken", [b"", CONTENT[:100], WRONG, CONTENT + b"more"])
def test_a_broken_file_is_fetched_again(model, tmp_path, caplog, broken):
    path = tmp_path / "model.pt"
    path.write_bytes(broken)
    assert verify("model", tmp_path) == "damaged"
    fetch("model", tmp_path)
    assert path.read_bytes() == CONTENT
    assert verify("model", tmp_path) == "ok"
    assert "is damaged" in caplog.text


def test_a_broken_file_stays_while_nothing_better_is_had(model, site, tmp_path):
    (tmp_path / "model.pt").write_bytes(WRONG)
    site.routes.clear()
    with pytest.raises(WeightsError):
        fetch("model", tmp_path)
    assert (tmp_path / "model.pt").read_bytes() == WRONG


@pytest.mark.parametrize("failing", [Answer(404), Answer(200, WRONG), Answer(200, CONTENT[:5])])
def test_the_next_source_is_tried(model, site, tmp_path, failing):
    site.routes["/first"] = failing
    fetch("model", tmp_path)
    assert (tmp_path / "model.pt").read_bytes() == CONTENT
    assert site.asked[-1].path == "/second"


def test_when_all_sources_fail_each_is_listed_with_its_reason(model, site, tmp_path):
    site.routes.update({"/first": Answer(403), "/second": Answer(200, WRONG)})
    with pytest.raises(WeightsError) as caught:
        fetch("model", tmp_path)
    message = str(caught.value)
    assert f"{site.url}/first: HTTP 403" in message
    assert f"{site.url}/second: the file's sha256 is {hashlib.sha256(WRONG).hexdigest()}, expected {SHA256}" in message
    assert f"save it as {tmp_path / 'model.pt'}" in message
    assert f"expected sha256: {SHA256}" in message
    assert names(tmp_path) == []


def test_a_resumed_download_that_does_not_fit_starts_over(model, site, tmp_path, caplog):
    """The part is of an older file, and the server has no validator that would tell."""
    part = tmp_path / "model.pt.part"
    part.write_bytes(b"?" * 100)
    (tmp_path / "model.pt.part.json").write_text(json.dumps({"url": f"{site.url}/first", "validator": None}))

    def serve(asked):
        if "Range" not in asked.headers:
            return Answer(200, CONTENT)
        return Answer(206, CONTENT[100:], {"Content-Range": f"bytes 100-{len(CONTENT) - 1}/{len(CONTENT)}"})

    site.routes["/first"] = serve
    fetch("model", tmp_path)
    assert (tmp_path / "model.pt").read_bytes() == CONTENT
    assert [asked.headers.get("Range") for asked in site.requests("/first")] == ["bytes=100-", None]
    assert "starting over" in caplog.text


def test_one_of_many_fetches(model, site, tmp_path):
    arrived = threading.Barrier(4)
    failures = []

    def work():
        arrived.wait()
        try:
            fetch("model", tmp_path, progress=False)
        except WeightsError as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(site.asked) == 1
    assert (tmp_path / "model.pt").read_bytes() == CONTENT


def test_an_unpublished_hash_is_pinned_on_the_first_fetch(unpublished, site, tmp_path, caplog):
    path = fetch("model", tmp_path)
    assert f"pinned as fetched, sha256 {SHA256}" in caplog.text
    assert json.loads((tmp_path / "model.pt.json").read_text())["sha256"] == SHA256
    path.write_bytes(WRONG)
    assert verify("model", tmp_path) == "damaged"
    fetch("model", tmp_path)
    assert path.read_bytes() == CONTENT
    assert len(site.asked) == 2


def test_a_pinned_file_that_its_publisher_replaced_is_refused(unpublished, site, tmp_path):
    fetch("model", tmp_path).unlink()
    site.routes.update({"/first": Answer(200, WRONG), "/second": Answer(200, WRONG)})
    with pytest.raises(WeightsError, match=f"delete {tmp_path / 'model.pt.json'} to accept the new one"):
        fetch("model", tmp_path)
    (tmp_path / "model.pt.json").unlink()
    assert fetch("model", tmp_path).read_bytes() == WRONG


def test_an_unpublished_file_placed_by_hand_is_pinned_when_found(unpublished, site, tmp_path, caplog):
    (tmp_path / "model.pt").write_bytes(WRONG)
    fetch("model", tmp_path)
    assert site.asked == []
    assert "pinned as found" in caplog.text
    (tmp_path / "model.pt").write_bytes(CONTENT)
    assert verify("model", tmp_path) == "damaged"


def test_a_failed_first_fetch_of_unpublished_weights_says_that_no_hash_is_known(unpublished, site, tmp_path):
    site.routes.clear()
    with pytest.raises(WeightsError, match="no sha256 is published"):
        fetch("model", tmp_path)


@pytest.mark.parametrize("record", ["", "{", "[1]", '{"sha256": "0", "extra": 1}', "null"])
def test_a_torn_record_is_written_anew(model, tmp_path, record):
    (tmp_path / "model.pt").write_bytes(CONTENT)
    (tmp_path / "model.pt.json").write_text(record)
    assert verify("model", tmp_path) == "ok"
    assert json.loads((tmp_path / "model.pt.json").read_text())["sha256"] == SHA256


def test_a_directory_where_nothing_can_be_recorded_still_serves(model, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    (tmp_path / "model.pt").write_bytes(CONTENT)
    (tmp_path / "model.pt.json").mkdir()
    assert verify("model", tmp_path) == "ok"
    assert "could not be recorded" in caplog.text


@pytest.mark.parametrize(
    ("number", "message"), [(errno.ENOSPC, "no space left in"), (errno.EACCES, "cannot be written to")]
)
def test_a_disk_that_takes_no_more_is_said(model, tmp_path, monkeypatch, number, message):
    def fail(handle):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(WeightsError, match=message) as caught:
        fetch("model", tmp_path)
    assert "KEYTRACK_WEIGHTS_DIR" in str(caught.value)
    assert not (tmp_path / "model.pt").exists()


def test_a_directory_that_cannot_be_made_is_said(model, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for directory in (tmp_path / "file", tmp_path / "file" / "weights"):
        with pytest.raises(WeightsError, match="cannot be"):
            fetch("model", directory)


def test_a_partial_file_is_kept_for_the_next_try(model, site, tmp_path):
    site.routes["/first"] = Answer(200, CONTENT[:100], {"ETag": '"1"'}, length=len(CONTENT))
    site.routes["/second"] = Answer(404)
    with pytest.raises(WeightsError):
        fetch("model", tmp_path)
    assert names(tmp_path) == ["model.pt.part", "model.pt.part.json"]
    site.routes["/first"] = lambda asked: Answer(
        206, CONTENT[100:], {"Content-Range": f"bytes 100-{len(CONTENT) - 1}/{len(CONTENT)}"}
    )
    assert fetch("model", tmp_path).read_bytes() == CONTENT
    assert site.asked[-1].headers["Range"] == "bytes=100-"


class Malicious:
    """Pickles to something that makes a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_load_state_reads_tensors(tmp_path):
    state = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2, dtype=torch.float16)}
    torch.save(state, tmp_path / "plain.pth")
    torch.save({"state_dict": state, "meta": {"epoch": 3}}, tmp_path / "wrapped.pth")
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for name in ("plain.pth", "wrapped.pth", "old.pth"):
        loaded = load_state(tmp_path / name)
        assert {key: (value.dtype, value.device.type) for key, value in loaded.items()} == {
            "a.weight": (torch.float32, "cpu"),
            "a.bias": (torch.float16, "cpu"),
        }
        assert torch.equal(loaded["a.weight"], state["a.weight"])


@pytest.mark.parametrize("length", [0, 1, 10, 200, -40, -1])
def test_load_state_refuses_a_truncated_file(tmp_path, length):
    path = tmp_path / "state.pth"
    torch.save({"weight": torch.randn(64, 64)}, path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(WeightsError, match="damaged"):
        load_state(path)


@pytest.mark.parametrize("content", [b"<html></html>" * 20, b"\x80\x04", b"PK\x03\x04" + b"\0" * 100, b"\0" * 5000])
def test_load_state_refuses_what_is_no_checkpoint(tmp_path, content):
    path = tmp_path / "state.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="damaged"):
        load_state(path)


@pytest.mark.parametrize("save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_load_state_runs_no_code(tmp_path, save):
    path, trace = tmp_path / "state.pth", tmp_path / "trace"
    save({"weight": Malicious(trace)}, path)
    with pytest.raises(WeightsError, match="more than tensors"):
        load_state(path)
    assert not trace.exists()


@pytest.mark.parametrize("value", [torch.ones(3), [torch.ones(3)], {"weight": 5}, {"state_dict": {"weight": "x"}}])
def test_load_state_refuses_what_is_no_state_dict(tmp_path, value):
    torch.save(value, tmp_path / "state.pth")
    with pytest.raises(WeightsError, match="no state dict"):
        load_state(tmp_path / "state.pth")


def test_load_state_says_when_the_file_is_missing(tmp_path):
    with pytest.raises(WeightsError, match="does not exist"):
        load_state(tmp_path / "none.pth")


def test_real_weights_load(mobile_sam_path):
    state = load_state(mobile_sam_path)
    assert len(state) > 400
    assert any(key.startswith("image_encoder.") for key in state)
