"""What a run ends with: the few numbers that matter, for a terminal."""

from typing import Any

BESIDE = {"random projection": "random_projection", "raw pixels": "raw_pixels", "untrained encoder": "untrained"}


def summary(values: dict[str, Any]) -> str:
    """Bound, distortion and rate, probe and Fréchet distance of an `evaluate.json`, a line each."""

    def measured(name: str, digits: int) -> str:
        return f"{values[name]:.{digits}f} ± {values[f'{name}_standard_error']:.{digits}f}"

    nats, number = measured("bound_nats", 2), values["num_images"]
    lines = [f"bound       {measured('bpd', 4)} bits/dim = {nats} nats an image, {number:,} test images"]
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
        floor, network = frechet["real_vs_real_floor"], frechet["network"]["name"]
        number = frechet["num_images"]
        lines.append(f"Fréchet     {frechet['distance']:.2f}, real against real {floor:.2f}, N = {number} ({network})")
    return "\n".join(lines)
