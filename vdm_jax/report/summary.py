"""The summary that a run prints at its end."""

from typing import Any

from vdm_jax.report.primitives.measured import entry

READOUT_BASELINES = {"pixels": "raw pixels", "pca": "PCA", "untrained": "untrained encoder"}
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


def latent_summary(values: dict[str, Any]) -> str:
    """One line each for denoising, bound, Fréchet distance and mode coverage of evaluate.json of a latent diffusion
    model, beside N(0, I) and the fitted Gaussian."""
    table = values["table"]
    main, others = table[values["main"]], {"N(0, I)": table["prior"], "Gaussian": table["gaussian"]}

    def beside(*place: str, digits: int) -> str:
        named = {"": main} | others
        found = {name: entry(row, *place)[:2] for name, row in named.items()}
        own, error = found.pop("")
        text = f"{own:.{digits}f}" + (f" ± {error:.{digits}f}" if error else "")
        given = ", ".join(f"{name} {value:.{digits}f}" for name, (value, _) in found.items() if value is not None)
        return f"{text} ({given})" if given else text

    lines = [f"denoising   {beside('eps', 'over_linear', digits=3)} of the loss of the best linear denoiser"]
    if values["bound_nats"] is not None:
        lines.append(
            f"bound       {beside('bound_nats', digits=2)} nats an image, {values['num_images']:,} test images"
        )
    if values.get("bound_minus_entropy_nats") is not None:
        above = f"{values['bound_minus_entropy_nats']:.2f} ± {values['bound_minus_entropy_nats_standard_error']:.2f}"
        lines.append(f"entropy     {values['entropy_nats']:.2f} nats an image; the bound is {above} nats above it")
    if values["coverage"] is not None:
        no_sprite, *kinds = coverage_lines(values["coverage"])
        given = ", ".join(f"{name} {row['not_a_sprite']:.3f}" for name, row in others.items())
        lines += [f"{no_sprite} ({given})", *kinds]
    if values["frechet"] is not None:
        floor = f"real against real {values['frechet']['real_vs_real_floor']:.2f}"
        lines.append(f"Fréchet     {beside('frechet', 'distance', digits=2)}, {floor}")
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

    def measured(*place: str, digits: int) -> str:
        value, error, _ = entry(values, *place)
        return "" if value is None else f"{value:.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")

    number = f"{values['num_images']:,} test images" if "num_images" in values else "test images"
    lines = []
    if found := measured("reconstruction_sum", digits=2):
        lines.append(f"reconstruction  {found} squared error summed over an image, {number}")
    if found := measured("bound_nats", digits=2):
        lines.append(f"bound           {found} nats an image")
    elif (why := (values.get("reasons") or {}).get("bound_nats")) is not None:
        lines.append(f"no bound        {why}")
    if found := measured("rate_nats", digits=2):
        units = measured("active_units", digits=0)
        lines.append(f"rate            {found} nats an image" + (f", {units} active units" if units else ""))
    if found := measured("prior_samples_on_data", digits=3):
        lines.append(f"prior           {found} of decoded draws are near a data image")
    if found := measured("reconstructions_on_data", digits=3):
        lines.append(f"on data         {found} of reconstructions are near a data image")
    if found := measured("holes", digits=3):
        steps = measured("holes_of_interpolations", digits=3)
        of_steps = f" ({steps} of the steps of interpolations)" if steps else ""
        lines.append(f"holes           {found} of the midpoints between data decode to no data image{of_steps}")
    readout = values.get("readout")
    for factor in [each for each in ("shape", "class") if isinstance(readout, dict) and each in readout]:
        own, others = measured("readout", factor, "linear", digits=3), []
        for name, words in READOUT_BASELINES.items():
            if other := measured("readout_baselines", name, factor, "linear", digits=3).partition(" ±")[0]:
                others.append(f"{words} {other}")
        lines.append(f"{factor:15} {own} by a linear readout" + (f" ({', '.join(others)})" if others else ""))
    scores = values.get("disentanglement")
    shown = {key: measured("disentanglement", key, digits=3) for key in scores} if isinstance(scores, dict) else {}
    if found := [f"{key} {text}" for key, text in shown.items() if text]:
        lines.append(f"disentangled    {', '.join(found)}")
    return "\n".join(lines)
