"""A process in place of launch.py: `member_process.py --workdir=DIR/BEHAVIOUR --jobs=A,B` leaves DIR/BEHAVIOUR/JOB."""

import os
import pathlib
import signal
import sys
import time


def wait_for(number: signal.Signals, workdir: pathlib.Path) -> None:
    """Waits for a signal, says so in a file, and ends as launch.py does."""
    signal.signal(number, lambda *_: (workdir / number.name).touch() or sys.exit(0))
    (workdir / "pid").write_text(str(os.getpid()))
    print("ready", flush=True)
    time.sleep(60)


if __name__ == "__main__":
    words = dict(word.split("=", 1) for word in sys.argv[1:])
    workdir = pathlib.Path(words["--workdir"])
    behaviour = workdir.name.partition("-")[0]
    print(f"starts {words['--jobs']}", flush=True)
    if behaviour == "fails":
        sys.exit("launch.py: the data are gone")
    if behaviour == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if behaviour == "waits" and not (workdir / "SIGTERM").exists():
        wait_for(signal.SIGTERM, workdir)
    if behaviour == "interrupted":
        wait_for(signal.SIGINT, workdir)
    for job in words["--jobs"].split(",")[: 1 if behaviour == "gives_up" else None]:
        (workdir / job).touch()
