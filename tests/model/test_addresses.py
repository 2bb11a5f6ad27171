"""Addresses of nodes, held against the standard library's own reading of them."""

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.reading.address import address_trouble

BYTES = st.sampled_from([0, 1, 9, 10, 99, 100, 127, 199, 200, 219, 220, 223, 224, 239, 249, 250, 255, 256, 260, 300])
PARTS = st.one_of(
    BYTES.map(str), st.integers(0, 255).map(str), st.sampled_from(["00", "01", "010", "", "0x1", " 1", "\u0661"])
)


@given(st.lists(PARTS, min_size=3, max_size=5).map(".".join))
def test_numbers_with_dots_are_an_address_where_the_library_reads_one_machine(text: str) -> None:
    try:
        read = ipaddress.IPv4Address(text)
    except ValueError:
        assert address_trouble(text) is not None
        return
    is_one_machine = not (read.is_unspecified or read.is_multicast or text == "255.255.255.255")
    assert (address_trouble(text) is None) == is_one_machine
