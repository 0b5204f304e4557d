"""Writes down what Terraform tells the chart: release_values.py DIRECTORY, which gets a file of values for each plan that stdin tells of.

Stdin is what `terraform test -json -verbose` says of the module `release`. Further values, which the module's tests make up, are left out.
"""

import json
import pathlib
import sys


def main() -> int:
    """Writes the files; none is a mistake."""
    directory = pathlib.Path(sys.argv[1])
    written = 0
    for line in sys.stdin:
        told = json.loads(line)
        for change in told.get("test_plan", {}).get("resource_changes", []):
            if change["address"] == "helm_release.this":
                (directory / f"{told['@testrun']}.yaml").write_text(change["change"]["after"]["values"][0], encoding="utf-8")
                written += 1
    if not written:
        print("no plan of the module's tests has a release")
    return 0 if written else 1


sys.exit(main())
