"""A command in a process of its own, its words in a file."""

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
    """Runs `command` with its output appended to `log`, and returns its exit code, below 0 for the signal it died of.

    `show` gets the latest line now and then. The process gets SIGTERM once `stop_requested()`, and SIGINT at Ctrl-C,
    whose KeyboardInterrupt is raised when it has ended; at a second one it is killed. It holds `lock` as long as it
    lives, also where this process is killed.
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
            process_group=0,  # apart from the terminal's, whose Ctrl-C would come to it twice
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
    told = False
    while (code := process.poll()) is None:
        time.sleep(POLL_SECONDS)  # `process.wait` with a time limit looks twenty times a second: 5% of a core
        show(last_line(log))
        if stop_requested() and not told:
            process.send_signal(signal.SIGTERM)
            told = True
    return code


def last_line(log: pathlib.Path) -> str:
    """The last line of a file that is not empty, "" where there is none."""
    with open(log, "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
