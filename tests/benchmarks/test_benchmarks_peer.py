"""The networks in PyTorch say what ours say: what is timed side by side is the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch, the extra `peers`, is not installed")

from vdm_jax.base.pytrees import num_parameters  # noqa: E402
from vdm_jax.benchmarks import peer_steps  # noqa: E402
from vdm_jax.benchmarks.networks import ModelCase, make_model, random_images  # noqa: E402
from vdm_jax.benchmarks.peer_networks import copy_params  # noqa: E402
from vdm_jax.diffusion.samplers import StepInputs, ancestral  # noqa: E402

CASE = ModelCase("m", "te", 8, 3, "float32")


def test_the_same_weights_give_the_same_answers():
    model, peer = make_model(CASE), peer_steps.Vae(CASE).eval()
    params = model.init(jax.random.key(0))
    for name, part in params.items():
        copy_params(part, getattr(peer, name))
        assert num_parameters(part) == sum(p.numel() for p in getattr(peer, name).parameters())
    z = np.random.default_rng(0).normal(size=(3, 8, 8, 1)).astype(np.float32)
    t, w = np.float32([0.0, 0.4, 1.0]), np.random.default_rng(1).normal(size=(3, 128)).astype(np.float32)
    as_torch = torch.tensor(z.transpose(0, 3, 1, 2))
    with torch.no_grad():
        eps_hat = peer.unet(as_torch, torch.tensor(t), torch.tensor(w)).numpy().transpose(0, 2, 3, 1)
        moments = [part.numpy() for part in peer.encoder(as_torch)]
    np.testing.assert_allclose(model.network.apply(params["unet"], *map(jnp.asarray, (z, t, w))), eps_hat, atol=2e-5)
    for ours, theirs in zip(model.encode(params, jnp.asarray(z)), moments, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5)


def test_the_same_bound_in_the_mean():
    """Of one image many times: their noise differs."""
    model, peer = make_model(CASE), peer_steps.Vae(CASE).eval()
    params = model.init(jax.random.key(0))
    for name, part in params.items():
        copy_params(part, getattr(peer, name))
    levels = np.repeat(random_images(CASE)[:1], 512, axis=0)
    ours = jax.jit(model.loss_fn)(params, {}, {"levels": jnp.asarray(levels)}, jax.random.key(0), 0)[0]
    with torch.no_grad():
        theirs = peer(torch.tensor(levels.transpose(0, 3, 1, 2).astype(np.int64))).numpy()
    error = np.hypot(np.std(ours), np.std(theirs)) / np.sqrt(512)
    np.testing.assert_allclose(np.mean(ours), np.mean(theirs), atol=4 * error)
    assert error < 0.05 * np.mean(ours)


def test_the_same_ancestral_step_but_for_its_noise():
    model = make_model(CASE)
    z, eps_hat = np.random.default_rng(0).normal(size=(2, 20_000, 1, 1, 1)).astype(np.float32)
    t, s = 0.6, 0.5
    gamma_t, gamma_s = (model.fixed_schedule.gamma(jnp.float32(time)) for time in (t, s))
    alpha, sigma = np.sqrt(1 / (1 + np.exp(gamma_t))), np.sqrt(1 / (1 + np.exp(-gamma_t)))
    x_hat = np.clip((z - sigma * eps_hat) / alpha, -1, 1)
    ours = ancestral(
        jax.random.key(0), StepInputs(jnp.asarray(z), jnp.asarray(x_hat), jnp.asarray(x_hat), gamma_s, gamma_t, gamma_t)
    )
    theirs = peer_steps.ancestral_step(torch.tensor(z), torch.tensor(eps_hat), torch.tensor(t), torch.tensor(s)).numpy()
    for moment in (np.mean, np.std):
        np.testing.assert_allclose(moment(ours), moment(theirs), atol=0.01)
    np.testing.assert_allclose(np.mean(ours * x_hat), np.mean(theirs * x_hat), atol=0.01)


def test_the_peers_training_lowers_the_bound(monkeypatch):
    """On one image over and over, judged by the same draws before and after: what is timed learns."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, levels = peer_steps.make_peer(CASE, "cpu", channels_last=True)
        levels = levels[:1].repeat(CASE.batch_size, 1, 1, 1)
        monkeypatch.setattr(peer_steps, "make_peer", lambda *_, **__: (model, levels))
        before = [p.detach().clone() for p in model.parameters()]

        @torch.no_grad()
        def losses():
            model.eval()
            torch.manual_seed(1)
            found = np.array([model(levels).mean().item() for _ in range(100)])
            model.train()
            return found

        first = losses()
        peer_steps.make_train(CASE, "cpu", channels_last=True, compiled=False)(100)
        fall = first - losses()
    assert all(not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
    assert fall.mean() > 5 * fall.std() / 10 and fall.mean() > 0.05 * first.mean()


def test_the_peers_sampling_asks_the_network_at_every_step(monkeypatch):
    """Once a step, at times that fall from 1, and with a state that stays finite."""
    model, levels = peer_steps.make_peer(CASE, "cpu", channels_last=True)
    asked = []

    def unet(z, t, w):
        asked.append((tuple(z.shape), t.tolist(), bool(torch.isfinite(z).all())))
        return forward(z, t, w)

    forward, model.unet.forward = model.unet.forward, unet
    monkeypatch.setattr(peer_steps, "make_peer", lambda *_, **__: (model, levels))
    peer_steps.make_sample(CASE, "cpu", channels_last=True, compiled=False, num_steps=4)(2)
    of_a_chain = [((CASE.batch_size, 1, 8, 8), [t] * CASE.batch_size, True) for t in (1.0, 0.75, 0.5, 0.25)]
    assert asked == 2 * of_a_chain
