"""What a load test counts of answers that are none, and of a service that is gone."""

from __future__ import annotations

import json
import sys
import time

import pytest

from backend.errors import StartError
from backend.evaluation.load_checks import Wrong
from backend.evaluation.load_client import LoadClient
from backend.evaluation.load_server import LoadServer
from backend.evaluation.load_tally import EXAMPLES, Tally
from backend.evaluation.load_watch import HealthWatch
from backend.settings import load_settings
from support.http import Answer, web_server

TASK = {"id": 1, "project": 7}
REGION = {"id": "a", "value": {"sequence": []}}


def answer(status=200, **body):
    return Answer(status, json.dumps(body).encode())


def press(*answers):
    """What presses that are answered like this return, and what is counted."""
    tally = Tally()
    with web_server() as site:
        client = LoadClient(site.url, "<View/>", tally)
        found = []
        for one in answers:
            site.routes["/predict"] = one
            found.append(client.press(TASK, [REGION]))
        client.close()
    return found, tally, site


def test_a_press_is_sent_as_label_studio_sends_it():
    found, tally, site = press(answer(results=[{"result": [REGION]}]))
    assert found == [[REGION]]
    assert (len(tally.seconds), tally.errors, tally.busy) == (1, {}, 0)
    body = json.loads(site.asked[0].body)
    assert body["tasks"] == [TASK]
    assert body["project"].startswith("7.")
    assert body["params"]["context"] == {"result": [REGION]}
    assert body["label_config"] == "<View/>"


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (answer(500, error={"code": "internal"}), "status 500 internal"),
        (answer(400), "status 400 no code"),
        (Answer(502, b"<html>"), "status 502 without JSON"),
        (answer(results=[]), "an answer without a result for the task"),
        (answer(results=[{"result": [{"id": "a"}]}]), "an answer that is no regions"),
        (answer(results=[[]]), "an answer that is no regions"),
    ],
)
def test_what_is_no_answer_is_an_error(given, kind):
    found, tally, _ = press(given)
    assert found == [None]
    assert tally.errors == {kind: 1}


def test_busy_is_no_error():
    found, tally, _ = press(answer(503, error={"code": "busy"}), answer(503, error={"code": "unavailable"}))
    assert found == [None, None]
    assert (tally.busy, tally.errors) == (1, {"status 503 unavailable": 1})


def test_nobody_there():
    tally = Tally()
    with web_server() as site:
        pass
    assert LoadClient(site.url, "", tally).open(TASK) is None
    assert tally.errors == {"ConnectionError": 1}


def test_health_that_fails_is_an_error():
    tally = Tally()
    with web_server({"/health": Answer(503)}) as site, HealthWatch(site.url, tally, every=0.01) as watch:
        limit = time.monotonic() + 30
        while len(watch.seconds) < 3:
            assert time.monotonic() < limit
            time.sleep(0.01)
    assert tally.errors["/health: status 503"] == len(watch.seconds)


def test_examples_are_few():
    tally = Tally()
    for number in range(EXAMPLES + 5):
        tally.mistake(f"task {number}", [Wrong("crossed", "a")])
    assert tally.wrong == {"crossed": EXAMPLES + 5}
    assert tally.examples[0] == "task 0: crossed: a"
    assert len(tally.examples) == EXAMPLES


SERVICE = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b'{"models_loaded": true}')
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(f"at http://127.0.0.1:{server.server_port},", flush=True)
server.serve_forever()
"""


def test_a_service_that_is_gone_already_cannot_be_asked_to_end(tmp_path):
    settings = load_settings(device="cpu")
    with LoadServer(settings, tmp_path, tmp_path, [sys.executable, "-c", SERVICE]) as server:
        assert server.end()
        assert not server.end()


def test_one_that_ends_at_the_start_is_told_with_its_log(tmp_path):
    command = [sys.executable, "-c", "raise SystemExit('the models are too large')"]
    with (
        pytest.raises(StartError, match="the models are too large"),
        LoadServer(load_settings(device="cpu"), tmp_path, tmp_path, command),
    ):
        pass
