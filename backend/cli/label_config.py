"""The option that names a labeling configuration of videos."""

from __future__ import annotations

import argparse
from pathlib import Path

from backend.errors import SettingsError
from backend.labelstudio.config import VideoConfig, parse_config

LABEL_CONFIG = Path(__file__).resolve().parents[2] / "labelstudio_config" / "video_boxes.xml"


def add_label_config(parser: argparse.ArgumentParser) -> None:
    """Declare ``--label-config``."""
    parser.add_argument(
        "--label-config",
        type=Path,
        metavar="FILE",
        help="the Label Studio project's labeling configuration (default: labelstudio_config/video_boxes.xml)",
    )


def read_config(path: Path | None) -> VideoConfig:
    """The labeling configuration in a file; without one the usual one.

    Raises:
        SettingsError: it cannot be read.
        LabelConfigError: it is none that this backend can serve.
    """
    path = path or LABEL_CONFIG
    try:
        return parse_config(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"--label-config {path}: cannot be read ({error}); give the project's own") from error
