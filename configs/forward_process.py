"""What noise does to images under every schedule: strips, tables of noise, closeness to noise. Nothing is trained.

Variants: `quick` (seconds; pictures of up to 32x32) and `digits` (up to 128x128). `--config.picture.image=FILE` takes
a picture of any size, such as a photograph of 24 megapixels.
"""

from ml_collections import ConfigDict
from vdm_jax.configs.base import get_config as get_base_config

from vdm_jax.base.errors import choose

VARIANTS = {
    "quick": {"closeness.sizes": "8,16,32", "closeness.num_timesteps": 26},
    "digits": {},
}


def get_config(variant: str = "") -> ConfigDict:
    """`variant`: one of `VARIANTS`; nothing for `quick`. Settings of data: configs/base.py."""
    config = ConfigDict(
        dict(
            kind="forward_process",
            name=f"forward_process-{variant or 'quick'}",
            data=get_base_config().data,  # its source may also be "sprites", as in configs/probes.py
            picture=dict(image=""),  # a PNG, JPEG or WebP file of up to 134 megapixels; empty: the first test image
            schedules=dict(
                names="ddpm_linear,cosine,constant,dirac,linear",  # of SCHEDULES in vdm_jax/diffusion/schedules.py
                num_steps=1000,  # T of every table; a continuous schedule is read at i/T
            ),
            strips=dict(
                num_times=9,  # evenly spaced from 0 to T
                side=160,  # longer side to which the whole picture is reduced for the figure
                crop=160,  # side of the square in the middle, which is shown pixel for pixel
                full_size=False,  # True: each z_t also as strips/SCHEDULE_TIMESTEP.png
                seed=0,
            ),
            closeness=dict(
                sizes="8,16,32,64,128",  # sides to which the picture is resized
                counts="10,50",  # of noised copies; the draft's is 50
                num_timesteps=51,  # at which copies are drawn; expectations are exact at all
                pixels=1024,  # at most, of the covariance of pixels, evenly chosen
                repeats=3,  # draws of all copies, for the standard errors
                tolerance=0.05,  # the floor is reached where the expected metric stays this near, as a share of it
                seed=0,
            ),
        )
    )
    config.lock()
    config.update_from_flattened_dict({"data.source": "digits", "data.name": "digits"})
    config.update_from_flattened_dict(choose("variant", variant or "quick", VARIANTS))
    return config
