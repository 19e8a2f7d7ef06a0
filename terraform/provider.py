"""Stands for the provider hashicorp/aws where it is not on the disk: it knows what each resource
may say, and nothing of AWS. `terraform test` with mocks needs no more; values that the real one
refuses (a class that is none, a name that is too long) pass here.

usage: provider.py trim < FULL > FILE    FULL is what `terraform providers schema -json` prints
       provider.py check FILE            whether it has all that the modules have
       provider.py serve FILE            prints what TF_REATTACH_PROVIDERS takes

FILE is provider-schema.json.gz: the schema of hashicorp/aws 5.100.0 (MPL-2.0), without
descriptions, for the resources that the modules have. Messages are those of plugin protocol 5,
written by hand.
"""

import gzip
import json
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PROVIDER = "registry.terraform.io/hashicorp/aws"
NESTING = {"single": 1, "list": 2, "set": 3, "map": 4, "group": 5}


def used():
    """Kinds of resources and of data sources in the code."""
    text = "".join(path.read_text() for path in Path(__file__).parent.glob("modules/*/*.tf"))
    return {
        kind: sorted(set(re.findall(rf'^{kind} "(aws_\w+)"', text, re.MULTILINE)))
        for kind in ("resource", "data")
    }


def trim(full):
    schemas = full["provider_schemas"][PROVIDER]
    wanted = used()
    kept = {"provider": schemas["provider"]}
    for kind, name in (("resource", "resource_schemas"), ("data", "data_source_schemas")):
        kept[name] = {one: schemas[name][one] for one in wanted[kind]}
    return without_prose(kept)


def without_prose(value):
    """An attribute that is called description is kept: it is an object, and prose is a text."""
    if isinstance(value, list):
        return [without_prose(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        name: without_prose(one)
        for name, one in value.items()
        if not (name in ("description", "description_kind") and isinstance(one, str))
    }


def missing(kept):
    pairs = (("resource", "resource_schemas"), ("data", "data_source_schemas"))
    return [one for kind, name in pairs for one in used()[kind] if one not in kept[name]]


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, value):
    """A field of a message: a number, or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value) if value else b""
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def attribute(name, is_):
    message = field(1, name) + field(2, json.dumps(is_["type"]))
    flags = ((4, "required"), (5, "optional"), (6, "computed"), (7, "sensitive"))
    return message + b"".join(field(number, int(is_.get(flag, False))) for number, flag in flags)


def block(is_):
    message = b""
    for name, one in is_.get("attributes", {}).items():
        message += field(2, attribute(name, one))
    for name, one in is_.get("block_types", {}).items():
        nested = field(1, name) + field(2, block(one["block"]))
        nested += field(3, NESTING[one["nesting_mode"]])
        nested += field(4, one.get("min_items", 0)) + field(5, one.get("max_items", 0))
        message += field(3, nested)
    return message


def schema(is_):
    return field(1, is_.get("version", 0)) + field(2, block(is_["block"]))


def answer(kept):
    message = field(1, schema(kept["provider"]))
    for number, name in ((2, "resource_schemas"), (3, "data_source_schemas")):
        for kind, one in kept[name].items():
            message += field(number, field(1, kind) + field(2, schema(one)))
    return message


def serve(kept):
    import grpc

    whole = answer(kept)

    def handler(reply):
        return grpc.unary_unary_rpc_method_handler(
            lambda request, _: reply(request), lambda raw: raw, lambda raw: raw
        )

    # What is asked to be prepared is prepared: both messages have the value as their first field.
    replies = {"GetSchema": lambda _: whole, "PrepareProviderConfig": lambda request: request}
    for method in ("ValidateResourceTypeConfig", "ValidateDataSourceConfig", "Configure", "Stop"):
        replies[method] = lambda _: b""
    handlers = {method: handler(reply) for method, reply in replies.items()}
    unbounded = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(4), options=unbounded)
    service = grpc.method_handlers_generic_handler("tfplugin5.Provider", handlers)
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    address = {"Network": "tcp", "String": f"127.0.0.1:{port}"}
    reattach = {
        "Protocol": "grpc",
        "ProtocolVersion": 5,
        "Pid": os.getpid(),
        "Test": True,
        "Addr": address,
    }
    print(json.dumps({PROVIDER: reattach}), flush=True)
    # Ends with whoever started it.
    sys.stdin.read()
    server.stop(None)


def main():
    if sys.argv[1:] == ["trim"]:
        text = json.dumps(trim(json.load(sys.stdin)), separators=(",", ":"), sort_keys=True)
        sys.stdout.buffer.write(gzip.compress(text.encode(), mtime=0))
        return
    if len(sys.argv) != 3 or sys.argv[1] not in ("check", "serve"):
        sys.exit(__doc__)
    kept = json.loads(gzip.decompress(Path(sys.argv[2]).read_bytes()))
    if sys.argv[1] == "serve":
        serve(kept)
    elif missing(kept):
        kinds = ", ".join(missing(kept))
        sys.exit(f"not in {sys.argv[2]}: {kinds}. Make it anew: provider.py trim")


if __name__ == "__main__":
    main()
