# SPDX-License-Identifier: MIT
"""README's domain with QEMU's generic device, made whole.

How this works: README's own lines are the domain, so that they cannot differ from what is tested. Its
dots stand for what a domain has besides, and that is taken from domain.xml."""

import re
import textwrap
import xml.etree.ElementTree as etree
from pathlib import Path

from vmlib.say import VmError

HERE = Path(__file__).resolve().parent
README = HERE.parents[1] / "README.md"


def _lines():
    found = re.findall(r"^ +<domain .*?</domain>\n", README.read_text(), re.M | re.S)
    if len(found) != 1:
        raise VmError(f"README.md has {len(found)} domains, not one")
    return textwrap.dedent(found[0])


def _replace_one(text, old, new):
    if text.count(old) != 1:
        raise VmError(f"README's domain has not one {old!r}:\n{text}")
    return text.replace(old, new)


def _text(elements):
    return "".join(etree.tostring(element, encoding="unicode") for element in elements)


def domain(emulator):
    """The XML of README's domain, run by QEMU `emulator` without KVM."""
    others = etree.parse(HERE / "domain.xml").getroot()
    devices = others.find("devices")
    devices.find("emulator").text = emulator
    text = _replace_one(_lines(), "type='kvm'", "type='qemu'")
    text = _replace_one(text, "\n  ...\n", "\n" + _text(
        element for element in others if element.tag not in ("devices", "memoryBacking")))
    return _replace_one(text, "<devices> ... ", "<devices>" + _text(
        element for element in devices if element.tag != "video"))
