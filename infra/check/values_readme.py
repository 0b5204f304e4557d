"""Keeps the table of values in the chart's README as values.yaml tells them.

values_readme.py          says whether it is so, and fails if not
values_readme.py --write  makes it so
"""

import json
import os
import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(os.environ.get("CHECK_ROOT") or pathlib.Path(__file__).resolve().parents[2])
VALUES = ROOT / "charts/events-proxy/values.yaml"
README = ROOT / "charts/events-proxy/README.md"
BEGIN, END = "<!-- values: made by infra/check/values_readme.py -->\n", "<!-- end of values -->\n"


def told(text: str) -> dict[str, str]:
    """What `# --` says of each value, by its path."""
    found: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    comment = ""
    for line in text.splitlines():
        note = re.match(r"\s*# -- (.*)", line)
        key = re.match(r"(\s*)([A-Za-z]\w*):", line)
        if note:
            comment = note[1]
        elif key:
            depth = len(key[1])
            path = [(at, name) for at, name in path if at < depth] + [(depth, key[2])]
            if comment:
                found[".".join(name for _, name in path)] = comment
            comment = ""
    return found


def default(values: dict, path: str) -> str:
    """The default at a path, on one line."""
    for name in path.split("."):
        values = values[name]
    return json.dumps(values, ensure_ascii=False)


text = VALUES.read_text(encoding="utf-8")
values = yaml.safe_load(text)
rows = [f"| `{path}` | `{default(values, path)}` | {note.replace('|', chr(92) + '|')} |\n" for path, note in told(text).items()]
table = BEGIN + "| value | default | |\n|---|---|---|\n" + "".join(rows) + END
held = README.read_text(encoding="utf-8")
before, rest = held.split(BEGIN, 1)
wanted = before + table + rest.split(END, 1)[1]
if "--write" in sys.argv[1:]:
    README.write_text(wanted, encoding="utf-8")
elif wanted != held:
    print("charts/events-proxy/README.md is not as values.yaml tells: run infra/check/values_readme.py --write")
    sys.exit(1)
