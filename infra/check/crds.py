"""Prints the operators' CustomResourceDefinitions for an API server, made from the models that `manifests.py` judges by.

The operators' own files are not to be had from a package registry. What these lack is the operators' defaults and CEL rules; fields,
types and required ones are theirs, so the API server refuses an unknown field.
"""

import json
import sys

from cloudcoil.models.keda import v1alpha1 as keda
from cloudcoil.models.prometheus_operator import v1 as operator

KINDS = [
    (keda.ScaledObject, "keda.sh", "v1alpha1", "scaledobjects"),
    (operator.PodMonitor, "monitoring.coreos.com", "v1", "podmonitors"),
    (operator.ServiceMonitor, "monitoring.coreos.com", "v1", "servicemonitors"),
    (operator.PrometheusRule, "monitoring.coreos.com", "v1", "prometheusrules"),
]

KEPT = {"type", "properties", "required", "items", "enum", "minimum", "maximum", "minLength", "maxLength", "pattern", "format"}
ANYTHING = {"x-kubernetes-preserve-unknown-fields": True}


def structural(node: dict, definitions: dict, above: tuple[str, ...] = ()) -> dict:
    """A JSON schema as the API server takes it: no references, no alternatives."""
    if "$ref" in node:
        name = node["$ref"].rsplit("/", 1)[1]
        return ANYTHING if name in above else structural(definitions[name], definitions, (*above, name))
    choices = [choice for choice in node.get("anyOf", []) if choice.get("type") != "null"]
    if len(choices) == 1:
        return structural(choices[0], definitions, above)
    if choices:
        kinds = {choice.get("type") for choice in choices}
        return {"x-kubernetes-int-or-string": True} if kinds == {"integer", "string"} else ANYTHING
    if "type" not in node:
        return ANYTHING
    made = {key: value for key, value in node.items() if key in KEPT}
    if "properties" in made:
        made["properties"] = {key: structural(value, definitions, above) for key, value in made["properties"].items()}
    if "items" in made:
        made["items"] = structural(made["items"], definitions, above)
    if isinstance(node.get("additionalProperties"), dict):
        made["additionalProperties"] = structural(node["additionalProperties"], definitions, above)
    elif made["type"] == "object" and "properties" not in made:
        return {"type": "object"} | ANYTHING
    return made


def definition(model: type, group: str, version: str, plural: str) -> dict:
    """The CustomResourceDefinition of one kind."""
    whole = model.model_json_schema(by_alias=True)
    kind = model.__name__
    properties = whole["properties"]
    schema = {
        "type": "object",
        "required": ["spec"],
        "properties": {
            "spec": structural(properties["spec"], whole["$defs"]),
            "status": {"type": "object"} | ANYTHING,
        },
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "versions": [{"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }


json.dump({"apiVersion": "v1", "kind": "List", "items": [definition(*kind) for kind in KINDS]}, sys.stdout)
