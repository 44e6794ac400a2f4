"""Names for runs that differ in a few settings."""

from vdm_jax.base.names import describe, short_names


def test_the_shortest_ending_that_no_other_key_shares():
    keys = ["train.seed", "evaluate.seed", "rate.beta", "diffusion.beta", "model.unet.size", "name"]
    assert short_names(keys) == {
        "train.seed": "train.seed", "evaluate.seed": "evaluate.seed", "rate.beta": "rate.beta",
        "diffusion.beta": "diffusion.beta", "model.unet.size": "size", "name": "name",
    }  # fmt: skip
    assert short_names(["train.seed", "rate.mode"]) == {"train.seed": "seed", "rate.mode": "mode"}
    assert short_names(["a.b.x", "c.b.x", "c.x"]) == {"a.b.x": "a.b.x", "c.b.x": "c.b.x", "c.x": "c.x"}
    assert short_names(["x", "b.x", "b.x"]) == {"x": "x", "b.x": "b.x"}


def test_values_in_a_name():
    settings = {"rate.beta": 1e4, "train.learning_rate": 1e-3, "train.seed": 3, "zero": True, "mode": "free_bits"}
    short = short_names(settings)
    assert describe(settings, short) == "beta=10000,learning_rate=0.001,seed=3,zero=True,mode=free_bits"
    assert describe({"x": 0.12345678}, {"x": "x"}) == "x=0.12345678"
