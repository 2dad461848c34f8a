# SPDX-License-Identifier: MIT
"""The test picture that modetest draws, computed here from its geometry: SMPTE colour bars.

Seven bars fill the upper 6/9 of the height and seven the next 1/9; below lie four fields over 5/7
of the width, three narrow ones over 1/7, and black to the right edge. The colours are those of
modetest (libdrm-tests)."""

from .picture import Picture

_BLACK = (19, 19, 19)
_TOP = ((192, 192, 192), (192, 192, 0), (0, 192, 192), (0, 192, 0), (192, 0, 192), (192, 0, 0),
        (0, 0, 192))
_MIDDLE = ((0, 0, 192), _BLACK, (192, 0, 192), _BLACK, (0, 192, 192), _BLACK, (192, 192, 192))
_BOTTOM = ((0, 33, 76), (255, 255, 255), (50, 0, 106), _BLACK)
# The fourth is reached where rounding leaves a column over.
_PLUGE = ((9, 9, 9), _BLACK, (29, 29, 29), _BLACK)
# What modetest fills its second buffer of a page flip with, and, as premultiplied ARGB, its cursor.
PLAIN = 0x77


def smpte(width, height):
    wide, narrow = width * 5 // 7, width // 7

    def bottom(x):
        if x < wide:
            return _BOTTOM[x * 4 // wide]
        if x < width * 6 // 7:
            return _PLUGE[(x - wide) * 3 // narrow]
        return _BLACK

    def row(colour_at):
        return b"".join(bytes(colour_at(x)) for x in range(width))

    rows = [row(lambda x: _TOP[x * 7 // width])] * (height * 6 // 9)
    rows += [row(lambda x: _MIDDLE[x * 7 // width])] * (height * 7 // 9 - len(rows))
    rows += [row(bottom)] * (height - len(rows))
    return Picture(width, height, b"".join(rows))


def plain(width, height):
    return Picture(width, height, bytes([PLAIN]) * (width * height * 3))
