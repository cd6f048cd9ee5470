"""A gRPC client that knows nothing of Causeway: services and messages come from the server's own reflection."""

import hashlib
from urllib.parse import urlsplit

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

TIMEOUT_SECONDS = 30


class ReflectionV1(grpc.StreamStreamClientInterceptor):
    """The client library speaks v1alpha, whose messages are those of v1; the server has v1."""

    def __init__(self, metadata):
        self.metadata = metadata

    def intercept_stream_stream(self, continuation, details, requests):
        method = details.method
        method = method.decode() if isinstance(method, bytes) else method
        details = Details(method.replace(".v1alpha.", ".v1."), details.timeout, self.metadata, details.credentials)
        return continuation(details, requests)


class Details(grpc.ClientCallDetails):
    def __init__(self, method, timeout, metadata, credentials):
        self.method, self.timeout, self.metadata, self.credentials = method, timeout, metadata, credentials
        self.wait_for_ready, self.compression = None, None


class Mesh:
    """Calls any unary or server-streaming RPC by its short name, with plain dictionaries in and out."""

    def __init__(self, url, token=None):
        self.channel = open_channel(url)
        self.token = token
        reflecting = grpc.intercept_channel(self.channel, ReflectionV1(metadata(token)))
        database = ProtoReflectionDescriptorDatabase(reflecting)
        self.services = sorted(database.get_services())
        self.pool = DescriptorPool(database)

    def method(self, name):
        service, rpc = name.split(".")
        full_name = next((known for known in self.services if known.endswith(f".{service}")), None)
        if full_name is None:
            raise LookupError(f"reflection does not list {service}; it lists {self.services}")
        return full_name, self.pool.FindServiceByName(full_name).FindMethodByName(rpc)

    def call(self, name, token=None, /, **fields):
        """The answer as a dictionary; `token=""` calls without a credential."""
        path, request, kind = self.prepare(name, fields)
        stub = self.channel.unary_unary(path, type(request).SerializeToString, kind.FromString)
        return plain(stub(request, timeout=TIMEOUT_SECONDS, metadata=metadata(self.chosen(token))))

    def stream(self, name, token=None, /, **fields):
        """The answers as dictionaries, in order."""
        path, request, kind = self.prepare(name, fields)
        stub = self.channel.unary_stream(path, type(request).SerializeToString, kind.FromString)
        return [plain(m) for m in stub(request, timeout=TIMEOUT_SECONDS, metadata=metadata(self.chosen(token)))]

    def refused(self, code, name, token=None, /, **fields):
        """Makes a call that must fail with `code` and typed details; gives the error."""
        try:
            answer = self.call(name, token, **fields)
        except grpc.RpcError as error:
            assert error.code() is code, f"{name}: expected {code}, got {error.code()}: {error.details()}"
            details = dict(error.trailing_metadata()).get("grpc-status-details-bin", b"")
            assert b"google.rpc.ErrorInfo" in details, f"{name}: no google.rpc.ErrorInfo in the details"
            return error
        raise AssertionError(f"{name}: expected {code}, got {answer}")

    def prepare(self, name, fields):
        service, method = self.method(name)
        request = json_format.ParseDict(fields, GetMessageClass(method.input_type)(), descriptor_pool=self.pool)
        return f"/{service}/{method.name}", request, GetMessageClass(method.output_type)

    def chosen(self, token):
        return self.token if token is None else token


def open_channel(url):
    parts = urlsplit(url)
    if parts.scheme == "https":
        return grpc.secure_channel(f"{parts.hostname}:{parts.port or 443}", grpc.ssl_channel_credentials())
    return grpc.insecure_channel(f"{parts.hostname}:{parts.port or 80}", options=[("grpc.enable_http_proxy", 0)])


def metadata(token):
    return [("authorization", f"Bearer {token}")] if token else []


def plain(message):
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def merkle_root(leaves):
    """RFC 6962 §2.1, written from the RFC and not from the server."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\x01" + merkle_root(leaves[:split]) + merkle_root(leaves[split:])).digest()
