import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from vdm_jax.base.errors import UserError
from vdm_jax.evals.image_metrics import compare_images, psnr, rmse, ssim


def pairs(shape, n=3, dtype=np.float32):
    random = np.random.default_rng(0)
    references = random.random((n, *shape)).cumsum(1).cumsum(2)
    references /= references.max((1, 2, 3), keepdims=True)
    images = np.clip(references + 0.1 * random.standard_normal(references.shape), 0, 1)
    return images.astype(dtype), references.astype(dtype)


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (11, 17, 1), (11, 11, 3)])
def test_ssim_and_psnr_match_scikit_image(shape):
    images, references = pairs(shape)
    for i in range(3):
        a, b = images[i].astype(np.float64), references[i].astype(np.float64)
        expected = structural_similarity(
            a, b, data_range=1.0, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        np.testing.assert_allclose(ssim(images, references)[i], expected, rtol=1e-9)
        np.testing.assert_allclose(
            psnr(images, references)[i], peak_signal_noise_ratio(b, a, data_range=1.0), rtol=1e-9
        )


def test_known_errors():
    references = np.full((2, 12, 12, 1), 0.25, np.float32)
    images = references + np.array([0.1, 0.5], np.float32).reshape(2, 1, 1, 1)
    np.testing.assert_allclose(rmse(images, references), [0.1, 0.5], rtol=1e-6)
    np.testing.assert_allclose(psnr(images, references), [20.0, 20 * np.log10(2)], rtol=1e-6)
    luminance = [(2 * 0.25 * m + 1e-4) / (0.25**2 + m**2 + 1e-4) for m in (0.35, 0.75)]
    np.testing.assert_allclose(ssim(images, references), luminance, rtol=1e-6)


def test_summary_is_a_mean_over_images_with_its_error():
    images, references = pairs((16, 16, 1), n=8)
    result = compare_images(images, references)
    values = ssim(images, references)
    np.testing.assert_allclose(result["ssim"], values.mean())
    np.testing.assert_allclose(result["ssim_standard_error"], values.std(ddof=1) / np.sqrt(8))
    assert result["num_images"] == 8 and result["reasons"] == {}


def test_no_ssim_below_the_window():
    images, references = pairs((8, 8, 1))
    result = compare_images(images, references)
    assert result["ssim"] is None and result["ssim_standard_error"] is None and result["psnr"] > 10
    assert result["reasons"] == {"ssim": "the 8x8 images are smaller than SSIM's 11x11 window"}
    with pytest.raises(UserError, match="smaller than SSIM's 11x11 window"):
        ssim(images, references)


def test_equal_images():
    images, _ = pairs((12, 12, 3))
    result = compare_images(images, images)
    assert result["rmse"] == 0 and result["psnr"] is None and "3 of 3 pairs are equal" in result["reasons"]["psnr"]
    np.testing.assert_allclose(result["ssim"], 1.0, rtol=1e-12)


def test_single_pair_has_no_spread():
    images, references = pairs((12, 12, 1), n=1)
    assert compare_images(images, references)["rmse_standard_error"] == 0
