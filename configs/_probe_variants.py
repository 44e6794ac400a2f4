"""The variants of configs/probes.py, by data and by space. It is no config file."""

from vdm_jax.configs.base import NOISE_TABLES, paired

GRIDS = {
    "small": {"data.name": "small"},
    "sparse": {"data.name": "sparse"},
    "distinct": {
        "data.name": "distinct",
        "exact.batch_size": 96,
        "chains.every": 2,
        "chains.batch_size": 20,
        "chains.num_queries": 200,
        "chain_probes.every": 2,
        "chain_probes.num_chains": 2_000,
        "chain_probes.real_or_generated_updates": 200,
        "probe.window": 31,
        "probe.num_templates": 72,  # as many as are different
        "probe.num_updates": 20,
        "probe.updates_per_round": 10,
        "probe.warm_updates": 50,
        "probe.num_validation": 256,
        "probe.num_test": 2_048,
    },
    "full": {
        "data.name": "full",
        "exact.batch_size": 72,
        "exact.num_timesteps": 51,
        "exact.max_queries": 20_000,
        "exact.tolerance": 0.0035,
        "chains.every": 5,
        "chains.num_steps": 10,
        "chains.batch_size": 10,
        "chains.num_queries": 100,
        "chain_probes.every": 5,
        "chain_probes.num_chains": 1_000,
        "chain_probes.real_or_generated_updates": 100,
        "probe.window": 31,
        "probe.num_templates": 660,  # as many as are different
        "probe.num_examples": 8_192,
        "probe.num_updates": 6,
        "probe.updates_per_round": 3,
        "probe.warm_updates": 12,
        "probe.num_validation": 192,
        "probe.num_test": 768,
        "probe.at_once": 4,
    },
}
# Labelled images, whose feature is the class; nets that match templates are for sprites alone.
IMAGES = {
    "probe.net": "conv",
    "probe.hidden": (32, 64),
    "probe.learning_rate": 3e-3,
    "probe.num_updates": 400,
    "probe.warm_updates": 800,
    "chains.samplers": "exact,ancestral:50",
    "chain_probes.real_or_generated_net": "conv",
    "chain_probes.real_or_generated_hidden": (32, 64),
    "chain_probes.real_or_generated_learning_rate": 3e-3,
}
LABELLED = {
    # 1,297 training images of 8x8: a minute on one core with all jobs.
    "digits": IMAGES
    | {
        "data.source": "digits",
        "data.name": "digits",
        "exact.num_timesteps": 11,
        "exact.max_queries": 4_000,
        "probe.num_updates": 200,
        "probe.warm_updates": 400,
        "probe.num_test": 2_048,
        "chains.num_queries": 200,
    },
    # Any npz file, or a TFDS build: --config.data.name=NAME, and for the latter --config.data.source=tfds.
    "images": IMAGES
    | {
        "data.source": "npz",
        "data.name": "",
        "exact.max_queries": 4_000,
        "chains.every": 2,
        "chains.batch_size": 50,
        "chains.num_queries": 200,
        "probe.num_test": 2_048,
    },
}
# Animal or vehicle: CIFAR-10's ten classes as one attribute of two values. By another file, --config.data.source=npz
# --config.data.name=NAME.
LABELLED["cifar"] = LABELLED["images"] | {
    "data.source": "tfds",
    "data.name": "cifar10",
    "data.groups": "animal=2,3,4,5,6,7+vehicle=0,1,8,9",
}
# Sprites of 32x32 in the space of an autoencoder: that of --config.space.workdir, else one that is trained first. Nets
# that match templates are for pixels alone.
LATENTS = {
    "data.name": "small",
    "space.train": "quick",
    "chains.readers": "exact,sprite",
    "probe.net": "mlp",
    "probe.hidden": (256, 256, 256),
    "probe.learning_rate": 3e-3,
    "probe.batch_size": 128,
    "probe.num_updates": 6_000,
    "probe.updates_per_round": 1_000,
    "probe.warm_updates": 6_000,
    "probe.num_validation": 2_048,
    "probe.shortfall": 0.02,
    "chain_probes.real_or_generated_net": "mlp",
    "chain_probes.real_or_generated_learning_rate": 3e-3,
}
SPACES = {
    "vectors": LATENTS,
    "maps": LATENTS  # latents with height, width and channels
    | {
        "space.train": "conv-small",
        "probe.net": "conv",
        "probe.hidden": (64, 128),
        "chain_probes.real_or_generated_net": "conv",
        "chain_probes.real_or_generated_hidden": (32, 64),
    },
}
QUICK_LATENTS = LATENTS | {
    "exact.num_timesteps": 11,
    "exact.max_queries": 4_000,
    "chains.num_queries": 200,
    "probe.num_updates": 1_500,
    "probe.updates_per_round": 500,
    "probe.warm_updates": 1_500,
    "probe.num_test": 2_048,
    "probe.shortfall": 0.05,
}
# Photographs in the space of a VQ-VAE that is trained first, by a variant of configs/autoencoder.py.
PHOTOGRAPHS = {
    "cifar-vq": LABELLED["cifar"] | {"space.train": "vq-cifar"},
    "celeba-vq": LABELLED["images"]  # not tested on the published files
    | {
        "data.source": "tfds",
        "data.name": "celeb_a",
        "data.size": 64,
        "data.label": "attributes/Male",
        "space.train": "vq-celeba",
    },
}
VARIANTS = (
    {"quick": {}, "latents": QUICK_LATENTS} | LABELLED | PHOTOGRAPHS | paired(GRIDS | LABELLED | SPACES, NOISE_TABLES)
)
