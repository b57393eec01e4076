"""Settings as command line options, so that names, defaults and help are written once, in ``settings.py``."""

from __future__ import annotations

import argparse
import math

from pydantic_core import PydanticUndefined

from backend.settings import ENV_PREFIX, Settings, load_settings, option_name

CHOICE = ("profile", "segmenter", "propagator", "embedder", "device")
"""The settings that say which models run, and where."""


def add_settings(parser: argparse.ArgumentParser, *fields: str) -> None:
    """Give the parser an option for each settings field.

    An option that is not given leaves no attribute, so that the environment decides, and the same option may stand
    at a command and at its actions. Values are checked by the settings.
    """
    for field in fields:
        info = Settings.model_fields[field]
        default = "" if info.default in (None, (), PydanticUndefined) else f"default: {info.default}; "
        text = f"{info.description} ({default}environment: {ENV_PREFIX}{field.upper()})"
        metavar = field.rpartition("_")[2].upper()
        parser.add_argument(
            option_name(field), dest=field, metavar=metavar, default=argparse.SUPPRESS, help=text.replace("%", "%%")
        )


def settings_from(args: argparse.Namespace) -> Settings:
    """The settings with the options that were given.

    Raises:
        SettingsError: a value that cannot be used.
    """
    return load_settings(**{name: value for name, value in vars(args).items() if name in Settings.model_fields})


def to_float(text: str) -> float:
    """A number; not a number (nan) where the text is none, so that one comparison refuses that too."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def frame_rate(text: str) -> float:
    """An option's frames per second; to be given as its ``type``."""
    rate = to_float(text)
    if not 0 < rate < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no frame rate; write frames per second, such as 29.97")
    return rate
