"""What a run ends with: the few numbers that matter, for a terminal."""

from typing import Any

BESIDE = {"random projection": "random_projection", "raw pixels": "raw_pixels", "untrained encoder": "untrained"}


def summary(values: dict[str, Any]) -> str:
    """Bound, distortion and rate, probe and Fréchet distance of an `evaluate.json`, a line each."""

    def measured(name: str, digits: int) -> str:
        return f"{values[name]:.{digits}f} ± {values[f'{name}_standard_error']:.{digits}f}"

    nats = measured("bound_nats", 2)
    lines = [f"bound       {measured('bpd', 4)} bits/dim = {nats} nats an image, {values['num_images']:,} test images"]
    if "not a bound" in values["objective"]:
        lines.append(f"trained on  {values['objective']}")
    if values["encoder_kl_nats"] is not None:
        lines.append(f"distortion  {measured('distortion_nats', 2)} nats")
        lines.append(f"rate        {measured('encoder_kl_nats', 2)} nats")
    if values["linear_probe_accuracy"] is not None:
        others = ", ".join(f"{name} {values[f'linear_probe_accuracy_{key}']:.3f}" for name, key in BESIDE.items())
        lines.append(f"probe on w  {measured('linear_probe_accuracy', 3)} ({others})")
    if values["frechet"] is not None:
        frechet = values["frechet"]
        distances, number = (frechet["distance"], frechet["real_vs_real_floor"]), frechet["num_images"]
        lines.append(f"Fréchet     {beside_floor(*distances, number)} ({frechet['network']['name']})")
    if values["fid"] is not None:
        lines.append(f"FID         {beside_floor(values['fid'], values['fid_real'], values['fid_num_images'])}")
    return "\n".join(lines)


def beside_floor(distance: float, floor: float, num_images: int) -> str:
    """A Fréchet distance with what must stand beside it."""
    return f"{distance:.2f}, real against real {floor:.2f}, N = {num_images}"
