"""What noise does to images under every schedule, and how well trained models undo it, by timestep.

Variants: `quick` (minutes), `digits` (an hour on one core: models are trained at three seeds), and `picture`, which
trains nothing. `--config.picture.image=FILE` takes a picture of any size, such as a photograph of 24 megapixels.
The study of results/forward: `photograph` and `draft` (the draft's own table of noise) train nothing; `study` and
`study-half` train small models of digits. They take the first image of cifar10_subset.npz, and `study` also mnist.npz.
"""

from ml_collections import ConfigDict, config_dict
from vdm_jax.configs.base import get_config as get_base_config
from vdm_jax.configs.base import table_settings

from vdm_jax.base.errors import choose

PICTURE = {"model.train": ""}
PHOTOGRAPH = PICTURE | {
    "data.source": "npz",
    "data.name": "cifar10_subset",
    "closeness.sizes": "16,32,64,128,256",
}
STUDY = {
    "model.channels": 16,
    "model.num_steps": 1_000,
    "reconstruct.foreign": "npz/mnist,npz/cifar10_subset,sprites/small",
    "reconstruct.num_images": 100,
    "reconstruct.num_starts": 12,
}
VARIANTS = {
    "quick": {
        "closeness.sizes": "8,16,32",
        "closeness.num_timesteps": 26,
        "model.num_steps": 300,
        "model.channels": 16,
        "reconstruct.num_images": 50,
        "reconstruct.num_timesteps": 21,
        "reconstruct.num_starts": 8,
        "reconstruct.num_sampling_steps": 20,
        "split.boundaries": "0.2",
        "split.num_seeds": 1,
        "split.num_images": 100,
        "split.num_sampling_steps": 20,
    },
    "digits": {},
    "picture": PICTURE,
    "photograph": PHOTOGRAPH,
    "draft": PHOTOGRAPH
    | {
        "schedules.names": "ddpm_linear",
        "schedules.num_steps": 5_000,
        "schedules.beta_1": 0.001,
        "closeness.sizes": "16,64",
    },
    "study": STUDY,
    "study-half": STUDY | {"split.denoiser_share": 0.5},
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
                **table_settings(),
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
            model=dict(
                workdir="",  # a trained run of configs/ddpm.py with these data, for `reconstruct`; empty: trained first
                train="digits-linear",  # variant of configs/ddpm.py that is trained; empty: nothing is
                num_steps=config_dict.placeholder(int),  # of its training; none: the variant's own
                channels=config_dict.placeholder(int),  # of its network; none: the variant's own
                checkpoint="best",  # of `reconstruct`: best, latest, or a step
            ),
            reconstruct=dict(
                foreign="sprites/small",  # SOURCE/NAME of data that the model was not trained on, with commas
                num_images=200,  # of each set
                num_timesteps=51,  # at which an image is denoised in one step
                num_starts=16,  # timesteps from which chains start
                num_sampling_steps=50,  # of a chain from T
                tolerance=0.25,  # foreign images are recovered worse where their error is larger by this share
                seed=0,
            ),
            split=_split(),
        )
    )
    config.lock()
    config.update_from_flattened_dict({"data.source": "digits", "data.name": "digits"})
    config.update_from_flattened_dict(choose("variant", variant or "quick", VARIANTS))
    return config


def _split() -> dict:
    """The section of the job split."""
    return dict(
        boundaries="0.1,0.2",  # shares of T below which the denoiser is trained, and above it the generator
        num_seeds=3,  # of all trainings; 0: no split
        denoiser_share=0.0,  # of the updates of the one model; 0: in proportion to the timesteps
        num_images=300,  # generated, of the Fréchet distances
        num_sampling_steps=50,
        sampler="ancestral",  # ancestral, ancestral_beta, ddim, dpmpp_2m
        passes=4,  # noise passes over the test images, of the losses
        batch_size=100,  # images that are generated at once
        seed=0,
    )
