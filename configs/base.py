"""Every setting of a VAE-VDM run with its default: the source blog's, on MNIST. Other files are deltas on this one."""

from ml_collections import ConfigDict, config_dict


def get_config(variant: str = "") -> ConfigDict:
    """The base configuration; it has no variants."""
    if variant:
        raise ValueError(f"variant={variant!r}; configs/base.py has no variants")
    config = ConfigDict()
    config.kind = "vae_vdm"
    config.name = "base"
    config.data = _data()
    config.model = _model()
    config.diffusion = _diffusion()
    config.rate = _rate()
    config.train = _train()
    config.evaluate = _evaluate()
    config.sample = _sample()
    return config.lock()


def space_settings(train: str = "") -> ConfigDict:
    """The section `space` of the kinds that may live in the space of an autoencoder. train: the default of `train`."""
    return ConfigDict(
        dict(
            workdir="",  # a run of configs/autoencoder.py with its encodings, or a folder of a first stage of diffusers
            # Where workdir is empty: the variant of configs/autoencoder.py that is trained first. Empty: pixels.
            train=train,
            # Of latents u, x = factor u: none (as they are), global (mean variance 1), component (each has variance 1).
            scale="none",
            sampled=True,  # u ~ q(u | x), drawn anew each time, where the code has noise; False: the mean of q(u | x)
        )
    )


def _data() -> ConfigDict:
    return ConfigDict(
        dict(
            # "digits" (always there), "npz" (NAME.npz in a folder), "folder" (PNG, JPEG and WebP files), "tfds" (a
            # prepared TFDS build).
            source="npz",
            name="mnist",  # of tfds also with a config and a version: "cifar10:3.0.2", "emnist/balanced"
            # Folder of the file, of the images or of the builds; empty: the environment variable VDM_DATA_DIR for npz,
            # its folder NAME for folder, TFDS_DATA_DIR for tfds, and where that is unset ~/tensorflow_datasets.
            dir="",
            layout="",  # of npz: "NHWC", "NCHW"; empty: NHWC, and shapes that look like NCHW are refused
            # Of folder, and of tfds, whose images are cropped to the square in the middle: the side that images are
            # resized to; none: their own.
            size=config_dict.placeholder(int),
            crop="center",  # of folder: "center", the largest square in the middle; "none", the whole image, squeezed
            channels=config_dict.placeholder(int),  # of folder: 1, 3; none: 1 where all files are grey, else 3
            # Of folder without a test folder, taken from all images, stratified; none: a tenth, 10 to 10,000.
            test_size=config_dict.placeholder(int),
            # Taken from train, stratified, where there is no validation split; none: a tenth, at most 5,000.
            validation_size=config_dict.placeholder(int),
            num_levels=config_dict.placeholder(int),  # none: what the file states, or 256 for uint8
            max_gib=config_dict.placeholder(float),  # of tfds and folder: read up to so many GiB of images; none: 8
            # Of tfds: the feature that is the class, a whole number or a truth value, such as "attributes/Male";
            # empty: the feature `label`, where it is there.
            label="",
            # Classes that are put together, as NAME=CLASS,CLASS+NAME=CLASS by their names or numbers, such as
            # "animal=2,3,4,5,6,7+vehicle=0,1,8,9"; images of other classes are left out. Empty: the classes themselves.
            groups="",
            downsample=1,  # 2 averages 2x2 pixels and rounds to a level
            split="holdout",  # of sprites also "population": train, validation and test are all images of the grid
        )
    )


def _model() -> ConfigDict:
    unet = dict(
        network="vdm",  # VDM's U-Net; or "multiscale", DDPM's, with the sizes of configs/ddpm.py
        size="m",  # original, s, t, m, digits
        channels=config_dict.placeholder(int),  # none: the size's own; so the next four
        num_blocks=config_dict.placeholder(int),
        multipliers=config_dict.placeholder(tuple),  # of multiscale: of channels, one for each level
        attention=config_dict.placeholder(tuple),  # of multiscale: sides of images at which there is attention
        patch=config_dict.placeholder(int),  # of multiscale: side of the patches that are a place of the first level
        conditioning="concat",  # "adagn": adaptive group norm
        zero_init=False,  # True: the blog's; the encoder then starts without gradient
        fourier_min=0,  # Fourier features 2^n pi z for n in min … max; none where max < min
        fourier_max=-1,
        num_heads=1,
    )
    return ConfigDict(
        dict(
            unet=unet,
            # oe++, oe, se, te, digits, patches; "none": unconditional; "control": w ~ N(0, I), whatever the image
            encoder="te",
            deterministic=False,  # of loss=conditional_score: w = mu, without noise (DRL); with rate.mode=none
            encoder_time=False,  # of loss=conditional_score: E(x, t), a code for each time
            labels=False,  # of loss=conditional_score: the network reads the label beside the code
            label_dropout=0.1,  # of labels: the share of examples whose label is hidden in training
            w_dim=config_dict.placeholder(int),  # none: the encoder size's own
            equal_capacity=False,  # with encoder="none": the conditional U-Net, its code held at zero
            encoder_dropout=0.1,
            dropout=0.1,
            dtype="float32",  # of the computation; parameters and losses stay float32
        )
    )


SHORT_TRAINING = {  # of denoisers in some thousands of steps
    "train.learning_rate": 1e-3,
    "train.learning_rate_schedule": "cosine",
    "train.warmup_steps": 100,
    "train.weight_decay": 0.0,
    "train.ema_decay": 0.995,
    "train.log_every": 50,
}
NOISE_TABLES = {  # for variants of files whose noise is a table of 1 … T
    "linear": {"diffusion.schedule": "ddpm_linear"},
    "cosine": {"diffusion.schedule": "cosine"},
    "dirac": {"diffusion.schedule": "dirac"},
}


def paired(first: dict[str, dict], second: dict[str, dict]) -> dict[str, dict]:
    """Variants "FIRST-SECOND": the settings of both, those of the second over those of the first."""
    return {f"{a}-{b}": of_a | of_b for a, of_a in first.items() for b, of_b in second.items()}


def table_settings() -> dict:
    """What tables of noise take; none: each table's own value."""
    return dict(
        beta=config_dict.placeholder(float),  # of constant
        beta_1=config_dict.placeholder(float),  # of ddpm_linear
        beta_T=config_dict.placeholder(float),
        s=config_dict.placeholder(float),  # of cosine
        t1=config_dict.placeholder(float),  # of dirac
        t2=config_dict.placeholder(float),
        total=config_dict.placeholder(float),
    )


def _diffusion() -> ConfigDict:
    return ConfigDict(
        dict(
            schedule="linear",  # any of SCHEDULES in vdm_jax/diffusion/schedules.py, or learned: "monotone", "scalar"
            gamma_min=-13.3,  # of linear, monotone, scalar
            gamma_max=5.0,
            **table_settings(),
            num_steps=config_dict.placeholder(
                int
            ),  # T of a table and of the bound; none: the table's own, or T = infinity
            target="eps",  # what the network predicts: eps, x, v; of pixels of ±1 also log_odds
            weighting="bound",  # bound, simple, uniform, p2, min_snr; the bound is always reported
            # What is trained: bound, D + R; conditional_score, the weighted error of the score (DRL, VDRL)
            loss="bound",
            band_low=config_dict.placeholder(float),  # of conditional_score: log SNR below this is not trained
            band_high=config_dict.placeholder(float),  # of conditional_score: nor from this on; none: no limit
        )
    )


def _rate() -> ConfigDict:
    return ConfigDict(
        dict(
            mode="fixed",  # fixed, warmup, cyclical, free_bits, target, mmd, w_dropout, high_noise, none
            beta=1.0,  # of fixed, warmup, cyclical, w_dropout, high_noise; 1e4 is what the blog's code had
            warmup_steps=1_000,  # of warmup
            cycle_steps=1_000,  # of cyclical
            free_bits_nats=0.5,  # of free_bits, for each dimension of w
            target_nats=10.0,  # of target
            mmd_weight=1_000.0,  # of mmd
            mmd_beta=0.0,  # of mmd: the weight of R
            w_dropout=0.2,  # of w_dropout: the share of examples whose w is hidden from the decoder
            high_noise_weight=3.0,  # of high_noise: the weight of the diffusion loss where
            high_noise_logsnr=0.0,  # log SNR is below this
            prior="normal",  # p(w): N(0, I), or "diffusion", a diffusion model of the code learned with the rest
            prior_width=128,  # of its network
            prior_blocks=3,
            prior_steps=100,  # of a draw from it
        )
    )


def _train() -> ConfigDict:
    return ConfigDict(
        dict(
            num_steps=100_000,
            batch_size=64,
            learning_rate=2e-4,
            learning_rate_schedule="constant",
            warmup_steps=0,
            b1=0.9,
            b2=0.99,
            weight_decay=0.01,
            decay="all",  # what weight decay applies to: all, all_but_biases; never to a learned gamma
            clip=1.0,  # global norm of the gradients, at most; 0: not clipped
            ema_decay=0.9999,
            ema_warmup=True,  # averages of the first updates forget the random start; False: one decay from the start
            accumulate=1,  # micro-batches per update
            steps_per_call=1,  # updates per compiled call: 1 on CPU, tens on an accelerator
            log_every=100,
            eval_every=2_000,
            checkpoint_every=2_000,
            keep_latest=2,
            keep_best=1,
            eval_images=1_000,  # validation images per evaluation; 0: all
            eval_passes=1,
            max_skipped_in_a_row=20,  # non-finite updates in a row that end the run
            writers="jsonl",  # with tensorboard, wandb or both, rows also go there; metrics.jsonl is always written
            seed=0,
        )
    )


def _evaluate() -> ConfigDict:
    return ConfigDict(
        dict(
            checkpoint="best",  # best, latest, or a step
            weights="ema",  # ema, raw
            num_images=0,  # the first so many test images; 0: all
            passes=4,  # noise passes over them
            batch_size=250,
            curve_points=24,  # log SNR grid of the bound's integrand
            curve_images=1_000,
            curve_passes=2,
            frechet_images=2_000,  # generated from the prior, and from the aggregate posterior; 0: none
            inception="",  # npz file of InceptionV3 weights (configs/README.md, FID); empty: no FID
            fid_reference_images=0,  # training images as the reference of the FID; 0: all
            probe_images=10_000,  # training images that the probes are fitted on
            code_time=0.5,  # of encoder_time: the t whose code E(x, t) is read
            seed=0,
        )
    )


def _sample() -> ConfigDict:
    return ConfigDict(
        dict(
            sampler="ancestral",  # ancestral, ancestral_beta, ddim, dpmpp_2m; further ones as in configs/score.py
            num_steps=250,
            grid="time",  # steps uniform in "time" or in "logsnr"
            num_images=64,  # generated for samples/prior.npz; the other sets hold at most a page of images
            png_folder=False,  # True: each of them also as samples/prior/000000.png, …
            clip=True,  # x_hat to the range of pixel values
            guidance=0.0,  # of labels: g of classifier-free guidance; 0: none
            guided_sources=8,
            guided_per_source=8,
            batch_size=250,
            seed=0,
        )
    )
