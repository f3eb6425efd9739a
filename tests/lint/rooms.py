# SPDX-License-Identifier: BSD-2-Clause
"""The rooms of the tree, and which of them each may use: for `includes`, which looks at headers, and `knots`, at calls."""
import os
import re

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
PARTS = ("lib", "arch", "drivers", "mm", "ept", "vmm", "boot")

# Paths -> room; the first that matches. A folder that is not named belongs to the one that it lies in.
ROOMS = [(re.compile(pattern), room) for pattern, room in (
    (r"lib/", "lib"),
    (r"arch/", "arch"),
    (r"drivers/", "drivers"),
    (r"mm/shadow/", "mm/shadow"),
    (r"mm/", "mm"),
    (r"ept/", "ept"),
    (r"vmm/emulate/", "vmm/emulate"),
    # What a device model is given, in dev/ or in dev/apic/: interrupt lines, a bus, timers, and what it knows of its VM.
    (r"vmm/dev/(host|irq_line|timer|bus)\.", "the floor of vmm/dev"),
    (r"vmm/dev/apic/", "vmm/dev/apic"),
    (r"vmm/dev/platform\.", "the board"),  # of vmm/dev the only one that knows the APICs
    (r"vmm/dev/", "vmm/dev"),
    (r"vmm/firmware/", "vmm/firmware"),
    (r"vmm/load/", "vmm/load"),
    (r"vmm/exit/", "vmm/exit"),
    (r"vmm/control/", "vmm/control"),
    (r"vmm/mmu\.", "vmm/mmu"),  # the only one that knows the engines, ept/ and mm/shadow/
    (r"vmm/", "vmm"),
    (r"boot/", "boot"),
)]

DEVICES = {"the floor of vmm/dev", "vmm/dev/apic", "vmm/dev", "the board"}
BELOW_VMM = {"lib", "arch", "mm", "drivers", "vmm/emulate", "vmm/firmware", "vmm/load"} | DEVICES

MAY_USE = {
    "lib": set(),
    "arch": {"lib"},
    "drivers": {"lib", "arch"},
    "mm": {"lib"},
    "mm/shadow": {"lib", "mm"},
    "ept": {"lib", "mm"},
    "vmm/emulate": {"lib", "arch"},
    "the floor of vmm/dev": {"lib", "arch"},
    "vmm/dev/apic": {"lib", "arch", "the floor of vmm/dev"},
    "vmm/dev": {"lib", "arch", "mm", "the floor of vmm/dev"},
    "the board": {"lib", "arch", "mm"} | DEVICES,
    "vmm/firmware": {"lib", "arch", "mm"} | DEVICES,
    "vmm/load": {"lib", "arch", "mm", "vmm/firmware"} | DEVICES,
    "vmm/mmu": BELOW_VMM | {"vmm", "ept", "mm/shadow"},
    "vmm": BELOW_VMM | {"vmm/mmu"},
    "vmm/exit": BELOW_VMM | {"vmm/mmu", "vmm"},
    "vmm/control": BELOW_VMM | {"vmm/mmu", "vmm", "vmm/exit"},
    "boot": BELOW_VMM | {"vmm/mmu", "vmm", "vmm/exit", "vmm/control"},
}


def room_of(path):
    return next((room for pattern, room in ROOMS if pattern.match(path)), None)


def may_use(source, target):
    """May this file use that one?"""
    room, other = room_of(source), room_of(target)
    return room == other or other in MAY_USE[room]


def files(tree, *endings):
    """The hypervisor's files whose names end so, as paths from the root of the tree."""
    return sorted(os.path.relpath(os.path.join(folder, name), tree)
                  for part in PARTS for folder, _, names in os.walk(os.path.join(tree, part))
                  for name in names if name.endswith(endings))
