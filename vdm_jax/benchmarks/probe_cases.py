"""What the benchmark of probe ensembles trains: so many members of a net on the rendered sprites, and what it costs."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from vdm_jax.base.mesh import make_mesh
from vdm_jax.data.sprite_posterior import sprite_features, sprite_labels
from vdm_jax.data.sprites import load_sprites
from vdm_jax.probing.ensemble import Ensemble, Training
from vdm_jax.probing.example_sources import make_forward_source
from vdm_jax.probing.heads import make_heads, make_members
from vdm_jax.probing.nets import make_net

FEATURES = ("shape", "scale", "x", "y")  # a net each: 1,000 members are 250 timesteps
GRID = "small"
HIDDEN = {"linear": (), "mlp": (128, 128), "conv": (32, 64), "matched": ()}  # widths, channels; also which nets
NUM_TEMPLATES, WINDOW = 48, 15
LEARNING_RATE, CLIP = 1e-3, 1.0
UPDATES_A_ROUND = 20  # of the ensemble, between two validations of a batch, as a training does


class ProbeCase(NamedTuple):
    """So many members of a net; as many timesteps as that takes."""

    net: str
    num_members: int
    batch_size: int

    @property
    def name(self) -> str:
        return f"{self.net}-{self.num_members}-members-batch{self.batch_size}"

    @property
    def features(self) -> tuple[str, ...]:
        return FEATURES[: min(self.num_members, len(FEATURES))]

    @property
    def num_timesteps(self) -> int:
        return self.num_members // len(self.features)


def make_ensemble(case: ProbeCase, batching: str) -> Ensemble:
    """The library's own, on the rendered sprites."""
    grid = load_sprites(GRID)
    heads = make_heads({name: sprite_features(grid)[name] for name in case.features}, "values")
    members = make_members(heads, "separate", (0,))
    source = make_forward_source(
        lambda index, key: grid.render(index), partial(sprite_labels, grid), grid.splits()["train"]
    )
    net = make_net(
        case.net, (grid.side, grid.side, 1), members.num_outputs,
        hidden=HIDDEN[case.net], num_templates=NUM_TEMPLATES, window=WINDOW,
    )  # fmt: skip
    training = Training(case.batch_size, 10**6, UPDATES_A_ROUND, LEARNING_RATE, 10**6, case.batch_size, CLIP)
    examples = grid.render(jnp.arange(0, len(grid), 16))
    return Ensemble(net, members, source, source, training, examples, make_mesh(1), batching)


def conditions_of(num_timesteps: int) -> dict[str, jax.Array]:
    """Noise from log SNR 6 to -6."""
    return {"gamma": jnp.linspace(-6.0, 6.0, num_timesteps)}


def make_params(case: ProbeCase):
    """Shapes of one member's parameters."""
    ensemble = make_ensemble(case, "vmap")
    return jax.eval_shape(ensemble.net.init, jax.random.key(0), ensemble.examples)


def arithmetic(case: ProbeCase, num_params: int) -> dict[str, float]:
    """What an update of one member costs at least: products forward and for the gradients, and parameters, gradient and
    both moments of Adam read and written once."""
    side, outputs = load_sprites(GRID).side, max(make_ensemble(case, "vmap").members.num_outputs, 1)
    if case.net == "matched":
        places = (side - WINDOW + 1) ** 2
        products = 2 * 2 * NUM_TEMPLATES * WINDOW**2 * places  # the input needs no gradient
    else:
        sizes = layer_products(case.net, side, outputs)
        products = 6 * sum(sizes) - 2 * sizes[0]
    return {"flops": float(case.batch_size * products), "bytes": 4.0 * 8 * num_params}


def layer_products(net: str, side: int, outputs: int) -> list[int]:
    """Multiplications an image in each layer of a dense or convolutional net."""
    if net != "conv":
        widths = [side**2, *HIDDEN[net], outputs]
        return [a * b for a, b in zip(widths, widths[1:], strict=False)]
    sizes, into = [], 1
    for out in HIDDEN[net]:
        side = (side + 1) // 2
        sizes.append(side**2 * 16 * into * out)
        into = out
    return [*sizes, side**2 * into * outputs]
