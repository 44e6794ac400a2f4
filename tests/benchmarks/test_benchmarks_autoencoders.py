"""The benchmark of ensembles of autoencoders: its record, its sentences, and that PyTorch's VAE is ours."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.base.pytrees import num_parameters
from vdm_jax.benchmarks import autoencoders
from vdm_jax.benchmarks.autoencoders import main, members_of


@pytest.mark.slow
def test_the_record_and_its_ratios(tmp_path, capsys, monkeypatch):
    made = []
    make_step = autoencoders.make_step
    monkeypatch.setattr(autoencoders, "make_step", lambda *args: made.append(args) or make_step(*args))
    flags = ["--variant=vae-2-digits", "--members=2", "--ways=in_turn", "--rounds=2", "--seconds=0.05", "--no_peer"]
    assert main([*flags, f"--out={tmp_path}"]) == 0
    (path,) = tmp_path.glob("autoencoders-*.json")
    found = json.loads(path.read_text())
    ours, separate = found["in_turn"], found["separate"]
    assert ours["examples_per_second"] == pytest.approx(64 / ours["seconds_per_step"])
    low, high = found["ratio_of_steps"]["separate"]["range"]
    assert 0 < low <= found["ratio_of_steps"]["separate"]["median"] <= high
    assert set(found["ratio_of_trainings"]) == {"separate"} and "--no_peer" in found["torch"]["reason"]
    assert len(made) == 1 + 2  # one for the ensemble, one for each separate run
    assert separate["compile_seconds_per_member"] > 0 and "at_once" not in found
    of_steps = found["num_steps"] * ours["seconds_per_step"]
    assert ours["seconds_of_a_training"] == pytest.approx(of_steps + ours["compile_seconds_per_member"])
    assert "times as fast as separate runs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flag", "sentence"),
    [
        ("--members=0", "--members=0; expected at least 1"),
        ("--ways=vmap", "'vmap'"),
        ("--clock=gpu", "'gpu'"),
        ("--variant=gan", "'gan'"),
        ("--variant=conv", "--variant=conv has no network in PyTorch; expected vae-N, or add --no_peer"),
        ("--variant=kl", "a discriminator is trained as well"),
    ],
)
def test_what_cannot_be_timed(flag, sentence, capsys):
    assert main([flag]) == 2
    assert sentence in capsys.readouterr().err


def test_the_same_vae_in_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch comes with the extra peers")
    from vdm_jax.benchmarks.autoencoder_peers import TorchVae

    experiment = members_of("vae-3-sparse", 1).first
    data, model = experiment.data, experiment.model
    params = model.init(jax.random.key(0))
    noise = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: leaf + 0.02 * noise.standard_normal(leaf.shape, np.float32), params)
    peer = TorchVae(params, data.pixel_values, data.shape)
    assert num_parameters(params) == sum(p.numel() for p in peer.parameters())
    levels = np.array(data.levels_of(jnp.asarray(data.train.stored[:3])))
    as_torch = torch.tensor(levels.transpose(0, 3, 1, 2))
    with torch.no_grad():
        moments = peer.encoder(peer.low + (peer.high - peer.low) * as_torch.float())
        logits = peer.decoder(moments[0]).permute(0, 2, 3, 1).numpy()
        rate = peer.rate(*moments).numpy()
    x = model.likelihood.to_x(jnp.asarray(levels))
    ours = model.backbone.encoder.apply(params["encoder"], x)
    for own, theirs in zip(ours, moments, strict=True):
        np.testing.assert_allclose(own, theirs.numpy(), atol=2e-5)
    np.testing.assert_allclose(model.backbone.decoder.apply(params["decoder"], ours[0]), logits, atol=2e-5)
    many = np.repeat(levels[:1], 512, axis=0)
    loss, metrics = jax.jit(model.loss_fn)(
        params, model.init_carry(jax.random.key(1)), {"levels": jnp.asarray(many)}, jax.random.key(2), 0
    )
    with torch.no_grad():
        theirs = peer(torch.tensor(many.transpose(0, 3, 1, 2))).numpy()
    np.testing.assert_allclose(metrics["rate"], rate[0], rtol=1e-4)
    error = np.hypot(np.std(loss), np.std(theirs)) / np.sqrt(len(many))
    np.testing.assert_allclose(np.mean(loss), np.mean(theirs), atol=4 * error)
    assert error < 0.02 * np.mean(theirs)


def test_pytorchs_training_learns(monkeypatch):
    torch = pytest.importorskip("torch", reason="PyTorch comes with the extra peers")
    from vdm_jax.benchmarks import autoencoder_peers

    members = members_of("vae-3-sparse", 1)
    data, models = members.first.data, []
    levels = np.array(data.levels_of(jnp.asarray(data.train.stored[:64])))
    make = autoencoder_peers.TorchVae
    monkeypatch.setattr(autoencoder_peers, "TorchVae", lambda *args: models.append(make(*args)) or models[-1])
    case = autoencoder_peers.PeerCase("vae-3-sparse", list(members.prepared()), levels, data.pixel_values)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        run = autoencoder_peers.make_train(case, "cpu", channels_last=True, compiled=False)

        def loss():
            with torch.no_grad():
                return models[0](torch.tensor(levels.transpose(0, 3, 1, 2))).mean().item()

        before = loss()
        run(30)
        assert loss() < 0.6 * before
