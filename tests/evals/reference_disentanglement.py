"""Scores of disentanglement as their papers state them, in loops. Each returns (value, standard error of its draws)."""

import numpy as np
from sklearn.linear_model import LogisticRegression

POINTS, HELD_OUT, SIZE = 1000, 1000, 64


def mig(codes, factors, ordered):
    """Chen et al. 2018, eq. 6, with histograms of two dimensions."""
    gaps = []
    for factor in factors.T:
        size, found = factor.max() + 1, []
        for column in codes.astype(np.float32).astype(np.float64).T:
            edges = np.linspace(column.min(), column.max(), size + 1)
            p = np.histogram2d(column, factor, [edges, np.arange(size + 1) - 0.5])[0] / len(codes)
            outer = p.sum(1, keepdims=True) * p.sum(0, keepdims=True)
            found.append((p[p > 0] * np.log(p[p > 0] / outer[p > 0])).sum())
        best = np.sort(found)[::-1]
        frequency = np.bincount(factor) / len(factor)
        gaps.append((best[0] - best[1]) / -(frequency * np.log(frequency)).sum())
    return np.mean(gaps), 0.0


def sap(codes, factors, ordered):
    """Kumar et al. 2018, section 3: R², or thresholds on one dimension; here at most 39, where the class changes."""
    gaps, number = [], len(codes)
    for factor, is_ordered in zip(factors.T, ordered, strict=True):
        found = []
        for column in codes.T:
            if is_ordered:
                found.append(np.corrcoef(column, factor)[0, 1] ** 2)
                continue
            edges = np.linspace(column.min(), column.max(), 41)[1:-1]
            bins, half = np.digitize(column, edges), np.random.RandomState(9).permutation(number) % 2 == 0
            right = []
            for fitted in (half, ~half):
                most = np.bincount(factor[fitted]).argmax()
                guess = [
                    np.bincount(own).argmax() if len(own := factor[fitted & (bins == b)]) else most for b in range(40)
                ]
                right.append(np.mean(np.array(guess)[bins[~fitted]] == factor[~fitted]))
            chance = np.bincount(factor).max() / number
            found.append(max(0, (np.mean(right) - chance) / (1 - chance)))
        best = np.sort(found)[::-1]
        gaps.append(best[0] - best[1])
    return np.mean(gaps), 0.005  # of another split into halves


def with_fixed_factor(factors, random):
    """A factor, and images with one value of it."""
    k = random.randint(factors.shape[1])
    return k, np.flatnonzero(factors[:, k] == factors[random.randint(len(factors)), k])


def z_diff(codes, factors, ordered):
    """Higgins et al. 2017, section 3."""
    random, points, labels = np.random.RandomState(10), [], []
    codes = codes / codes.std(0)
    alike = [[np.flatnonzero(column == column[i]) for i in range(len(column))] for column in factors.T]
    for _ in range(POINTS + HELD_OUT):
        k, total = random.randint(factors.shape[1]), 0
        for image in random.randint(len(codes), size=SIZE):
            other = alike[k][image][random.randint(len(alike[k][image]))]
            total = total + np.abs(codes[image] - codes[other]) / SIZE
        points.append(total)
        labels.append(k)
    points, labels = np.array(points), np.array(labels)
    model = LogisticRegression(max_iter=1000, C=10.0).fit(points[:POINTS], labels[:POINTS])
    value = np.mean(model.predict(points[POINTS:]) == labels[POINTS:])
    return value, np.sqrt(value * (1 - value) / HELD_OUT)


def factor_vae(codes, factors, ordered):
    """Kim & Mnih 2018, section 4 and figure 2."""
    random, votes = np.random.RandomState(11), np.zeros((2, codes.shape[1], factors.shape[1]))
    for i in range(POINTS + HELD_OUT):
        k, rows = with_fixed_factor(factors, random)
        normalised = codes[random.choice(rows, SIZE)] / codes.std(0)
        votes[int(i >= POINTS), normalised.var(0).argmin(), k] += 1
    classifier = votes[0].argmax(1)
    value = votes[1][np.arange(len(classifier)), classifier].sum() / HELD_OUT
    return value, np.sqrt(value * (1 - value) / HELD_OUT)


def dci_of_importances(importance):
    """Eastwood & Williams 2018, section 2."""
    dims, factors = importance.shape
    disentanglement, completeness = 0.0, 0.0
    for i in range(dims):
        p = importance[i] / importance[i].sum()
        weight = importance[i].sum() / importance.sum()
        disentanglement += weight * (1 + sum(q * np.log(q) / np.log(factors) for q in p if q > 0))
    for j in range(factors):
        p = importance[:, j] / importance[:, j].sum()
        completeness += (1 + sum(q * np.log(q) / np.log(dims) for q in p if q > 0)) / factors
    return {"disentanglement": disentanglement, "completeness": completeness}
