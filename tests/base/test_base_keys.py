"""Keys derived by name."""

import jax
import numpy as np

from vdm_jax.base.keys import named_key

NAMES = ("eps", "eps_0", "times", "code", "other_code", "prior_code", "encoder_dropout", "unet_dropout", "Eps", "")


def bits(key) -> tuple[int, ...]:
    return tuple(np.asarray(jax.random.key_data(key)).tolist())


def test_a_name_and_a_key_determine_the_key():
    assert bits(named_key(jax.random.key(3), "eps")) == bits(named_key(jax.random.key(3), "eps"))
    assert bits(named_key(jax.random.key(3), "eps")) != bits(named_key(jax.random.key(4), "eps"))


def test_the_derivation_never_changes():
    """What a run draws is part of its record: CRC-32 of the name, folded in."""
    assert bits(named_key(jax.random.key(0), "eps")) == bits(jax.random.fold_in(jax.random.key(0), 0x576E89A9))


def test_distinct_names_give_distinct_keys_and_draws(key):
    keys = [named_key(key, name) for name in NAMES]
    assert len({bits(k) for k in (key, *keys)}) == len(NAMES) + 1
    draws = [float(jax.random.normal(k)) for k in keys]
    assert len(set(draws)) == len(NAMES)


def test_a_key_is_not_consumed(key):
    """`jax_debug_key_reuse` is on: a second draw from one key raises, a second derivation does not."""
    first, again = named_key(key, "eps"), named_key(key, "eps")
    jax.random.normal(first), jax.random.normal(named_key(key, "code"))
    jax.random.normal(again), jax.random.normal(key)


def test_derivation_works_on_traced_keys(key):
    outside = named_key(key, "eps")
    assert bits(jax.jit(lambda key: named_key(key, "eps"))(key)) == bits(outside)
    stacked = jax.vmap(lambda key: named_key(key, "eps"))(jax.random.split(key, 3))
    assert len({bits(k) for k in stacked}) == 3
