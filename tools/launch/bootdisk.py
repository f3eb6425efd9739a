# SPDX-License-Identifier: BSD-2-Clause
"""A disk from which bootdisk.S boots Umbra with its modules: the fast way to start it in Bochs.

Sector 0 is the loader, sector 1 the table of what it is to load where; then come, each from a sector of
its own, the multiboot information, the image and the modules.
"""
import os
import shutil
import struct

SECTOR, PAGE = 512, 4096
CYLINDER = 16 * 63 * SECTOR
MAX_LOADS = 40
LOADER_NAME = b"umbra run"

MB1_MAGIC, MB1_ADDRESSES = 0x1BADB002, 1 << 16
INFO = 0x10000  # where the information goes; up to 64 KiB
INFO_FLAGS = 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9  # command line, modules, memory map, loader's name
INFO_SIZE = 88
MAP = 0x8000
MODULES = 16 << 20  # where they begin, if the image does not reach so far


class BootDiskError(Exception):
    """What cannot be booted, in a few words."""


def align(value, unit):
    return -(-value // unit) * unit


def read_image(path):
    """(address, bytes, end of what is to be zeroed, entry) by its multiboot header (0.6.96, 3.1.3)."""
    with open(path, "rb") as file:
        data = file.read()
    for at in range(0, min(len(data), 8192) - 32, 4):
        magic, flags, checksum, header, load, load_end, bss_end, entry = struct.unpack_from("<8I", data, at)
        if magic == MB1_MAGIC and not (magic + flags + checksum) & 0xffffffff and flags & MB1_ADDRESSES:
            start = at - (header - load)
            return load, data[start:start + load_end - load], bss_end, entry
    raise BootDiskError(f"{path}: has no multiboot header with addresses")


def place_modules(modules, start, memory):
    """[(path, words, address, size)], each at a page of its own."""
    placed = []
    for path, words in modules:
        size = os.path.getsize(path)
        placed.append((path, words, start, size))
        start = align(start + size, PAGE)
    if start > memory:
        raise BootDiskError(f"the guests' files need {start >> 20} MiB of memory")
    return placed


def make_info(cmdline, placed):
    """The multiboot information (0.6.96, 3.3); the loader adds the length of the memory map."""
    strings = b""
    at = INFO + INFO_SIZE + 16 * len(placed)

    def string(text):
        nonlocal strings
        address = at + len(strings)
        strings += text + b"\0"
        return address
    name, line = string(LOADER_NAME), string(b"umbra.elf " + cmdline.encode())
    table = b"".join(struct.pack("<4I", start, start + size, string(f"{path} {words}".encode()), 0)
                     for path, words, start, size in placed)
    info = struct.pack("<I12xI2I16x2I12xI20x", INFO_FLAGS, line, len(placed), INFO + INFO_SIZE, 0, MAP, name)
    assert len(info) == INFO_SIZE
    return info + table + strings


def write(out, loader, image, cmdline, modules, memory):
    """Write the disk; its number of cylinders (of 16 heads with 63 sectors).

    out, loader, image: paths; modules: [(path, words)]; memory: bytes that the machine has.
    """
    address, data, zero_end, entry = read_image(image)
    placed = place_modules(modules, max(MODULES, align(zero_end, PAGE)), memory)
    pieces = [(INFO, make_info(cmdline, placed)), (address, data)]
    if len(pieces[0][1]) > 0x10000 or len(pieces) + len(placed) >= MAX_LOADS:
        raise BootDiskError("too many modules, or too many words for them")
    loads = []
    with open(out, "wb") as disk:
        disk.seek(2 * SECTOR)

        def add(where, size):
            loads.append((where, disk.tell() // SECTOR, align(size, SECTOR) // SECTOR))
        for where, piece in pieces:
            add(where, len(piece))
            disk.write(piece.ljust(align(len(piece), SECTOR), b"\0"))
        for path, _, where, size in placed:
            add(where, size)
            end = disk.tell() + align(size, SECTOR)
            with open(path, "rb") as file:
                shutil.copyfileobj(file, disk, 1 << 20)
            disk.seek(end)
        cylinders = -(-disk.tell() // CYLINDER)
        disk.truncate(cylinders * CYLINDER)
        disk.seek(0)
        with open(loader, "rb") as file:
            disk.write(file.read())
        table = struct.pack("<4I", entry, INFO, address + len(data), (zero_end - address - len(data) + 3) // 4)
        disk.write(table + b"".join(struct.pack("<3I", *load) for load in loads).ljust(SECTOR - len(table), b"\0"))
    return cylinders
