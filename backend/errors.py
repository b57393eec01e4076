"""The errors a user can cause.

Each says what was wrong and what to do about it. ``code`` is a stable, machine-readable name; the HTTP
layer answers it together with the message, the command line prints the message and exits with status 2.
"""

from __future__ import annotations


class KeytrackError(Exception):
    """Base of every error that a user can cause; never raised itself.

    ``passing`` says that the same may go well later: something could not be reached, or was busy.
    """

    code = "error"
    passing = False


class SettingsError(KeytrackError):
    """A setting has a value that cannot be used; the message names the setting."""

    code = "bad-setting"


class VideoError(KeytrackError):
    """A video is missing, unreadable, truncated before its first frame, or not a video at all."""

    code = "bad-video"


class FrameOutOfRange(VideoError):
    """A frame was named that the video does not have."""

    code = "frame-out-of-range"


class PromptError(KeytrackError):
    """A prompt cannot be used: a box of no size or outside the frame, no prompt at all, wrong mask size."""

    code = "bad-prompt"


class PayloadError(KeytrackError):
    """A request's payload has a missing field or one of the wrong type; the message gives its path.

    ``path`` is the same path by itself, such as ``result[2].value.x``, where it is known.
    """

    code = "bad-payload"

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class LabelConfigError(KeytrackError):
    """A labeling configuration that this backend cannot serve."""

    code = "bad-label-config"


class MediaError(KeytrackError):
    """A task's media could not be fetched: refused by a rule, not found, unreachable, or too large."""

    code = "bad-media"


class LabelStudioError(KeytrackError):
    """Label Studio cannot be reached, or refused or failed a request; the message has what it said."""

    code = "label-studio"


class LabelStudioUnreachable(LabelStudioError):
    """Label Studio cannot be reached, or cannot answer now; ``wait`` is in how many seconds it wants to be asked again,
    where it says so."""

    passing = True

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class NotLabelStudioError(LabelStudioError):
    """What answers at Label Studio's address is something else: it is wrong, or a proxy's page says that nothing is
    there now."""


class StartError(KeytrackError):
    """A server that was started ended or did not answer in time; the message has the end of its log."""

    code = "not-started"


class ClusterError(KeytrackError):
    """A Ray cluster cannot be reached or started, or has nothing of what workers ask for."""

    code = "no-cluster"
    passing = True


class WeightsError(KeytrackError):
    """Weights are missing, damaged, or could not be fetched; the message lists the sources tried."""

    code = "no-weights"
    passing = True


class DatasetError(KeytrackError):
    """A dataset, an export or a table of measurements is not what its format asks for; the message has the place."""

    code = "bad-dataset"


class OutputError(KeytrackError):
    """Results cannot be written: the place is taken or forbidden, the disk is full, a format cannot hold them."""

    code = "bad-output"


class MeasuringError(KeytrackError):
    """A measurement ended without a result: it ran out of memory, or the process that made it failed."""

    code = "not-measured"


class UnavailableError(KeytrackError):
    """The service cannot take a request now; asking again later may help."""

    code = "unavailable"
    passing = True


class BusyError(UnavailableError):
    """As much is at work or waiting as the service takes on; asking again later will help."""

    code = "busy"


class WorkerLostError(UnavailableError):
    """A worker on another machine, or in another process, died or cannot be started; what it was doing is undone."""

    code = "worker-lost"


class StorageError(KeytrackError):
    """The store cannot be written or read: the disk is full, gone or damaged. What was not stored is done again."""

    code = "storage"
    passing = True


class NotKeptError(KeytrackError):
    """Something was asked for that the backend does not keep."""

    code = "not-kept"


class UnfinishedError(KeytrackError):
    """A track was asked for that is not complete (yet)."""

    code = "unfinished"
