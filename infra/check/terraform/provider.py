"""A provider for Terraform that knows its schema and nothing else: provider.py SCHEMA.json

`terraform validate` checks a configuration against the schema, and `terraform test` with mock providers plans and applies it, without the
real provider and without an account. Whatever would need the real one is refused. SCHEMA_NAMES in the environment holds the answer to the kinds
that it names; a kind that is not among them is unknown.
"""

import base64
import json
import os
import sys
import tempfile
from concurrent import futures

import grpc
from tf.gen import grpc_controller_pb2 as controller
from tf.gen import grpc_controller_pb2_grpc as controller_service
from tf.gen import grpc_stdio_pb2_grpc as stdio_service
from tf.gen import tfplugin_pb2 as plugin
from tf.gen import tfplugin_pb2_grpc as plugin_service
from tf.runner import _self_signed_cert

NESTING = {"single": 1, "list": 2, "set": 3, "map": 4}
WRITE_ONLY = b"\x58\x01"  # field 11 of an attribute, which the generated classes are too old to know


def concrete(kind: object) -> object:
    """A type without `dynamic`, which may not stand inside a set."""
    if kind == "dynamic":
        return "string"
    if isinstance(kind, list):
        inner = kind[1]
        return [kind[0], {key: concrete(value) for key, value in inner.items()} if isinstance(inner, dict) else concrete(inner)]
    return kind


def block(told: dict, in_set: bool = False) -> plugin.Schema.Block:
    """A block of a schema, as Terraform wants it."""
    made = plugin.Schema.Block(version=0)
    for name, attribute in told["attributes"].items():
        kind = attribute["type"]
        one = plugin.Schema.Attribute(
            name=name,
            type=json.dumps(concrete(kind) if in_set or isinstance(kind, list) else kind).encode(),
            required=attribute.get("required", False),
            optional=attribute.get("optional", False),
            computed=attribute.get("computed", False),
        )
        if name.endswith("_wo"):
            one.MergeFromString(WRITE_ONLY)
        made.attributes.append(one)
    for name, inner in told["block_types"].items():
        nesting = inner["nesting_mode"]
        made.block_types.append(
            plugin.Schema.NestedBlock(
                type_name=name,
                block=block(inner["block"], in_set or nesting == "set"),
                nesting=NESTING[nesting],
                min_items=inner.get("min_items", 0) if nesting in ("list", "set") else 0,
                max_items=inner.get("max_items", 0),
            )
        )
    return made


def schema(told: dict) -> plugin.Schema:
    """A whole schema."""
    return plugin.Schema(version=told.get("version", 0), block=block(told["block"]))


class Provider(plugin_service.ProviderServicer):
    """Tells the schema and takes every configuration that fits it."""

    def __init__(self, told: dict):
        self.told = told

    def GetProviderSchema(self, request, context):  # noqa: N802
        return plugin.GetProviderSchema.Response(
            provider=schema(self.told["provider"]),
            resource_schemas={name: schema(one) for name, one in self.told["resource_schemas"].items()},
            data_source_schemas={name: schema(one) for name, one in self.told["data_source_schemas"].items()},
        )

    def ValidateProviderConfig(self, request, context):  # noqa: N802
        return plugin.ValidateProviderConfig.Response()

    def ValidateResourceConfig(self, request, context):  # noqa: N802
        return plugin.ValidateResourceConfig.Response()

    def ValidateDataResourceConfig(self, request, context):  # noqa: N802
        return plugin.ValidateDataResourceConfig.Response()

    def ConfigureProvider(self, request, context):  # noqa: N802
        refusal = plugin.Diagnostic(severity=1, summary="this provider knows its schema alone: plan and apply need the real one")
        return plugin.ConfigureProvider.Response(diagnostics=[refusal])

    def UpgradeResourceState(self, request, context):  # noqa: N802
        return plugin.UpgradeResourceState.Response()

    def GetFunctions(self, request, context):  # noqa: N802
        return plugin.GetFunctions.Response()

    def StopProvider(self, request, context):  # noqa: N802
        return plugin.StopProvider.Response()


class Controller(controller_service.GRPCControllerServicer):
    """Ends the process when Terraform says so."""

    def Shutdown(self, request, context):  # noqa: N802
        os._exit(0)
        return controller.Empty()


class Stdio(stdio_service.GRPCStdioServicer):
    """Has nothing to say."""

    def StreamStdio(self, request, context):  # noqa: N802
        return iter([])


def main() -> None:
    """Serves on a socket, whose address and certificate Terraform reads from the first line."""
    with open(sys.argv[1], encoding="utf-8") as file:
        told = json.load(file)
    names = os.environ.get("SCHEMA_NAMES", "").split()
    if names:
        for kinds in ("resource_schemas", "data_source_schemas"):
            told[kinds] = {name: one for name, one in told[kinds].items() if name in names}
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8), options=[("grpc.max_send_message_length", -1)])
    plugin_service.add_ProviderServicer_to_server(Provider(told), server)
    controller_service.add_GRPCControllerServicer_to_server(Controller(), server)
    stdio_service.add_GRPCStdioServicer_to_server(Stdio(), server)
    socket = os.path.join(tempfile.mkdtemp(), "socket")
    chain, credentials = _self_signed_cert()
    server.add_secure_port(f"unix://{socket}", credentials)
    server.start()
    print("|".join(["1", "6", "unix", socket, "grpc", base64.b64encode(chain).decode().rstrip("=")]), flush=True)
    server.wait_for_termination()


main()
