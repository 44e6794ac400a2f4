"""The benchmark of probe ensembles: its record, its sentences, and that PyTorch's nets are ours."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.benchmarks.probe_cases import HIDDEN, ProbeCase, arithmetic, conditions_of, make_ensemble, make_params
from vdm_jax.benchmarks.probe_ensemble import main
from vdm_jax.data.sprites import load_sprites
from vdm_jax.probing.chunks import bytes_of_timestep
from vdm_jax.probing.ensemble import timestep_keys


@pytest.mark.slow
def test_the_record_and_its_ratios(tmp_path, capsys):
    flags = [
        "--nets=linear",
        "--members=1,8",
        "--batch_size=4",
        "--rounds=2",
        "--seconds=0.02",
        "--no_peer",
        "--batching=map",
    ]
    assert main([*flags, f"--out={tmp_path}"]) == 0
    (path,) = tmp_path.glob("probe_ensemble-*.json")
    record = json.loads(path.read_text())
    assert set(record["cases"]) == {"linear-1-members-batch4", "linear-8-members-batch4"}
    found = record["cases"]["linear-8-members-batch4"]
    fastest = found[found["fastest"]]
    assert fastest["members_x_examples_per_second"] == pytest.approx(4 / fastest["seconds_per_step"])
    low, high = found["ratio_to_sequential"]["range"]
    assert 0 < low <= found["ratio_to_sequential"]["median"] <= high
    assert found["ratio_to_pytorch"] is None and "--no_peer" in found["torch"]["reason"]
    assert fastest["compile_seconds"] > 0 and "vmap" not in found
    assert "times as fast as one by one" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flag", "sentence"),
    [
        ("--members=7", "=7; expected 1, or a multiple of 4"),
        ("--members=0", "=0; expected 1"),
        ("--nets=unet", "unet"),
        ("--batching=loop", "'loop'"),
    ],
)
def test_what_is_no_case(flag, sentence, capsys):
    assert main([flag]) == 2
    assert sentence in capsys.readouterr().err


def test_work_of_an_update_by_hand():
    case = ProbeCase("mlp", 4, 10)
    assert make_ensemble(case, "vmap").members.num_outputs == 3
    layers = [1024 * 128, 128 * 128, 128 * 3]
    found = arithmetic(case, 7)
    assert found["flops"] == 10 * (4 * layers[0] + 6 * layers[1] + 6 * layers[2])
    assert found["bytes"] == 4 * 8 * 7
    assert sum(leaf.size for leaf in jax.tree.leaves(make_params(case))) == sum(layers) + 128 + 128 + 3
    layers = [16**2 * 16 * 32, 8**2 * 16 * 32 * 64, 8**2 * 64 * 3]
    found = arithmetic(case._replace(net="conv"), 7)
    assert found["flops"] == 10 * (4 * layers[0] + 6 * layers[1] + 6 * layers[2])


@pytest.mark.parametrize("net", HIDDEN)
@pytest.mark.parametrize("categorical", [True, False])
def test_the_same_net_in_pytorch(net, categorical, key):
    torch = pytest.importorskip("torch", reason="PyTorch comes with the extra peers")
    from vdm_jax.benchmarks.probe_peers import make_probe

    case = ProbeCase(net, 4, 3)
    ensemble = make_ensemble(case, "vmap")
    params = ensemble.net.init(key, ensemble.examples)
    params = jax.tree.map(lambda leaf: leaf + 0.1 * np.random.default_rng(0).standard_normal(leaf.shape), params)
    peer = make_probe(case, 3, categorical)
    state = {}
    if net == "matched":
        state["templates"] = jnp.moveaxis(params["templates"], -1, 1)
        state |= {f"{group}.{name}": leaf for group in ("bias", "readout") for name, leaf in params[group].items()}
        state |= {name: params[name] for name in ("level", "output_bias")}
    else:
        for i, layer in enumerate(params[:-1] if net == "conv" else ()):
            windows = layer["weights"].reshape(4, 4, -1, layer["weights"].shape[1])
            state |= {
                f"convolutions.{i}.weight": windows.transpose(3, 2, 0, 1),
                f"convolutions.{i}.bias": layer["bias"][0],
            }
        if net == "conv":
            state |= {"readout.weight": params[-1]["weights"].T, "readout.bias": params[-1]["bias"][0]}
        for i, layer in enumerate(() if net == "conv" else params):
            state |= {f"layers.{i}.weight": layer["weights"].T, f"layers.{i}.bias": layer["bias"][0]}
    peer.load_state_dict({name: torch.tensor(np.asarray(leaf)) for name, leaf in state.items()})
    side = load_sprites("small").side
    z = np.random.default_rng(1).standard_normal((3, side, side, 1)).astype(np.float32)
    ours = ensemble.net.apply(params, jnp.asarray(z), jnp.float32(1.5), jnp.full(3, categorical))
    theirs = peer(torch.tensor(z).permute(0, 3, 1, 2), torch.tensor(1.5)).detach().numpy()
    np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("net", "batching"),
    [
        ("matched", "map"),
        ("mlp", "map"),
        ("mlp", "vmap"),
        ("matched", "map_members"),
        ("mlp", "map_members"),
        ("conv", "map_members"),
    ],
)
def test_a_chunk_is_counted_as_what_xla_allots_or_more(net, batching):
    case = ProbeCase(net, 16, 16)
    ensemble, conditions = make_ensemble(case, batching), conditions_of(case.num_timesteps)
    keys = timestep_keys(jax.random.key(0), np.arange(case.num_timesteps))
    state = jax.eval_shape(lambda keys, own: ensemble.start(ensemble.init(keys), keys, own), keys, conditions)
    compiled = ensemble.round.lower(state, keys, conditions, jnp.zeros(case.num_timesteps, jnp.int32)).compile()
    found = compiled.memory_analysis()
    allotted = found.argument_size_in_bytes + found.output_size_in_bytes + found.temp_size_in_bytes
    allotted -= found.alias_size_in_bytes
    of_one, once = bytes_of_timestep(ensemble, {"gamma": conditions["gamma"][0]})
    counted = case.num_timesteps * of_one + once * (case.num_timesteps if batching == "vmap" else 1)
    assert allotted <= counted < 3 * allotted
