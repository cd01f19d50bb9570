from __future__ import annotations

from cni_runtime.net.nftcommands import Element, Table, change, making, rule_count, rules_anew

TABLE = Table("mine", "chain near {\n}\nchain c {\n drop\n}", rules=(("near", "ip saddr {{ {} }} accept"),))
IN_SET, RULE = Element("s", "10.0.0.1"), Element("near", "10.0.0.0/24", shared=True)


def test_an_element_can_be_a_rule() -> None:
    assert making(TABLE, (IN_SET, RULE)).splitlines()[-2:] == [
        "add element inet mine s { 10.0.0.1 }",
        "add rule inet mine near ip saddr { 10.0.0.0/24 } accept",
    ]


def test_rules_are_made_anew_apart_from_elements() -> None:
    assert change(TABLE, "create", (IN_SET, RULE)) == "create element inet mine s { 10.0.0.1 }\n"
    assert rules_anew(TABLE, (IN_SET, RULE)).splitlines() == [
        "flush chain inet mine near",
        "add rule inet mine near ip saddr { 10.0.0.0/24 } accept",
    ]


def test_rules_of_the_text_and_of_elements_are_counted() -> None:
    assert (rule_count(TABLE, ()), rule_count(TABLE, (IN_SET, RULE))) == (1, 2)
