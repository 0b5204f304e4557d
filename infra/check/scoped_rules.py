"""Shows that the alerts of a release ring for its own namespace alone, by the tests of the alerts themselves.

scoped_rules.py RULES DIRECTORY   from the PrometheusRule that the chart renders into the namespace `events`, writes what promtool tests:
                                  the rules, each test that makes one fire with all series in that namespace, and all of them in another
"""

import os
import pathlib
import sys

import yaml

ROOT = pathlib.Path(os.environ.get("CHECK_ROOT") or pathlib.Path(__file__).resolve().parents[2])
TESTS = ROOT / "infra/observability/alerts_test.yaml"
NAMESPACE, ELSEWHERE = "events", "elsewhere"


def placed(series: dict, labels: str) -> dict:
    """A series with further labels."""
    name, _, others = series["series"].partition("{")
    return series | {"series": f"{name}{{{labels}" + (f",{others}" if others else "}")}


def here(test: dict) -> dict:
    """A test whose series are all of the release's namespace, and so are its alerts."""
    cases = [
        case | {"exp_alerts": [alert | {"exp_labels": alert["exp_labels"] | {"namespace": NAMESPACE}} for alert in case["exp_alerts"]]}
        for case in test["alert_rule_test"]
    ]
    series = [placed(series, f'namespace="{NAMESPACE}"') for series in test["input_series"]]
    return test | {"input_series": series, "alert_rule_test": cases}


def elsewhere(tests: list[dict], rules: list[dict]) -> dict:
    """All tests at once, in another namespace: what rings is that nobody is there, and no more."""
    told = [
        placed(series, f'namespace="{ELSEWHERE}",test="{number}"') for number, test in enumerate(tests) for series in test["input_series"]
    ]
    times = sorted({case["eval_time"] for test in tests for case in test["alert_rule_test"]})
    cases = []
    for rule in rules:
        rings = [{"exp_labels": rule["labels"], "exp_annotations": rule["annotations"]}] if rule["expr"].startswith("absent(") else []
        cases += [{"eval_time": time, "alertname": rule["alert"], "exp_alerts": rings} for time in times]
    return {"name": "elsewhere", "interval": "1m", "input_series": told, "alert_rule_test": cases}


def main() -> None:
    """Writes the rules and their tests."""
    spec = yaml.safe_load(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))["spec"]
    rules = [rule for group in spec["groups"] for rule in group["rules"]]
    held = yaml.safe_load(TESTS.read_text(encoding="utf-8"))
    firing = [test for test in held["tests"] if any(case["exp_alerts"] for case in test["alert_rule_test"])]
    told = held | {"rule_files": ["rules.yaml"], "tests": [*map(here, firing), elsewhere(firing, rules)]}
    directory = pathlib.Path(sys.argv[2])
    (directory / "rules.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    (directory / "rules_test.yaml").write_text(yaml.safe_dump(told), encoding="utf-8")


main()
