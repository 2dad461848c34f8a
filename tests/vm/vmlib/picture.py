# SPDX-License-Identifier: MIT
"""Pictures in plain Python: PNG and PPM in, PNG out, exact comparison.

A Picture's pixels are bytes, three a pixel (red, green, blue), rows from top to bottom."""

import struct
import zlib

from .say import VmError

_MAGIC = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}


class Picture:
    def __init__(self, width, height, pixels):
        if len(pixels) != width * height * 3:
            raise VmError(f"{len(pixels)} bytes are not a picture of {width}x{height}")
        self.width = width
        self.height = height
        self.pixels = bytes(pixels)

    def __eq__(self, other):
        return (self.width, self.height, self.pixels) == (other.width, other.height, other.pixels)

    def at(self, x, y):
        offset = (y * self.width + x) * 3
        return tuple(self.pixels[offset:offset + 3])

    def colours(self, limit=1 << 16):
        """How many different colours there are (counted up to a limit)."""
        seen = set()
        for offset in range(0, len(self.pixels), 3):
            seen.add(self.pixels[offset:offset + 3])
            if len(seen) >= limit:
                break
        return len(seen)

    def part(self, x, y, width, height):
        rows = bytearray()
        for row in range(y, y + height):
            begin = (row * self.width + x) * 3
            rows += self.pixels[begin:begin + width * 3]
        return Picture(width, height, rows)

    def write_png(self, path):
        stride = self.width * 3
        rows = bytearray()
        for begin in range(0, len(self.pixels), stride):
            rows += b"\0" + self.pixels[begin:begin + stride]
        header = struct.pack(">IIBBBBB", self.width, self.height, 8, 2, 0, 0, 0)
        with open(path, "wb") as file:
            file.write(_MAGIC + _chunk(b"IHDR", header) +
                       _chunk(b"IDAT", zlib.compress(bytes(rows), 6)) + _chunk(b"IEND", b""))


def difference(got, wanted):
    """None if the pictures are equal, else words about where and how they differ."""
    if (got.width, got.height) != (wanted.width, wanted.height):
        return f"{got.width}x{got.height} instead of {wanted.width}x{wanted.height}"
    if got.pixels == wanted.pixels:
        return None
    count = 0
    first = None
    xs, ys = [], []
    for index in range(got.width * got.height):
        if got.pixels[index * 3:index * 3 + 3] != wanted.pixels[index * 3:index * 3 + 3]:
            x, y = index % got.width, index // got.width
            first = first or (x, y)
            count += 1
            xs.append(x)
            ys.append(y)
    return (f"{count} pixels differ, within x {min(xs)}..{max(xs)}, y {min(ys)}..{max(ys)}; the "
            f"first, at {first}, is {got.at(*first)} instead of {wanted.at(*first)}")


def _chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _paeth(left, up, corner):
    guess = left + up - corner
    near = (abs(guess - left), abs(guess - up), abs(guess - corner))
    return (left, up, corner)[near.index(min(near))]


def _unfilter(kind, row, above, step):
    """Undo a row's filter in place (PNG 1.2, 6 Filter Algorithms)."""
    if kind == 0:
        return
    if kind == 2 and len(row) == len(above):
        # The commonest filter of all but natural pictures; the rest are plain loops.
        row[:] = bytes((a + b) & 255 for a, b in zip(row, above))
        return
    for index, value in enumerate(row):
        left = row[index - step] if index >= step else 0
        up = above[index]
        corner = above[index - step] if index >= step else 0
        if kind == 1:
            value += left
        elif kind == 3:
            value += (left + up) // 2
        elif kind == 4:
            value += _paeth(left, up, corner)
        else:
            raise VmError(f"a PNG with unknown filter {kind}")
        row[index] = value & 255


def _rgb(row, channels):
    if channels == 3:
        return row
    out = bytearray(len(row) // channels * 3)
    for channel in range(3):
        out[channel::3] = row[channel if channels == 4 else 0::channels]
    return out


def read_png(path):
    """An 8-bit, not interlaced PNG; alpha is left out."""
    with open(path, "rb") as file:
        data = file.read()
    if not data.startswith(_MAGIC):
        raise VmError(f"{path} is not a PNG file")
    offset, packed, header = len(_MAGIC), b"", None
    while offset + 12 <= len(data):
        size, name = struct.unpack_from(">I4s", data, offset)
        body = data[offset + 8:offset + 8 + size]
        check, = struct.unpack_from(">I", data, offset + 8 + size)
        if check != zlib.crc32(name + body):
            raise VmError(f"{path}: wrong checksum of chunk {name.decode(errors='replace')}")
        if name == b"IHDR":
            header = struct.unpack(">IIBBBBB", body)
        elif name == b"IDAT":
            packed += body
        offset += 12 + size
        if name == b"IEND":
            break
    else:
        raise VmError(f"{path}: the file ends too early")
    width, height, depth, colour, _, _, interlace = header
    if depth != 8 or colour not in _CHANNELS or interlace:
        raise VmError(f"{path}: a kind of PNG that is not read here")
    channels = _CHANNELS[colour]
    raw = zlib.decompress(packed)
    stride = width * channels
    above = bytearray(stride)
    pixels = bytearray()
    for begin in range(0, height * (stride + 1), stride + 1):
        row = bytearray(raw[begin + 1:begin + 1 + stride])
        _unfilter(raw[begin], row, above, channels)
        pixels += _rgb(row, channels)
        above = row
    return Picture(width, height, pixels)


def read_ppm(path):
    """A binary PPM of 8 bits a channel, as QEMU's screendump writes it."""
    with open(path, "rb") as file:
        return parse_ppm(file.read(), path)


def parse_ppm(data, name):
    fields = data.split(maxsplit=4)[:4]
    if len(fields) < 4 or fields[0] != b"P6" or fields[3] != b"255":
        raise VmError(f"{name} is not a binary PPM")
    width, height = int(fields[1]), int(fields[2])
    return Picture(width, height, data[len(data) - width * height * 3:])
