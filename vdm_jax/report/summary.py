"""The summary that a run prints at its end."""

from typing import Any

BASELINES = {"random projection": "random_projection", "raw pixels": "raw_pixels", "untrained encoder": "untrained"}


def summary(values: dict[str, Any]) -> str:
    """One line each for bound, distortion, rate, linear probe, Fréchet distance and mode coverage of evaluate.json."""

    def measured(name: str, digits: int) -> str:
        return f"{values[name]:.{digits}f} ± {values[f'{name}_standard_error']:.{digits}f}"

    lines = []
    if values["bpd"] is not None:
        nats, number = measured("bound_nats", 2), f"{values['num_images']:,} test images"
        lines.append(f"bound       {measured('bpd', 4)} bits/dim = {nats} nats an image, {number}")
    if values.get("bound_minus_entropy_nats") is not None:
        above = measured("bound_minus_entropy_nats", 2)
        lines.append(f"entropy     {values['entropy_nats']:.2f} nats an image; the bound is {above} nats above it")
    if "loss" in values:
        lines.append(f"loss        {measured('loss', 5)}")
    if "not a bound" in values["objective"]:
        lines.append(f"trained on  {values['objective']}")
    if values.get("encoder_kl_nats") is not None:
        lines.append(f"distortion  {measured('distortion_nats', 2)} nats")
        lines.append(f"rate        {measured('encoder_kl_nats', 2)} nats")
    if values.get("linear_probe_accuracy") is not None:
        others = ", ".join(f"{name} {values[f'linear_probe_accuracy_{key}']:.3f}" for name, key in BASELINES.items())
        lines.append(f"probe on w  {measured('linear_probe_accuracy', 3)} ({others})")
    if values.get("frechet") is not None:
        frechet = values["frechet"]
        distances, number = (frechet["distance"], frechet["real_vs_real_floor"]), frechet["num_images"]
        lines.append(f"Fréchet     {beside_floor(*distances, number)} ({frechet['network']['name']})")
    if values.get("fid") is not None:
        lines.append(f"FID         {beside_floor(values['fid'], values['fid_real'], values['fid_num_images'])}")
    if values.get("coverage") is not None:
        lines += coverage_lines(values["coverage"])
    return "\n".join(lines)


def coverage_lines(coverage: dict[str, Any]) -> list[str]:
    """The share of samples that are sprites, and how evenly these cover the kinds, by the exact reader."""
    share, error = coverage["not_a_sprite"], coverage["not_a_sprite_standard_error"]
    lines = [f"no sprite   {share:.3f} ± {error:.3f} of {coverage['num_images']:,} samples"]
    kinds = coverage["readers"]["exact"]["histograms"]["kind"]
    if kinds["p_value"] is not None:
        hit = f"{kinds['num_hit']} of {kinds['num_modes']} (of as many data {kinds['num_hit_expected']:.1f})"
        lines.append(f"kinds hit   {hit}, p = {kinds['p_value']:.2g}, KL {kinds['kl_nats']:.3f} nats")
    return lines


def beside_floor(distance: float, floor: float, num_images: int) -> str:
    """A Fréchet distance with its real-against-real floor and the number of images."""
    return f"{distance:.2f}, real against real {floor:.2f}, N = {num_images}"


def autoencoder_summary(values: dict[str, Any]) -> str:
    """One line each for reconstruction, bound, rate, latent space, prior samples, readouts and disentanglement of an
    autoencoder's evaluate.json."""
    raise NotImplementedError
