"""Progress bars of the jobs after training."""

from collections.abc import Callable, Iterable
from functools import partial

from tqdm import tqdm


def bar(name: str) -> Callable[[range], Iterable[int]]:
    """Wraps a range in a bar with rate and time left; silent where stderr is no terminal."""
    return partial(tqdm, desc=name, disable=None, dynamic_ncols=True, leave=False)
