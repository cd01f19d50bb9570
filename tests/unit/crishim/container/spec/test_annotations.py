"""Annotations: our own, and which of the caller's are passed on."""

import pytest
from msgspec.structs import replace

from crishim.container.spec.annotations import passed_on, spec_annotations
from crishim.model.container import ImageSpec
from tests.unit.crishim.container.spec.parts import asked, inputs

OWN = {
    "io.kubernetes.cri.container-type": "container",
    "io.kubernetes.cri.sandbox-id": "pod1",
    "io.kubernetes.cri.sandbox-name": "web",
    "io.kubernetes.cri.sandbox-namespace": "shop",
    "io.kubernetes.cri.sandbox-uid": "u1",
    "io.kubernetes.cri.container-name": "c",
    "io.kubernetes.cri.image-name": "sha256:1",
}


def test_own() -> None:
    assert spec_annotations(inputs()) == OWN


def test_nobody_else_says_who_it_is() -> None:
    lies = {"io.kubernetes.cri.sandbox-name": "other", "a": "b"}
    assert spec_annotations(inputs(annotations=lies)) == {**OWN, "a": "b"}


def test_the_image_by_its_name() -> None:
    config = replace(asked(), image=ImageSpec("sha256:1", user_specified_image="web:1"))
    assert spec_annotations(inputs(config))["io.kubernetes.cri.image-name"] == "web:1"


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("com.example.*", ["com.example.a"]),
        ("com.example.*/*", ["com.example.a/b"]),
        ("*", ["com.example.a", "plain", "[x]", "-"]),
        ("*/*", ["com.example.a/b"]),
        ("pla?n", ["plain"]),
        ("pl[a-c]in", ["plain"]),
        ("pl[^a-c]in", []),
        (r"\[x\]", ["[x]"]),
        (r"[\-]", ["-"]),
        ("[[]x]", ["[x]"]),
        ("com.example.a/b", ["com.example.a/b"]),
        ("comXexample*", []),
        ("[", []),
        ("[z-a]", []),
        ("a\\", []),
        ("", []),
    ],
)
def test_passed_on(pattern: str, names: list[str]) -> None:
    annotations = dict.fromkeys(["com.example.a", "com.example.a/b", "plain", "[x]", "-"], "v")
    assert list(passed_on(annotations, [pattern])) == names


def test_any_pattern_will_do() -> None:
    assert passed_on({"a": "1", "b": "2", "c": "3"}, ["a", "[", "b"]) == {"a": "1", "b": "2"}
