"""Addresses of boards, and what is none."""

from __future__ import annotations

import pytest

from edgevid.benchmarks.devices import device_at, is_device
from edgevid.benchmarks.devices.address import AdbAddress, SshAddress, parse
from edgevid.errors import BenchmarkError


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("ssh://nano", SshAddress("nano")),
        ("ssh://pi@10.0.0.7", SshAddress("10.0.0.7", "pi")),
        ("ssh://pi@nano.local:2222", SshAddress("nano.local", "pi", 2222)),
        ("ssh://pi@[fe80::1%eth0]:22", SshAddress("fe80::1%eth0", "pi", 22)),
        ("adb://R58M12ABCDE", AdbAddress("R58M12ABCDE")),
        ("adb://192.168.1.5:5555", AdbAddress("192.168.1.5:5555")),
        ("adb://", AdbAddress("")),
    ],
)
def test_an_address_has_parts_and_is_printed_as_it_was_given(address, parts):
    assert parse(address) == parts
    assert str(parts) == address
    assert is_device(address) and device_at(address).address == address


@pytest.mark.parametrize("address", ["local", "rpc://tracker:9190/nano", "nano"])
def test_other_devices_are_not_meant(address):
    assert not is_device(address)
    with pytest.raises(BenchmarkError, match=r"ssh://\[USER@\]HOST\[:PORT\] or adb://SERIAL"):
        device_at(address)


HOSTILE = (
    "$(touch x)", "`touch x`", "a;rm -r x", "a|b", "a&b", "a>b", "a\nb", "a b", "a'b", 'a"b', "a\\b",
    "-oProxyCommand=x", "%h", "a\0b", "é",
)  # fmt: skip


@pytest.mark.parametrize("word", HOSTILE)
def test_no_word_that_a_shell_or_an_option_could_be_is_a_user_a_host_or_a_serial(word):
    for address in (f"ssh://{word}", f"ssh://{word}@nano", f"ssh://pi@{word}:22", f"ssh://nano:{word}"):
        with pytest.raises(BenchmarkError, match="cannot measure on device"):
            device_at(address)
    if word not in ("a b",):  # adb finds serials with spaces over the network
        with pytest.raises(BenchmarkError, match="cannot measure on device"):
            device_at(f"adb://{word}")


def test_a_password_has_no_place_in_an_address():
    with pytest.raises(BenchmarkError, match="ssh-copy-id"):
        device_at("ssh://pi:secret@nano")


@pytest.mark.parametrize("port", ["0", "65536", "-1", "", "22x"])
def test_a_port_is_a_number_of_a_port(port):
    with pytest.raises(BenchmarkError, match="is not"):
        device_at(f"ssh://nano:{port}")
