"""pytorch-fid's InceptionV3 written a second time, apart from vdm_jax: functions over a backend's own operations.

Arrays are [B, C, H, W] and the weights a PyTorch state dict. `features` fills an empty one with random numbers as it
goes, so that names and shapes, too, are told by this file.
"""

import functools

import numpy as np

EPS = 1e-3


class NumpyOps:
    """float64, by windows."""

    asarray = staticmethod(functools.partial(np.asarray, dtype=np.float64))
    concatenate = staticmethod(functools.partial(np.concatenate, axis=1))

    @staticmethod
    def windows(x, size, stride, padding, fill):
        x = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2), constant_values=fill)
        return np.lib.stride_tricks.sliding_window_view(x, size, axis=(2, 3))[:, :, ::stride, ::stride]

    def conv(self, x, weight, stride, padding):
        windows = self.windows(x, weight.shape[2:], stride, padding, 0.0)
        return np.moveaxis(np.tensordot(windows, weight, axes=((1, 4, 5), (1, 2, 3))), -1, 1)

    @staticmethod
    def batch_norm(x, mean, var, weight, bias):
        mean, var, weight, bias = (v[:, None, None] for v in (mean, var, weight, bias))
        return (x - mean) / np.sqrt(var + EPS) * weight + bias

    @staticmethod
    def relu(x):
        return np.where(x > 0, x, 0.0)

    def max_pool(self, x, stride, padding):
        return self.windows(x, (3, 3), stride, (padding, padding), -np.inf).max((-2, -1))

    def average_pool(self, x):
        return np.nanmean(self.windows(x, (3, 3), 1, (1, 1), np.nan), axis=(-2, -1))

    @staticmethod
    def resize(x, side):
        for axis in (2, 3):
            size = x.shape[axis]
            at = np.clip((np.arange(side) + 0.5) * size / side - 0.5, 0, None)
            low = np.floor(at).astype(int)
            high, share = np.minimum(low + 1, size - 1), (at - low).reshape((-1,) + (1,) * (3 - axis))
            x = (1 - share) * x.take(low, axis) + share * x.take(high, axis)
        return x


class TorchOps:
    """float64 in PyTorch's own words."""

    def __init__(self):
        import torch

        self.torch, self.f = torch, torch.nn.functional
        self.concatenate = functools.partial(torch.cat, dim=1)
        self.relu = torch.relu

    def asarray(self, x):
        return self.torch.as_tensor(np.asarray(x, np.float64))

    def conv(self, x, weight, stride, padding):
        return self.f.conv2d(x, weight, stride=stride, padding=padding)

    def batch_norm(self, x, mean, var, weight, bias):
        return self.f.batch_norm(x, mean, var, weight, bias, training=False, eps=EPS)

    def max_pool(self, x, stride, padding):
        return self.f.max_pool2d(x, 3, stride, padding)

    def average_pool(self, x):
        return self.f.avg_pool2d(x, 3, 1, 1, count_include_pad=False)

    def resize(self, x, side):
        return self.f.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)


def draw(random, name, width, channels, kernel):
    """Weights and statistics under which signals neither grow nor fade."""
    spread = np.sqrt(2 / (channels * kernel[0] * kernel[1]))
    return {
        f"{name}.conv.weight": spread * random.standard_normal((width, channels, *kernel)),
        f"{name}.bn.weight": random.uniform(0.5, 1.5, width),
        f"{name}.bn.bias": 0.3 * random.standard_normal(width),
        f"{name}.bn.running_mean": 0.3 * random.standard_normal(width),
        f"{name}.bn.running_var": random.uniform(0.5, 1.5, width),
        f"{name}.bn.num_batches_tracked": np.array(7),
    }


def random_state(seed=0):
    """A state dict as the file of the FID has it: float32, the classifier after the network."""
    random = np.random.default_rng(seed)
    state = {}
    features(np.zeros((1, 3, 75, 75)), state, NumpyOps(), 75, random)
    state |= {"fc.weight": random.standard_normal((1008, 2048)), "fc.bias": random.standard_normal(1008)}
    return {name: np.asarray(v, np.int64 if v.dtype.kind == "i" else np.float32) for name, v in state.items()}


def features(images, state, ops, side=299, random=None):
    """Images [B, 3, H, W] in [0, 1] to [B, 2048]."""

    def layer(x, name, width, kernel=(1, 1), stride=1, same=True):
        if random is not None:
            state.update(draw(random, name, width, x.shape[1], kernel))
        weight, *norm = (
            ops.asarray(state[f"{name}.{kind}"])
            for kind in ("conv.weight", "bn.running_mean", "bn.running_var", "bn.weight", "bn.bias")
        )
        padding = (kernel[0] // 2, kernel[1] // 2) if same else (0, 0)
        return ops.relu(ops.batch_norm(ops.conv(x, weight, stride, padding), *norm))

    def a(x, at, pooled):
        five = layer(layer(x, f"{at}.branch5x5_1", 48), f"{at}.branch5x5_2", 64, (5, 5))
        three = layer(layer(x, f"{at}.branch3x3dbl_1", 64), f"{at}.branch3x3dbl_2", 96, (3, 3))
        three = layer(three, f"{at}.branch3x3dbl_3", 96, (3, 3))
        pool = layer(ops.average_pool(x), f"{at}.branch_pool", pooled)
        return ops.concatenate([layer(x, f"{at}.branch1x1", 64), five, three, pool])

    def b(x, at):
        three = layer(x, f"{at}.branch3x3", 384, (3, 3), 2, same=False)
        double = layer(layer(x, f"{at}.branch3x3dbl_1", 64), f"{at}.branch3x3dbl_2", 96, (3, 3))
        double = layer(double, f"{at}.branch3x3dbl_3", 96, (3, 3), 2, same=False)
        return ops.concatenate([three, double, ops.max_pool(x, 2, 0)])

    def c(x, at, narrow):
        seven, double = x, x
        for i, (kernel, width) in enumerate([((1, 1), narrow), ((1, 7), narrow), ((7, 1), 192)], start=1):
            seven = layer(seven, f"{at}.branch7x7_{i}", width, kernel)
        for i, kernel in enumerate([(1, 1), (7, 1), (1, 7), (7, 1), (1, 7)], start=1):
            double = layer(double, f"{at}.branch7x7dbl_{i}", 192 if i == 5 else narrow, kernel)
        pool = layer(ops.average_pool(x), f"{at}.branch_pool", 192)
        return ops.concatenate([layer(x, f"{at}.branch1x1", 192), seven, double, pool])

    def d(x, at):
        three = layer(layer(x, f"{at}.branch3x3_1", 192), f"{at}.branch3x3_2", 320, (3, 3), 2, same=False)
        seven = x
        for i, kernel in enumerate([(1, 1), (1, 7), (7, 1)], start=1):
            seven = layer(seven, f"{at}.branch7x7x3_{i}", 192, kernel)
        seven = layer(seven, f"{at}.branch7x7x3_4", 192, (3, 3), 2, same=False)
        return ops.concatenate([three, seven, ops.max_pool(x, 2, 0)])

    def e(x, at, pool):
        three = layer(x, f"{at}.branch3x3_1", 384)
        three = [layer(three, f"{at}.branch3x3_2{s}", 384, k) for s, k in (("a", (1, 3)), ("b", (3, 1)))]
        double = layer(layer(x, f"{at}.branch3x3dbl_1", 448), f"{at}.branch3x3dbl_2", 384, (3, 3))
        double = [layer(double, f"{at}.branch3x3dbl_3{s}", 384, k) for s, k in (("a", (1, 3)), ("b", (3, 1)))]
        pooled = layer(pool(x), f"{at}.branch_pool", 192)
        return ops.concatenate([layer(x, f"{at}.branch1x1", 320), *three, *double, pooled])

    x = 2 * ops.resize(ops.asarray(images), side) - 1
    x = layer(x, "Conv2d_1a_3x3", 32, (3, 3), 2, same=False)
    x = layer(x, "Conv2d_2a_3x3", 32, (3, 3), same=False)
    x = ops.max_pool(layer(x, "Conv2d_2b_3x3", 64, (3, 3)), 2, 0)
    x = layer(layer(x, "Conv2d_3b_1x1", 80), "Conv2d_4a_3x3", 192, (3, 3), same=False)
    x = ops.max_pool(x, 2, 0)
    for name, pooled in (("5b", 32), ("5c", 64), ("5d", 64)):
        x = a(x, f"Mixed_{name}", pooled)
    x = b(x, "Mixed_6a")
    for name, narrow in (("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)):
        x = c(x, f"Mixed_{name}", narrow)
    x = d(x, "Mixed_7a")
    x = e(x, "Mixed_7b", ops.average_pool)
    x = e(x, "Mixed_7c", lambda x: ops.max_pool(x, 1, 1))
    return np.asarray(x.mean((2, 3)))
