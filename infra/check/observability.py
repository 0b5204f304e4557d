"""Judges alerts and dashboards against the reference of metrics: every name, label and word they ask for exists. Every alert has its page and its test.

The reference, docs/reference/metrics.md, is written from the tables that the instruments are made of. Metrics of other programs are listed below.
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
REFERENCE = ROOT / "docs/reference/metrics.md"
OTHERS = ("up",)
# What Prometheus adds to whatever it scrapes in a cluster.
ADDED = {"job", "instance", "namespace", "pod"}
STANDS_FOR = {"$__rate_interval": "5m", "$__interval": "1m", "$__range": "1h"}

mistakes: list[str] = []


Labels = dict[str, set[str]]


def known() -> dict[str, Labels]:
    """The labels of each name, and the words that a label may hold; no words where its set is open."""
    names: dict[str, Labels] = {name: {} for name in OTHERS}
    row = re.compile(r"^\| `(\w+)` \| (\w+) \| \w* \| (.*?) \| .* \|$", re.M)
    for name, kind, told in row.findall(REFERENCE.read_text(encoding="utf-8")):
        labels = {label: set(re.findall(r"\w+", words)) for label, words in re.findall(r"`(\w+)`: ((?:`\w+`(?:, )?)*)", told)}
        parts = [f"{name}_{part}" for part in ("bucket", "sum", "count")] if kind == "histogram" else [name]
        names |= {part: labels | ({"le": set()} if part.endswith("_bucket") else {}) for part in parts}
    return names


def matches(where: str, name: str, labels: Labels, matchers: str) -> None:
    """Looks the labels up that a selector asks for, and their words."""
    for label, operator, asked in re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"', matchers):
        if label not in labels.keys() | ADDED:
            mistakes.append(f"{where}: {name} has no label {label}")
        elif words := labels.get(label):
            parts = asked.split("|") if "~" in operator else [re.escape(asked)]
            for part in parts:
                if not any(re.fullmatch(part, word) for word in words):
                    mistakes.append(f"{where}: {label} of {name} is never {part}")


def judge(where: str, expression: str, names: dict[str, Labels]) -> None:
    """Parses an expression and looks up what it asks for."""
    for variable, value in STANDS_FOR.items():
        expression = expression.replace(variable, value)
    expression = re.sub(r"\$\{?\w+\}?", ".*", expression)
    try:
        promql_parser.parse(expression)
    except ValueError as error:
        mistakes.append(f"{where}: {error}")
        return
    for name, matchers in re.findall(r"(\w+)\{([^}]*)\}", expression):
        matches(where, name, names.get(name, {}), matchers)
    bare = re.sub(r'"[^"]*"|\{[^}]*\}', "", expression)
    grouped = {label for group in re.findall(r"\b(?:by|without|on|ignoring) \(([^)]*)\)", bare) for label in re.findall(r"\w+", group)}
    for label in grouped - ADDED - {label for labels in names.values() for label in labels}:
        mistakes.append(f"{where}: nothing has the label {label}")
    for name in re.findall(r"\b([a-z]+(?:_[a-z0-9]+)+)\b(?!\s*\()", bare):
        if name not in names.keys() | grouped and not re.fullmatch(r"group_(left|right)|\w+_over_time", name):
            mistakes.append(f"{where}: no code counts {name}")


def alerts(names: dict[str, Labels]) -> None:
    """Every alert has a page, a test that makes it fire, and a severity that somebody routes."""
    rules = [rule for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]
    fired = set()
    for test in yaml.safe_load(TESTS.read_text(encoding="utf-8"))["tests"]:
        fired |= {case["alertname"] for case in test["alert_rule_test"] if case["exp_alerts"]}
    for rule in rules:
        name = rule["alert"]
        judge(name, rule["expr"], names)
        for bare in re.findall(rf"\b(?:{'|'.join(names)})\b(?!\{{)", re.sub(r'"[^"]*"', "", rule["expr"])):
            mistakes.append(f"{name}: {bare} needs braces, `{bare}{{}}`: the chart puts its namespace there")
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


def dashboards(names: dict[str, Labels]) -> None:
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
