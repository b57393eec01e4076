"""HTTP: the endpoints Label Studio calls, and errors as JSON."""

from __future__ import annotations

import logging
from typing import Any

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from backend.errors import KeytrackError, PayloadError, StorageError, UnavailableError, WeightsError
from backend.model import Keytrack
from backend.service.access import Access
from backend.service.metrics import add_metrics
from backend.service.pages import pages
from backend.service.payloads import PredictRequest, SetupRequest, WebhookRequest, parse_body

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 << 20  # ten tracks of 10,000 keyframes are 11 MB, and a task carries its annotations and drafts


def create_app(keytrack: Keytrack, access: Access | None = None, *, max_body_bytes: int = MAX_BODY_BYTES) -> Flask:
    """The service in front of ``keytrack``, whose life is the caller's to end, for those whom ``access`` lets in."""
    app = Flask("keytrack", static_folder=None)  # which would be whatever lies in ./static
    app.config["MAX_CONTENT_LENGTH"] = max_body_bytes
    add_metrics(app, keytrack.jobs, keytrack.workers, keytrack.media_bytes)
    if access is not None:
        access.protect(app)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # a human's keyframes go back as they came

    app.register_blueprint(pages(keytrack.overview, keytrack.health))

    @app.get("/health")
    def health() -> Response:
        return jsonify(keytrack.health())

    @app.post("/setup")
    def setup() -> Response:
        body = parse_body(SetupRequest, _json())
        keytrack.remember(body.project, body.hostname, body.access_token, body.extra_params)
        return jsonify(model_version=keytrack.model_version)

    @app.get("/versions")
    def versions() -> Response:
        return jsonify(versions=[keytrack.model_version])

    @app.post("/predict")
    def predict() -> Response:
        body = parse_body(PredictRequest, _json())
        context = body.params.context if body.params is not None else None
        results = keytrack.predict(body.tasks, context, project=body.project, label_config=body.label_config)
        return jsonify(results=results, model_version=keytrack.model_version)

    @app.post("/webhook")
    def webhook() -> tuple[Response, int]:
        payload = _json()
        event = parse_body(WebhookRequest, payload).action
        keytrack.fit(event, payload)
        return jsonify(status="ok"), 200

    app.register_error_handler(KeytrackError, _user_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)
    return app


def _json() -> Any:
    try:
        body = request.get_json(force=True)  # Label Studio's content type is right, other clients' may not be
    except HTTPException as error:
        if error.code == 413:
            raise
        raise PayloadError("the body is not JSON") from None
    except RecursionError:
        raise PayloadError("the body is nested too deeply") from None
    if not isinstance(body, dict):
        raise PayloadError(f"the body is a JSON {type(body).__name__}, not an object")
    return body


def _error(status: int, code: str, message: str) -> tuple[Response, int]:
    return jsonify(error={"code": code, "message": message}), status


def _user_error(error: KeytrackError) -> tuple[Response, int]:
    logger.warning("%s %s: %s: %s", request.method, request.path, error.code, error)
    later = isinstance(error, WeightsError | UnavailableError | StorageError)
    return _error(503 if later else 400, error.code, str(error))


def _http_error(error: HTTPException) -> tuple[Response, int]:
    status = error.code or 500
    message = error.description or error.name
    if status == 413:
        message = "the body is too large; the limit is in bytes " + str(request.max_content_length)
    return _error(status, error.name.lower().replace(" ", "-"), message)


def _unexpected(error: Exception) -> tuple[Response, int]:
    logger.error("%s %s failed", request.method, request.path, exc_info=error)
    return _error(500, "internal", "an internal error; the log of the backend has the details")
