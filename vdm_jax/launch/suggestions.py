"""Which setting or flag a mistyped one stands for: words of other libraries, abbreviations, former names, spelling."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from vdm_jax.base.errors import nearest

# Words that other libraries use, and the last name of the setting here.
SYNONYMS = {
    "learning_rate": "lr step_size base_lr max_lr",
    "batch_size": "bs batch minibatch mini_batch_size",
    "num_steps": "steps epoch epochs n_epochs iterations iters n_iters max_steps max_iters updates T timesteps",
    "weight_decay": "wd l2 decay",
    "ema_decay": "ema ema_rate ema_momentum",
    "b1": "beta1 beta_1 adam_beta1",
    "b2": "beta2 beta_2 adam_beta2",
    "clip": "grad_clip gradient_clip clip_norm max_norm max_grad_norm",
    "accumulate": "grad_accum gradient_accumulation accumulation_steps",
    "warmup_steps": "warmup warm_up",
    "learning_rate_schedule": "lr_schedule lr_scheduler scheduler",
    "seed": "random_seed rng_seed",
    "dtype": "precision half fp16 bf16",
    "w_dim": "latent_dim z_dim code_dim latent_size",
    "num_blocks": "depth num_layers num_res_blocks",
    "channels": "width base_channels model_channels ch",
    "multipliers": "ch_mult channel_mult dim_mults",
    "schedule": "noise_schedule beta_schedule",
    "target": "parametrization parameterization prediction_type pred_type objective",
    "num_images": "n_samples num_samples samples",
    "dir": "path root folder data_dir",
    "name": "dataset data",
}
MEANT = {word: name for name, words in SYNONYMS.items() for word in words.split()}
FLAGS = {
    "workdir": "out outdir output output_dir logdir log_dir dir folder save_dir exp_dir",
    "jobs": "job task tasks mode",
    "dry_run": "dryrun dry check",
    "config": "cfg conf config_file config_path",
    "stop_after": "timeout time_limit max_seconds max_time",
}
MEANT_FLAG = {word: name for name, words in FLAGS.items() for word in words.split()}


def nearest_setting(key: str, names: Sequence[str], renamed: Mapping[str, Any]) -> str:
    """The setting of `names` that `key`, dotted or not, most likely stands for; "" where none is similar.

    renamed: former names with those of today, as of `Kind.renamed`. In the section that was typed if there is one.
    """
    section, _, last = key.rpartition(".")
    former = {old: new for old, new in renamed.items() if isinstance(new, str) and new in names}
    if key in former:
        return former[key]
    if found := [new for old, new in former.items() if not section and last_of(old) == last]:
        return found[0]
    own = [name for name in names if name.startswith(f"{section}.")] if section in names else []
    for pool in (own, names):
        lasts = {last_of(name) for name in pool}
        same = [word for word in (last, MEANT.get(last, MEANT.get(last.lower()))) if word in lasts]
        if near := same[0] if same else nearest(last, sorted(lasts), cutoff=0.7):
            alike = [name for name in pool if last_of(name) == near]
            return difflib.get_close_matches(key, alike, n=1, cutoff=0.0)[0]
    return nearest(key, names)


def nearest_flag(flag: str, flags: Sequence[str], names: Sequence[str], renamed: Mapping[str, Any]) -> str:
    """The flag, or the setting as it is typed ("config.train.num_steps"), that a mistyped flag stands for; or ""."""
    word = flag.lower().replace("-", "_")
    if near := MEANT_FLAG.get(word) or nearest(word, flags, cutoff=0.7):
        return near
    if near := nearest(flag, [f"config.{name}" for name in names], cutoff=0.8):
        return near
    near = nearest_setting(flag.removeprefix("config."), names, renamed)
    return f"config.{near}" if near else nearest(flag, flags)


def last_of(name: str) -> str:
    """ "num_steps" of train.num_steps."""
    return name.rpartition(".")[2]
