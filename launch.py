"""`python launch.py`: what `vdm-jax` does, from a checkout. `python launch.py --help` lists the flags."""

from vdm_jax.__main__ import main, script

__all__ = ["main"]

if __name__ == "__main__":
    script()
