"""HTTP for people: what goes on, and the tracks that are kept, as JSON, as pictures and as files."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, jsonify, render_template, request

from backend.errors import KeytrackError, NotKeptError, PayloadError, UnfinishedError
from backend.service.overview import Overview
from backend.service.track_files import KINDS

MOST_TASKS, USUAL_TASKS = 1000, 100
REFRESH_SECONDS = 3


def pages(overview: Overview, health: Callable[[], dict[str, Any]]) -> Blueprint:
    """The routes; whoever asks for ``/`` and does not prefer HTML gets ``health``."""
    routes = Blueprint("pages", __name__, template_folder="templates")

    @routes.get("/")
    def index() -> Response:
        if request.accept_mimetypes.best_match(["application/json", "text/html"]) != "text/html":
            return jsonify(health())
        nonce = secrets.token_urlsafe(16)
        template = "live.html" if "live" in request.args else "status.html"  # the page asks for what changes in it
        page = render_template(template, status=overview.status(), nonce=nonce, seconds=REFRESH_SECONDS)
        return _guarded(Response(page, mimetype="text/html"), nonce)

    @routes.get("/tracks")
    def tracks() -> Response:
        tasks = _number("tasks", USUAL_TASKS, MOST_TASKS)
        return jsonify(tracks=overview.tracks(request.args.get("project"), request.args.get("task"), tasks=tasks))

    @routes.get("/tracks/<project>/<task>/thumbnail.jpg")
    def thumbnail(project: str, task: str) -> Response:
        response = Response(overview.thumbnails.jpeg(project, task), mimetype="image/jpeg")
        # The page asks for another address as soon as the picture is another one.
        response.headers["Cache-Control"] = "private, max-age=3600" if "v" in request.args else "no-store"
        return response

    @routes.get(f"/tracks/<project>/<task>/<any({', '.join(map(repr, KINDS))}):kind>")
    def file(project: str, task: str, kind: str) -> Response:
        unfinished = request.args.get("unfinished", "refuse")
        if unfinished not in ("refuse", "skip"):
            raise PayloadError(f"unfinished: expected refuse or skip; found {unfinished!r}")
        if request.method == "HEAD":  # making it is most of the work
            return Response(mimetype=KINDS[kind].mimetype)
        made = overview.files.make(kind, project, task, request.args.get("region"), partly=unfinished == "skip")
        response = Response(made, mimetype=made.mimetype)
        response.headers.set("Content-Disposition", "attachment", filename=made.name)
        response.headers["Cache-Control"] = "no-store"
        for note in made.notes:
            plain = " ".join(note.split()).encode("ascii", "replace").decode("ascii")
            response.headers.add("X-Keytrack-Note", plain)
        return response

    routes.register_error_handler(NotKeptError, lambda error: _error(404, error))
    routes.register_error_handler(UnfinishedError, lambda error: _error(409, error))
    return routes


def _guarded(response: Response, nonce: str) -> Response:
    """Nothing in the page runs, or is fetched, but what is the page's own."""
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"
    return response


def _number(name: str, usual: int, most: int) -> int:
    text = request.args.get(name, str(usual))
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= most):
        raise PayloadError(f"{name}: expected a number from 1 to {most}; found {text!r:.40}")
    return int(text)


def _error(status: int, error: KeytrackError) -> tuple[Response, int]:
    return jsonify(error={"code": error.code, "message": str(error)}), status
