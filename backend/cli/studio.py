"""What commands that talk to Label Studio share."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from contextlib import contextmanager

from backend.errors import SettingsError
from backend.labelstudio.client import LabelStudioClient
from backend.settings import Settings


@contextmanager
def studio_client(settings: Settings) -> Iterator[LabelStudioClient]:
    """A client for the Label Studio of the settings.

    Raises:
        SettingsError: they do not say where it is, or have no token for it.
    """
    if settings.label_studio_url is None or settings.label_studio_token is None:
        raise SettingsError(
            "a project is reached through Label Studio's API: give --label-studio-url and --label-studio-token, or set "
            "KEYTRACK_LABEL_STUDIO_URL and KEYTRACK_LABEL_STUDIO_TOKEN"
        )
    client = LabelStudioClient(settings.label_studio_url, settings.label_studio_token)
    try:
        yield client
    finally:
        client.close()


def project_number(text: str) -> int:
    """An option's number of a project; to be given as its ``type``."""
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no project's number, such as the 3 in /projects/3/data")
    return int(text)
