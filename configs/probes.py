"""When is a feature destroyed along the diffusion chain, and when is it decided? Exact curves, trained probes, chains.

Variants: `quick` (sprites of 32x32, minutes on two CPU cores); `digits` (8x8, a minute); `images`, any labelled images,
with --config.data.name; `cifar`, animals and vehicles; `cifar-vq` and `celeba-vq`, in the space of a VQ-VAE that is
trained first; `latents`, in the space of a VAE; and DATA-SCHEDULE, such as `small-linear`, which is `quick`,
`full-cosine` (all 737,280 sprites of 64x64), `digits-dirac`, or `vectors-linear` and `maps-linear`, sprites in a space
whose latents are vectors or have height and width. A dash and an experiment after any of these runs that experiment
alone, such as `quick-forward`; on chains also with one sampler, such as `sparse-linear-backward-ddim`.
The sweep: every schedule, with sprites of 32x32 and three seeds, and with sprites of 64x64.
"""

from ml_collections import ConfigDict
from vdm_jax.configs._probe_variants import VARIANTS
from vdm_jax.configs.base import NOISE_TABLES, paired, space_settings, table_settings
from vdm_jax.configs.base import get_config as get_base_config

from vdm_jax.base.errors import choose
from vdm_jax.diffusion.samplers import SAMPLERS as SAMPLER_NAMES

SAMPLERS = {
    name: {"chains.samplers": text, "chain_probes.samplers": text}
    for name, text in ((name, f"{name}:100") for name in SAMPLER_NAMES)
}
ON_CHAINS = {
    "round_trip": {"jobs": "exact,chains,report"},  # the thesis' experiment 0
    "backward": {  # 2
        "jobs": "exact,chains,chain_probes,report",
        "chains.round_trips": False,
        "chain_probes.samplers": "exact",
        "chain_probes.real_or_generated": False,
    },
    "real_or_generated": {  # 3
        "jobs": "exact,chains,chain_probes,report",
        "chains.round_trips": False,
        "chain_probes.samplers": "exact",
        "chain_probes.backward": False,
    },
}
EXPERIMENTS = {
    "exact": {"jobs": "exact,report"},  # no training
    "normality": {"jobs": "exact,normality,report"},
    "forward": {"jobs": "exact,train,probe,report"},  # the thesis' experiment 1
    **ON_CHAINS,  # of posterior draws
    **paired(ON_CHAINS, SAMPLERS),
}


def get_config(variant: str = "") -> ConfigDict:
    """`variant`: one of `VARIANTS`, with one of `EXPERIMENTS` after a dash or without; nothing for `quick`."""
    variant = variant or "quick"
    config = ConfigDict()
    config.kind = "probes"
    config.name = f"probes-{variant}"
    config.jobs = ""  # of a launch without --jobs, such as exact,report; empty: all
    # source: "sprites", rendered grids; "dsprites", whose name is its .npz or .hdf5 file in `dir` or its TFDS build; or
    # labelled images, as in configs/base.py.
    config.data = get_base_config().data
    config.data.update(source="sprites", name="small")
    config.space = space_settings()
    config.diffusion = ConfigDict(
        dict(
            schedule="ddpm_linear",  # any table of SCHEDULES in vdm_jax/diffusion/schedules.py
            num_steps=1000,
            **table_settings(),
        )
    )
    config.exact = _exact()
    config.chains = _chains()
    config.probe = _probe()
    config.chain_probes = _chain_probes()
    config.normality = _normality()
    config.lock()
    config.update_from_flattened_dict(_settings(variant))
    return config


def _settings(variant: str) -> dict:
    """Of "NAME" or "NAME-EXPERIMENT"."""
    parts = variant.split("-")
    whole = 1 if parts[0] in VARIANTS and "-".join(parts[:2]) not in VARIANTS else 2
    settings = choose("variant", "-".join(parts[:whole]), VARIANTS)
    if len(parts) <= whole:
        return settings
    return settings | choose("experiment", "-".join(parts[whole:]), EXPERIMENTS)


def get_sweep():
    """Each schedule: at 32x32 with three seeds of every probe in one ensemble, at 64x64 with one."""
    small = [{"variant": f"small-{schedule}", "probe.num_seeds": 3} for schedule in NOISE_TABLES]
    return small + [{"variant": f"full-{schedule}"} for schedule in NOISE_TABLES]


def _exact() -> ConfigDict:
    """The exact curves."""
    return ConfigDict(
        dict(
            num_timesteps=21,  # from 0 to num_steps, evenly spaced where noise is added; of the probes too
            batch_size=100,  # queries at a time, half of them with the negative noise of the others
            max_queries=8_000,  # of each timestep
            tolerance=0.005,  # standard error of every curve at which a timestep is done
            seed=0,
        )
    )


def _chains() -> ConfigDict:
    """Chains from noise, round trips, and z_t of chains against noised data."""
    return ConfigDict(
        dict(
            # Any of exact (posterior draws), ancestral, ancestral_beta, ddim, dpmpp_2m (the optimal denoiser), as NAME
            # or NAME:STEPS. The prefix "model-" before any but exact stands for the trained model.
            samplers="exact",
            # Workdir of a trained DDPM, configs/ddpm.py, of these data and this diffusion; in a space of a latent
            # diffusion model of that space, configs/latent_diffusion.py.
            model="",
            checkpoint="best",  # of its averaged weights: best, latest, or a step
            num_steps=20,  # of a chain without STEPS, where noise is added; the measured timesteps are added to them
            every=1,  # measures at every so many-th timestep of the exact curves
            round_trips=True,  # also round trips from each of them, which is most of the work
            num_queries=400,  # chains from noise, and round trips from each measured timestep
            batch_size=100,
            # How the features of a chain's end are read: exact, the nearest of all images; net, a trained network; in a
            # space also sprite, the nearest sprite of the decoded image, and latent_net, a network trained there. The
            # curves by the first of several are drawn.
            readers="exact",
            reader_images=20_000,  # training images at most for the networks that read
            reader_steps=1_500,
            # An end whose root mean square distance a pixel from the nearest image is larger is far from the data; in a
            # space in units of the deviation of its values, beyond the distance of 99% of the data's own draws.
            far=0.1,
            seed=0,
        )
    )


def _chain_probes() -> ConfigDict:
    """Probes trained on chains; those of features with nets and training of `probe`. The model is `chains.model`."""
    return ConfigDict(
        dict(
            samplers="",  # as in chains; empty: the job has nothing to do
            backward=True,  # probes of the features of a chain's end
            real_or_generated=True,  # probes of z_t of a chain against noised data
            num_steps=20,
            every=1,  # trains at every so many-th timestep of the exact curves
            num_chains=4_000,  # to train on; 4 kB a timestep of each on disk at 32x32
            num_validation=512,
            num_test=1_536,
            batch_size=100,  # chains at a time
            real_or_generated_net="matched_statistics",  # of the probes of real against generated, as probe.net
            real_or_generated_hidden=(128, 128),  # as probe.hidden, of mlp and conv alone
            real_or_generated_updates=400,
            real_or_generated_learning_rate=1e-3,  # for mlp and conv 3e-3
            seed=0,
        )
    )


def _normality() -> ConfigDict:
    """Tests of whether components of z_t are normally distributed."""
    return ConfigDict(
        dict(
            num_images=1_000,  # drawn without replacement; all images where there are fewer
            num_components=256,  # of x that are tested, at most, evenly chosen from those that differ between images
            num_samples=20_000,  # normal samples whose statistics are the null distribution of p-values
            correction="holm",  # for all components and timesteps of a test: holm, benjamini_hochberg
            level=0.05,  # of significance, after the correction
            num_histograms=3,  # components whose histograms are kept, from the largest variance to the smallest
            seed=0,
        )
    )


def _probe() -> ConfigDict:
    """The ensemble of trained probes."""
    return ConfigDict(
        dict(
            # linear, mlp, conv; for sprites also matched, and matched_statistics for chains against noised data.
            net="matched",
            hidden=(128, 128),  # widths of mlp, channels of conv
            num_templates=48,  # of matched and matched_statistics
            window=15,  # side of a template, pixels
            num_examples=1_024,  # clean labelled training images for each seed, from which these two start
            members="trunk",  # "trunk": a net a timestep for all features; "separate": a net for each
            targets="values",  # "values": regresses features with values; "classes": classifies all of them
            num_seeds=1,  # each with its own batches, and its own examples where there are enough
            batch_size=64,
            num_updates=100,  # at most
            updates_per_round=50,  # between two evaluations of the validation loss
            # Of Adam, falling to 0 by a cosine. `matched` starts near its optimum, and a higher rate leads away from
            # it; for other nets 3e-3.
            learning_rate=3e-4,
            patience=3,  # rounds without improvement after which a member stops
            num_validation=512,  # examples
            num_test=6_144,
            warm_start=True,  # train one timestep first, and start the others from its parameters
            warm_updates=100,
            shortfall=0.05,  # a probe is flagged where its gap to the exact accuracy or R² is larger
            memory_gib=4.0,  # on each device, for the timesteps that train at once
            at_once=100,  # timesteps at most that train at once; a kill loses these
            seed=0,
        )
    )
