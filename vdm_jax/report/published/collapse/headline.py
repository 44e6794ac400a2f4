"""The sentences that the page opens with, from whatever records there are."""

from pathlib import Path

from vdm_jax.report.published.collapse.answers import answer_of, sentence
from vdm_jax.report.published.collapse.claims import cause_claims
from vdm_jax.report.published.collapse.studies import LABELS, NOT_RUN


def headline(folder: Path) -> str:
    """A numbered list: the answer of each data set, then each cause with its verdicts."""
    lines = [sentence(answer_of(data, folder)) for data in LABELS]
    claims = cause_claims(folder)
    for text in dict.fromkeys(claim.text for claim in claims):
        data_of: dict[str, list[str]] = {}  # by verdict
        for claim in claims:
            if claim.text == text:
                data_of.setdefault(claim.verdict, []).append(claim.data)
        told = "; ".join(f"{verdict} ({'; '.join(data)})" for verdict, data in data_of.items())
        told = NOT_RUN if set(data_of) == {NOT_RUN} else told
        lines.append(f"**{text[0].upper()}{text[1:]}**: {told}.")
    return "\n".join(f"{number}. {line}" for number, line in enumerate(lines, 1))
