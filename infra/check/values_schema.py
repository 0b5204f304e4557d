"""Keeps the `settings` of the chart's values.schema.json as crates/chassis/src/defaults.toml has them.

values_schema.py          says what differs, and fails if anything does
values_schema.py --write  makes it so
"""

import json
import os
import pathlib
import re
import sys
import tomllib

ROOT = pathlib.Path(os.environ.get("CHECK_ROOT") or pathlib.Path(__file__).resolve().parents[2])
DEFAULTS = ROOT / "crates/chassis/src/defaults.toml"
SCHEMA = ROOT / "charts/events-proxy/values.schema.json"

# What the chart sets itself, because probes, volumes, ports or other values depend on it, and what only a demo has.
CHARTS_OWN = re.compile(
    r"port|admin_port|environment_profile|data_dir|spool_dir|container_app_replica_name|stop_grace_ms|api_url|source_service_.*"
    r"|queue_(url|topic|partitions|tls|sasl_.*)|target_service_(graphql_url|rate_limit_.*)"
)


def comments(text: str) -> dict[str, str]:
    """The comment above each key, as one line."""
    found: dict[str, str] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("#"):
            lines.append(line.lstrip("# "))
        elif "=" in line:
            found[line.split("=")[0].strip()] = " ".join(lines)
            lines = []
        else:
            lines = []
    return found


def bounds(comment: str) -> tuple[str, str] | None:
    """The ends of `[a – b]`."""
    found = re.search(r"\[([\d.]+) – ([\d.]+)\]", comment)
    return (found[1], found[2]) if found else None


def schema(default: object, comment: str) -> dict:
    """The schema of one setting."""
    choice = re.search(r"\[([^\]]+ \| [^\]]+)\]", comment)
    ends = bounds(comment)
    told: dict = {"description": comment}
    if isinstance(default, bool):
        return told | {"type": "boolean"}
    if choice:
        return told | {"enum": [word.strip() for word in choice[1].split("|")]}
    if ends:
        kind = "number" if isinstance(default, float) else "integer"
        low, high = (float(end) if kind == "number" else int(end) for end in ends)
        return told | {"type": kind, "minimum": low, "maximum": high}
    return told | {"type": "string"}


def settings() -> dict:
    """The schema of every setting that values may carry."""
    text = DEFAULTS.read_text(encoding="utf-8")
    told = comments(text)
    values = tomllib.loads(text)
    secret = re.compile(r"\bSecret\b")
    return {
        key: schema(default, told[key])
        for key, default in values.items()
        if not CHARTS_OWN.fullmatch(key) and not secret.search(told[key])
    }


def main() -> int:
    """Compares or writes."""
    held = json.loads(SCHEMA.read_text(encoding="utf-8"))
    properties = held["$defs"]["settings"]["properties"]
    wanted = settings()
    if "--write" in sys.argv[1:]:
        held["$defs"]["settings"]["properties"] = wanted
        SCHEMA.write_text(json.dumps(held, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return 0
    differing = sorted(key for key in properties.keys() | wanted.keys() if properties.get(key) != wanted.get(key))
    for key in differing:
        print(f"values.schema.json: `settings.{key}` is not as in defaults.toml: run infra/check/values_schema.py --write")
    return 1 if differing else 0


sys.exit(main())
