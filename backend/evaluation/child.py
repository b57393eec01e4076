"""A function in a process of its own: what it loads, and the memory it takes, are nobody else's."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from threading import Thread
from typing import ParamSpec, TypeVar, cast

from backend.errors import KeytrackError, MeasuringError

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def in_child(function: Callable[Parameters, Result], /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
    """Call a function of a module's top level in a fresh Python, and return what it returns.

    Arguments and result are pickled. The child does not outlive the call.

    Raises:
        KeytrackError: as the function raised it.
        MeasuringError: the child ended without an answer; what Python said of it is on the error output.
    """
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(sender, function, args, kwargs), daemon=True)
    process.start()
    sender.close()
    try:
        answer = receiver.recv()
    except EOFError:
        process.join()
        raise MeasuringError(_obituary(process.exitcode or 0)) from None
    finally:
        process.terminate()
        process.join()
        receiver.close()
    if isinstance(answer, KeytrackError):
        raise answer
    return cast(Result, answer)


def _answer(
    sender: Connection, function: Callable[..., object], args: tuple[object], kwargs: dict[str, object]
) -> None:
    # Ctrl-C reaches the parent too, which ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    try:
        sender.send(function(*args, **kwargs))
    except KeytrackError as error:
        sender.send(error)


def _end_with_parent() -> None:
    """End this process when its parent was killed: nobody would hear the answer."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _obituary(status: int) -> str:
    if status == -signal.SIGKILL:
        return "the process that measured was killed, most likely for want of memory; measure something smaller"
    return f"the process that measured ended with status {status}; what it said stands above"
