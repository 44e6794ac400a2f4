"""Every rate mode by its name."""

from vdm_jax.base.errors import choose
from vdm_jax.diffusion.rate import CyclicalRate, FixedRate, FreeBits, NoRate, RateMode, WarmupRate
from vdm_jax.diffusion.rate_code import CodeDropout, HighNoiseRate, MmdRate
from vdm_jax.diffusion.rate_target import TargetRate

RATE_MODES = {
    "fixed": FixedRate,
    "warmup": WarmupRate,
    "cyclical": CyclicalRate,
    "free_bits": FreeBits,
    "target": TargetRate,
    "mmd": MmdRate,
    "w_dropout": CodeDropout,
    "high_noise": HighNoiseRate,
    "none": NoRate,
}


def make_rate_mode(name: str, **kwargs) -> RateMode:
    """The rate mode called `name`, one of `RATE_MODES`."""
    return choose("rate mode", name, RATE_MODES)(**kwargs)
