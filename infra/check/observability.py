"""Judges alerts and dashboards against the code: every metric they name exists, every alert has its page and its test.

A metric's name is taken from crates/*/src/metrics.rs and from the places that make instruments of their own; those of other programs are
listed below.
"""

import json
import os
import pathlib
import re
import sys

import promql_parser
import yaml

ROOT = pathlib.Path(os.environ.get("CHECK_ROOT") or pathlib.Path(__file__).resolve().parents[2])
RULES = ROOT / "infra/observability/alerts.yaml"
TESTS = ROOT / "infra/observability/alerts_test.yaml"
DASHBOARDS = ROOT / "infra/observability/dashboards"
RUNBOOK = ROOT / "docs/operations/runbook"
OTHERS = {"up", "kubelet_volume_stats_available_bytes", "kubelet_volume_stats_capacity_bytes"}
STANDS_FOR = {"$__rate_interval": "5m", "$__interval": "1m", "$__range": "1h"}

mistakes: list[str] = []


def known() -> set[str]:
    """The names under which Prometheus knows what the code counts."""
    names = set(OTHERS)
    for path in ROOT.glob("crates/*/src/**/*.rs"):
        text = path.read_text(encoding="utf-8")
        if "opentelemetry" not in text:
            continue
        for kind, name, told in re.findall(r'\b(\w*)\(\s*"([a-z]+(?:[._][a-z]+)+)"(.*)', text):
            name = name.replace(".", "_")
            if "counter" in kind and "up_down" not in kind:
                names.add(f"{name}_total")
            elif "histogram" in kind or "with_unit" in told:
                names |= {f"{name}_seconds_{part}" for part in ("bucket", "sum", "count")}
                names |= {f"{name}_{part}" for part in ("bucket", "sum", "count")}
            else:
                names.add(name)
    return names


def judge(where: str, expression: str, names: set[str]) -> None:
    """Parses an expression and looks its metrics up."""
    for variable, value in STANDS_FOR.items():
        expression = expression.replace(variable, value)
    expression = re.sub(r"\$\{?\w+\}?", ".*", expression)
    try:
        promql_parser.parse(expression)
    except ValueError as error:
        mistakes.append(f"{where}: {error}")
        return
    bare = re.sub(r'"[^"]*"', "", expression)
    for name in re.findall(r"\b([a-z]+(?:_[a-z0-9]+)+)\b(?!\s*\()", bare):
        if name not in names and not re.fullmatch(r"group_(left|right)|\w+_over_time", name):
            mistakes.append(f"{where}: no code counts {name}")


def alerts(names: set[str]) -> None:
    """Every alert has a page, a test that makes it fire, and a severity that somebody routes."""
    rules = [rule for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]
    fired = set()
    for test in yaml.safe_load(TESTS.read_text(encoding="utf-8"))["tests"]:
        fired |= {case["alertname"] for case in test["alert_rule_test"] if case["exp_alerts"]}
    for rule in rules:
        name = rule["alert"]
        judge(name, rule["expr"], names)
        if rule["labels"]["severity"] not in ("critical", "warning"):
            mistakes.append(f"{name}: severity must be critical or warning")
        if rule["annotations"].get("runbook") != f"docs/operations/runbook/{name}.md":
            mistakes.append(f"{name}: the annotation `runbook` must name its page")
        if not (RUNBOOK / f"{name}.md").is_file():
            mistakes.append(f"{name}: has no page docs/operations/runbook/{name}.md")
        if name not in fired:
            mistakes.append(f"{name}: no test makes it fire")
    for page in RUNBOOK.glob("[A-Z]*.md"):
        if page.stem not in {rule["alert"] for rule in rules} | {"README"}:
            mistakes.append(f"{page.relative_to(ROOT)}: is the page of no alert")


def dashboards(names: set[str]) -> None:
    """Panels have numbers of their own, fit the grid, and ask what can be asked."""
    for path in sorted(DASHBOARDS.glob("*.json")):
        seen = set()
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            where = f"{path.name}: {panel['title']}"
            if panel["id"] in seen:
                mistakes.append(f"{where}: its id is there twice")
            seen.add(panel["id"])
            if panel["gridPos"]["x"] + panel["gridPos"]["w"] > 24:
                mistakes.append(f"{where}: is wider than the grid")
            for target in panel.get("targets", []):
                judge(where, target["expr"], names)


found = known()
alerts(found)
dashboards(found)
print("\n".join(mistakes), end="\n" if mistakes else "")
sys.exit(1 if mistakes else 0)
