"""The compiled interface holds exactly what the table of facts holds."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    MethodDescriptorProto,
)

from crishim.rpc.pb import api_pb2

Row = tuple[str, ...]


def facts() -> list[Row]:
    lines = Path(__file__).with_name("runtime-v1.tsv").read_text().splitlines()
    return [tuple(line.split("\t")) for line in lines if not line.startswith("#")]


def compiled() -> list[Row]:
    file = FileDescriptorProto()
    api_pb2.DESCRIPTOR.CopyToProto(file)
    return list(rows(file))


def rows(file: FileDescriptorProto) -> Iterator[Row]:
    for service in file.service:
        for method in service.method:
            yield "rpc", service.name, method.name, short(method.input_type), answer(method)
    for enum in file.enum_type:
        yield from enum_rows(enum.name, enum)
    for message in file.message_type:
        yield from message_rows(message)


def message_rows(message: DescriptorProto) -> Iterator[Row]:
    for enum in message.enum_type:
        yield from enum_rows(f"{message.name}.{enum.name}", enum)
    if not message.field:
        yield "message", message.name
    entries = {nested.name: nested for nested in message.nested_type}
    for field in message.field:
        row = ("field", message.name, field.name, str(field.number), kind(field, entries))
        yield (*row, "deprecated") if field.options.deprecated else row


def enum_rows(name: str, enum: EnumDescriptorProto) -> Iterator[Row]:
    for value in enum.value:
        yield "enum", name, value.name, str(value.number)


def kind(field: FieldDescriptorProto, entries: dict[str, DescriptorProto]) -> str:
    name = type_name(field)
    if name in entries:
        key, value = entries[name].field
        return f"map<{type_name(key)}, {type_name(value)}>"
    return f"repeated {name}" if field.label == FieldDescriptorProto.LABEL_REPEATED else name


def type_name(field: FieldDescriptorProto) -> str:
    scalar = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    return short(field.type_name) if scalar in ("message", "enum") else scalar


def answer(method: MethodDescriptorProto) -> str:
    assert not method.client_streaming
    return f"stream {short(method.output_type)}" if method.server_streaming else short(method.output_type)


def short(type_name: str) -> str:
    return type_name.rpartition(".")[2]


def test_nothing_is_missing_and_nothing_is_extra() -> None:
    assert sorted(compiled()) == sorted(facts())


@pytest.mark.parametrize(("rows_of", "count"), [("rpc", 43), ("field", 478)])
def test_the_table_is_whole(rows_of: str, count: int) -> None:
    assert len([row for row in facts() if row[0] == rows_of]) == count


def test_package_and_syntax() -> None:
    file = FileDescriptorProto()
    api_pb2.DESCRIPTOR.CopyToProto(file)
    assert (file.package, file.syntax) == ("runtime.v1", "proto3")
