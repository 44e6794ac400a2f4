"""The sentences that the page opens with, from whatever records there are."""

from collections.abc import Sequence
from pathlib import Path

from vdm_jax.report.published.collapse.answers import answer_of, sentence
from vdm_jax.report.published.collapse.blog import blog_claims
from vdm_jax.report.published.collapse.claims import CollapseClaim, cause_claims
from vdm_jax.report.published.collapse.studies import LABELS, NOT_RUN


def headline(folder: Path) -> str:
    """A numbered list: the answer of each data set, each cause with its verdicts, and last what was not run."""
    answers = [answer_of(data, folder) for data in LABELS]
    lines = [sentence(answer) for answer in answers if answer.verdict != NOT_RUN]
    missing = [answer.data for answer in answers if answer.verdict == NOT_RUN]
    claims = cause_claims(folder)
    missing += not_run([*claims, *blog_claims(folder)])
    for text in dict.fromkeys(claim.text for claim in claims):
        data_of: dict[str, list[str]] = {}  # by verdict
        for claim in claims:
            if claim.text == text and claim.verdict != NOT_RUN:
                data_of.setdefault(claim.verdict, []).append(claim.data)
        if not data_of:
            continue
        verdicts = "; ".join(f"{verdict} ({'; '.join(data)})" for verdict, data in data_of.items())
        lines.append(f"**{text[0].upper()}{text[1:]}**: {verdicts}.")
    if missing:
        lines.append(f"**Not run** ([wanted](../README.md#wanted)): {'; '.join(missing)}.")
    return "\n".join(f"{number}. {line}" for number, line in enumerate(lines, 1))


def not_run(claims: Sequence[CollapseClaim]) -> list[str]:
    """The claims, in quotation marks, that have no verdict on any data set."""
    judged = {claim.text for claim in claims if claim.verdict != NOT_RUN}
    return [f'"{text}"' for text in dict.fromkeys(claim.text for claim in claims) if text not in judged]
