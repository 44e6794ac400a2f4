"""beartype for jaxtyping, which makes a checker for every function, and one anew each time that an inner one is made.

Signatures that are equal share a checker: it knows names, annotations and defaults, and nothing of the function.
"""

from typing import get_args, get_origin

from beartype import beartype
from jaxtyping import AbstractArray

CHECKERS = {}


def checked(stub):
    """`beartype(stub)`. stub: of jaxtyping, with the signature of a function; its body returns an argument or None."""
    try:
        checker = CHECKERS.get(key := _signature(stub))
    except TypeError:  # an annotation or a default without a hash
        return beartype(stub)
    if checker is None:
        checker = CHECKERS[key] = beartype(stub)
    return checker


def _signature(stub) -> tuple:
    code, named = stub.__code__, stub.__kwdefaults__ or {}
    names = code.co_varnames, code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags
    defaults = [(type(value), value) for value in stub.__defaults__ or ()]
    defaults += [(name, type(value), value) for name, value in named.items()]
    annotations = [(name, _hint(hint)) for name, hint in stub.__annotations__.items()]
    key = (*names, code.co_code, tuple(defaults), tuple(annotations))
    hash(key)
    return key


def _hint(hint):
    """Equal for annotations that say the same: `Float[Array, "n"]` is a new class each time that it is written."""
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return hint.array_type, hint.__name__, hint.dtypes, hint.dim_str
    if origin := get_origin(hint):
        return origin, tuple(map(_hint, get_args(hint)))
    return hint
