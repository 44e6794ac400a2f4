"""What the process keeps of the memory that it frees."""

import platform
import subprocess
import sys

import pytest
from launching import ROOT

PAGES = """
import resource
import sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from vdm_jax.launch.memory import keep_freed_memory
assert keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.empty(2**26, np.uint8).fill(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults(), faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_a_large_block_is_paid_for_once():
    done = subprocess.run([sys.executable, "-c", PAGES, str(ROOT)], capture_output=True, text=True, check=True)
    first, second = map(int, done.stdout.split())
    assert second <= first / 10
