"""``python -m edgevid.benchmarks.store STORE --import FILE`` or ``--export FILE``: JSON lines in and out."""

from __future__ import annotations

import argparse

from edgevid.benchmarks.store import open_store
from edgevid.errors import EdgevidError


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m edgevid.benchmarks.store", description=__doc__)
    parser.add_argument("store", metavar="STORE", help="a file of SQLite, or postgresql://USER@HOST/DATABASE")
    direction = parser.add_mutually_exclusive_group(required=True)
    direction.add_argument("--import", dest="source", metavar="FILE", help="add the results in FILE")
    direction.add_argument("--export", dest="target", metavar="FILE", help="write all results to FILE")
    options = parser.parse_args(arguments)
    try:
        if options.source:
            count = open_store(options.store).import_lines(options.source)
            print(f"{count} new results from '{options.source}'")
        else:
            count = open_store(options.store, create=False).export_lines(options.target)
            print(f"{count} results in '{options.target}'")
    except EdgevidError as error:
        parser.exit(2, f"edgevid: {error}\n")


if __name__ == "__main__":
    main()
