"""Regenerates the published tables and figures from the records in results/: `python -m vdm_jax.report.published`.

With `--check` it writes nothing, names what differs and exits with 1.
"""

import argparse
import sys
from pathlib import Path

from vdm_jax.base.errors import UserError, choose
from vdm_jax.report.published.page import faults, publish
from vdm_jax.report.published.pages import PAGES


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 1 if `--check` finds a difference, 2 for an invalid request."""
    parser = argparse.ArgumentParser(prog="python -m vdm_jax.report.published", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a table or figure differs")
    parser.add_argument("--results", default="results", help="the folder of all studies")
    parser.add_argument("pages", nargs="*", help=f"studies; all of them if none is named: {', '.join(PAGES)}")
    options = parser.parse_args(arguments)
    results = Path(options.results)
    try:
        pages = [choose("page", name, PAGES) for name in options.pages or PAGES]
        if missing := [page.folder for page in pages if not (results / page.folder / "README.md").is_file()]:
            raise UserError(
                f"--results={options.results} has no {missing[0]}/README.md; name the folder of all studies"
            )
        found = [line for page in pages for line in (faults if options.check else publish)(page, results)]
    except UserError as error:
        print(f"published: {error}", file=sys.stderr)
        return 2
    for line in found:
        print(line)
    if options.check and not found:
        print(f"{len(pages)} pages agree with their records")
    return 1 if options.check and found else 0


if __name__ == "__main__":
    sys.exit(main())
