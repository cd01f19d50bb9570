from cni_runtime.plugins.portmap.reference import chain_of


def test_the_chain_has_the_reference_plugins_name() -> None:
    assert chain_of("mynet", "cid1") == "CNI-DN-a631aa8e1549a3b129110"
    assert chain_of("mynet", "cid1", "SN") == "CNI-SN-a631aa8e1549a3b129110"
