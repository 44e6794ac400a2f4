"""Runs a command in a process of its own, with its output in a file."""

import os
import pathlib
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import TextIO

POLL_SECONDS = 0.3
TAIL_BYTES = 4096


def run_logged(
    command: Sequence[str],
    log: pathlib.Path,
    *,
    lock: TextIO,
    stop_requested: Callable[[], bool],
    show: Callable[[str], None],
) -> int:
    """Runs `command`; returns its exit code, which is negative where a signal ended it.

    The process gets SIGTERM once `stop_requested()`. At Ctrl-C it gets SIGINT, and KeyboardInterrupt is raised when it
    has ended; a second Ctrl-C kills it. It holds `lock` as long as it lives, even if this process is killed.

    Args:
        command: the program and its arguments.
        log: the file that its output is appended to.
        lock: an open file that the process inherits.
        stop_requested: asked several times a second.
        show: called with the latest line of the log.
    """
    with open(log, "ab") as file:
        file.write(f"$ {shlex.join(command)}\n".encode())
        file.flush()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            pass_fds=(lock.fileno(),),
            process_group=0,  # outside the terminal's group, whose Ctrl-C would reach it twice
        )
    try:
        return _wait(process, log, stop_requested, show)
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        process.wait()
        raise
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _wait(
    process: subprocess.Popen, log: pathlib.Path, stop_requested: Callable[[], bool], show: Callable[[str], None]
) -> int:
    is_told = False
    while (code := process.poll()) is None:
        time.sleep(POLL_SECONDS)  # `process.wait` with a time limit polls twenty times a second: 5% of a core
        show(last_line(log))
        if stop_requested() and not is_told:
            process.send_signal(signal.SIGTERM)
            is_told = True
    return code


def last_line(log: pathlib.Path) -> str:
    """The last non-empty line of a file; "" where there is none."""
    with open(log, "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
