"""Judges rendered manifests: manifests.py DIRECTORY, which holds a directory per version of Kubernetes with files of manifests.

Kinds of Kubernetes by that version's own schema, kinds of operators by their models; an unknown field is a mistake in both. A kind that
neither knows is a mistake too, so that nothing goes by unseen.
"""

import pathlib
import sys

import yaml
from cloudcoil.models.keda import v1alpha1 as keda
from cloudcoil.models.prometheus_operator import v1 as operator
from jsonschema import Draft202012Validator
from kubernetes_validate import utils as kubernetes
from pydantic import ValidationError

MODELS = {
    ("keda.sh/v1alpha1", "ScaledObject"): keda.ScaledObject,
    ("monitoring.coreos.com/v1", "PodMonitor"): operator.PodMonitor,
    ("monitoring.coreos.com/v1", "ServiceMonitor"): operator.ServiceMonitor,
    ("monitoring.coreos.com/v1", "PrometheusRule"): operator.PrometheusRule,
}

# No registry carries a model of Gateway API for Python: this is the part of HTTPRoute v1 that the chart uses.
NAME = {"type": "string", "minLength": 1, "maxLength": 253}
HTTP_ROUTE = {
    "type": "object",
    "required": ["parentRefs", "rules"],
    "additionalProperties": False,
    "properties": {
        "hostnames": {"type": "array", "maxItems": 16, "items": NAME},
        "parentRefs": {
            "type": "array",
            "minItems": 1,
            "maxItems": 32,
            "items": {
                "type": "object",
                "required": ["name"],
                "additionalProperties": False,
                "properties": {key: NAME for key in ("group", "kind", "name", "namespace", "sectionName")} | {"port": {"type": "integer"}},
            },
        },
        "rules": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "matches": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "additionalProperties": False,
                            "properties": {
                                "path": {
                                    "type": "object",
                                    "additionalProperties": False,
                                    "properties": {
                                        "type": {"enum": ["Exact", "PathPrefix", "RegularExpression"]},
                                        "value": {"type": "string", "pattern": "^/"},
                                    },
                                }
                            },
                        },
                    },
                    "backendRefs": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["name", "port"],
                            "additionalProperties": False,
                            "properties": {"name": NAME, "port": {"type": "integer", "minimum": 1, "maximum": 65535}},
                        },
                    },
                },
            },
        },
    },
}


def mistakes(document: dict, version: str) -> list[str]:
    """What is wrong with one document."""
    kind = (document["apiVersion"], document["kind"])
    if kind in MODELS:
        try:
            MODELS[kind].model_validate(document, extra="forbid")
        except ValidationError as error:
            return [f"{'.'.join(map(str, part['loc']))}: {part['msg']}" for part in error.errors()]
        return []
    if kind == ("gateway.networking.k8s.io/v1", "HTTPRoute"):
        found = Draft202012Validator(HTTP_ROUTE).iter_errors(document["spec"])
        return [f"spec.{'.'.join(map(str, error.path))}: {error.message}" for error in found]
    try:
        kubernetes.validate(document, version, strict=True)
    except kubernetes.SchemaNotFoundError:
        return [f"no schema knows this kind in Kubernetes {version}"]
    except kubernetes.ValidationError as error:
        return [f"{'.'.join(map(str, error.path))}: {error.message}"]
    return []


def judge(path: pathlib.Path) -> list[str]:
    """What is wrong in one file."""
    found, seen = [], set()
    for document in filter(None, yaml.safe_load_all(path.read_text(encoding="utf-8"))):
        name = f"{document['kind']}/{document['metadata']['name']}"
        found += [f"{name}: {mistake}" for mistake in mistakes(document, path.parent.name)]
        if name in seen:
            found.append(f"{name}: is there twice")
        seen.add(name)
    return found if seen else ["nothing was rendered"]


def main() -> int:
    """Judges all files."""
    files = sorted(pathlib.Path(sys.argv[1]).glob("*/*"))
    found = [f"{path.name}, Kubernetes {path.parent.name}: {mistake}" for path in files for mistake in judge(path)]
    print("\n".join(found or ([] if files else ["there is nothing to judge"])))
    return 1 if found or not files else 0


sys.exit(main())
