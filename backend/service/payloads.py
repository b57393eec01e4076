"""The requests of Label Studio, checked: whatever has the wrong type is refused with its path."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from backend.errors import PayloadError
from backend.labelstudio.payload import Incoming, Model, parse


def _identifier(value: object) -> object:
    """Ids are numbers here and texts there; inside the backend they are texts."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _storable(text: str) -> str:
    """JSON can hold half a character (a lone surrogate), which no file and no database can."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it holds a broken character") from None
    return text


Text = Annotated[str, AfterValidator(_storable)]
Identifier = Annotated[Text, BeforeValidator(_identifier), Field(min_length=1, max_length=200)]


class Task(Incoming):
    """A task of ``/predict``: its id, its project where it is given, and its data."""

    id: Identifier
    project: Identifier | None = None
    data: dict[str, Any] = Field(default_factory=dict)


class _Tasks(Incoming):
    tasks: list[Task]


class Params(Incoming):
    """The parameters of ``/predict``; ``context`` is None where nobody pressed anything."""

    context: dict[str, Any] | None = None


class PredictRequest(Incoming):
    """The body of ``/predict``; the tasks are checked where they are used."""

    tasks: list[Any]
    project: Identifier | None = None
    label_config: str | None = None
    params: Params | None = None


class SetupRequest(Incoming):
    """The body of ``/setup``. ``access_token`` is a secret."""

    project: Identifier
    schema_: str | None = Field(None, alias="schema")
    hostname: Text | None = None
    access_token: Text | None = Field(None, repr=False)
    extra_params: Any = None


class WebhookRequest(Incoming):
    """The body of ``/webhook``; the rest depends on the action."""

    action: str


def annotator_of(task: object) -> str | int | None:
    """Who works on a task that came with an interactive call, by the drafts in it, which are theirs alone.

    None where nothing was saved yet: Label Studio does not tell otherwise.
    """
    drafts = task.get("drafts") if isinstance(task, dict) else None
    users = [one.get("user") for one in drafts if isinstance(one, dict)] if isinstance(drafts, list) else []
    return next((user for user in users if isinstance(user, str | int)), None)


def parse_body(model: type[Model], body: object) -> Model:
    """A request's body as a ``model``. Bodies hold tokens, so that messages and logs get paths, not values.

    Raises:
        PayloadError: something is missing or has the wrong type; the message names the path of the first such thing.
    """
    return parse(model, body, secret=True)


def parse_tasks(tasks: object) -> list[Task]:
    """Tasks, each with an id.

    Raises:
        PayloadError: it is no list of tasks.
    """
    return parse_body(_Tasks, {"tasks": tasks}).tasks


def check_text(text: str, path: str) -> str:
    """``text``, if it can be stored.

    Raises:
        PayloadError: it holds a broken character.
    """
    try:
        return _storable(text)
    except ValueError as error:
        raise PayloadError(f"{path}: {error}") from None


def project_of(project: str | None, task: Task | None = None) -> str:
    """A project's id. Label Studio writes ``<id>.<time of creation>`` in some places and the id alone in others."""
    named = project or (task.project if task is not None else None) or ""
    return named.partition(".")[0]
