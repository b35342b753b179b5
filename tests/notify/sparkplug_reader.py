"""Reads Sparkplug B by Google's Protocol Buffers, with the message types as sparkplug_b.proto publishes them."""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

F = descriptor_pb2.FieldDescriptorProto
MESSAGES: dict[str, list[tuple[str, int, int, int, str]]] = {
    "PropertyValue": [
        ("type", 1, F.TYPE_UINT32, 1, ""),
        ("is_null", 2, F.TYPE_BOOL, 1, ""),
        ("int_value", 3, F.TYPE_UINT32, 1, ""),
        ("long_value", 4, F.TYPE_UINT64, 1, ""),
        ("float_value", 5, F.TYPE_FLOAT, 1, ""),
        ("double_value", 6, F.TYPE_DOUBLE, 1, ""),
        ("boolean_value", 7, F.TYPE_BOOL, 1, ""),
        ("string_value", 8, F.TYPE_STRING, 1, ""),
    ],
    "PropertySet": [("keys", 1, F.TYPE_STRING, 3, ""), ("values", 2, F.TYPE_MESSAGE, 3, ".PropertyValue")],
    "Metric": [
        ("name", 1, F.TYPE_STRING, 1, ""),
        ("alias", 2, F.TYPE_UINT64, 1, ""),
        ("timestamp", 3, F.TYPE_UINT64, 1, ""),
        ("datatype", 4, F.TYPE_UINT32, 1, ""),
        ("is_historical", 5, F.TYPE_BOOL, 1, ""),
        ("is_transient", 6, F.TYPE_BOOL, 1, ""),
        ("is_null", 7, F.TYPE_BOOL, 1, ""),
        ("properties", 9, F.TYPE_MESSAGE, 1, ".PropertySet"),
        ("int_value", 10, F.TYPE_UINT32, 1, ""),
        ("long_value", 11, F.TYPE_UINT64, 1, ""),
        ("float_value", 12, F.TYPE_FLOAT, 1, ""),
        ("double_value", 13, F.TYPE_DOUBLE, 1, ""),
        ("boolean_value", 14, F.TYPE_BOOL, 1, ""),
        ("string_value", 15, F.TYPE_STRING, 1, ""),
    ],
    "Payload": [
        ("timestamp", 1, F.TYPE_UINT64, 1, ""),
        ("metrics", 2, F.TYPE_MESSAGE, 3, ".Metric"),
        ("seq", 3, F.TYPE_UINT64, 1, ""),
        ("uuid", 4, F.TYPE_STRING, 1, ""),
        ("body", 5, F.TYPE_BYTES, 1, ""),
    ],
}


def _types() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="sparkplug_b.proto", syntax="proto2")
    for name, parts in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, label, of in parts:
            message.field.add(name=field, number=number, type=kind, label=label, type_name=of or None)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in MESSAGES}


TYPES = _types()
VALUES = ("int_value", "long_value", "double_value", "boolean_value", "string_value")


def read(data: bytes) -> Any:
    """A payload; every byte of it must belong to a known field."""
    found = TYPES["Payload"].FromString(data)
    assert found.SerializeToString(deterministic=True) is not None
    known = TYPES["Payload"].FromString(data)
    known.DiscardUnknownFields()
    assert known == found
    return found


def value(part: Any) -> Any:
    """The value of a metric or a property; None where there is none."""
    return next((getattr(part, name) for name in VALUES if part.HasField(name)), None)


def properties(metric: Any) -> dict[str, Any]:
    return dict(zip(metric.properties.keys, map(value, metric.properties.values), strict=True))


def command(name: str, wanted: bool) -> bytes:
    payload = TYPES["Payload"](timestamp=1)
    payload.metrics.add(name=name, datatype=11, boolean_value=wanted, timestamp=1)
    return bytes(payload.SerializeToString())
