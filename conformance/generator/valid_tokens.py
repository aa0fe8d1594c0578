"""Valid cases: tokens, the index, counts and subwords."""

from __future__ import annotations

import struct

import rawfile
from case import valid
from rawfile import IEEE
from tables import BFLOAT16, bits32, floats32, ieee, scaled_linear, table

BYTE_TOKENS = 1


def encoded(tokens):
    """Tokens that are given as strings in UTF-8."""
    return [token.encode() if isinstance(token, str) else token for token in tokens]


def words(tokens, *, byte_tokens=False, **options):
    """A file of two values a row, others for each token."""
    tokens = encoded(tokens)
    rows = [[(3 * row + column + 1) % 127 for column in range(2)] for row in range(len(tokens))]
    file = scaled_linear(rows, tokens=tokens, dim=2, **({} if rows else {"stride": 2}) | options)
    file.required_features = BYTE_TOKENS if byte_tokens else 0
    return file


def case(name, tokens, requirements, guards, description, **options):
    valid(f"tokens/{name}", words(tokens, **options), requirements, guards, description)


case("none", [], "HDR-09 TOK-01", "Token offsets taken to begin at the first token.", "No tokens: one offset, 0.")
case("one", [b"word"], "TOK-01 IDX-02", "Loops that need two tokens.", "One token.")
case("one-empty", [b""], "TOK-02 IDX-02", "A section of no bytes taken to be absent.", "The only token is empty.")
case(
    "empty-among-others",
    [b"a", b"", b"b"],
    "TOK-02 TOK-01",
    "Tokens split at a separator.",
    "The empty token is a token.",
)
case(
    "spaces",
    [b" ", b"  ", b"a b", b" a b", b"a b ", b"\t", b"a\tb", b"\n", b"a\nb", b"\r\n"],
    "TOK-03",
    "Tokens trimmed, or split at white space.",
    "Spaces, tabs and ends of lines, before, after and within tokens.",
)
case(
    "no-break-spaces",
    [
        "a\u00a0b",
        b"a b",
        "\u00a0",
        "\u2009a",
        "a\u3000",
        "\u200b",
        "\x85",
    ],
    "TOK-03",
    "White space of Unicode trimmed or made a plain space.",
    "No-break space, thin space, ideographic space, zero-width space.",
)
case(
    "emoji",
    ["👩", "👩🏽", "👩\u200d👩\u200d👧", "👩\u200d", "🇳🇱", "🇳", "❤\ufe0f", "❤"],
    "TOK-03",
    "Tokens kept in 16-bit units and cut between two of them.",
    "Emoji of one character and of several, and their parts.",
)  # fmt: skip
case(
    "not-normalized",
    ["é", "e\u0301", "ﬁ", b"fi", "Å", "\u212b", "가", "\u1100\u1161"],
    "TOK-03 TOK-04",
    "Tokens normalized when they are read or looked up.",
    "Pairs of tokens that normalization makes equal.",
)  # fmt: skip
case(
    "not-folded",
    [b"a", b"A", "ß", b"ss", "ẞ", "İ", b"i", "ı", "Σ", "σ", "ς"],
    "TOK-03 TOK-04",
    "Tokens compared without regard to case.",
    "Tokens that folding of case makes equal.",
)  # fmt: skip
case(
    "noughts",
    [b"\0", b"\0\0", b"a\0", b"a\0b", b"a"],
    "TOK-03",
    "Tokens ended by a zero byte.",
    "Zero bytes within tokens.",
)
case(
    "prefixes",
    [b"word", b"wor", b"words", b"w", b"word?", b"word??", b"?"],
    "TOK-03 IDX-02",
    "Tokens compared as far as the shorter one goes.",
    "Tokens that begin with one another; some are queries of others.",
)
case(
    "edges-of-utf-8",
    [
        chr(code).encode()
        for code in (0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFD, 0xFFFE, 0xFFFF, 0x10000, 0x10FFFF)
    ],
    "TOK-03",
    "Well-formed UTF-8 refused: noncharacters, private characters, the last of each length.",
    "The first and last characters of each length in UTF-8.",
)
case(
    "byte-order-marks",
    [b"\xef\xbb\xbf", b"\xef\xbb\xbfa", b"a", b"a\xef\xbb\xbf"],
    "TOK-03",
    "A byte order mark dropped.",
    "Byte order marks are characters like others.",
)
case(
    "look-like-numbers",
    [b"1", b"01", b"1.0", b"-0", b"0", b"1e3", b"NaN", b"null", b"true", b"__proto__", b"constructor", b"toString"],
    "TOK-03 TOK-04",
    "Tokens as keys of an object that has keys of its own, or turned into numbers.",
    "Tokens that look like numbers, or like properties.",
)
case(
    "quotes",
    [b'"', b"\\", b"\\u0041", b"A", b"'", b"</s>", b"<unk>", b"[UNK]", b"&amp;", b"%00", b"\x1b[0m"],
    "TOK-03",
    "Tokens with escapes undone.",
    "Quotes, backslashes, markup and control characters.",
)
case(
    "64-kib",
    [b"y", b"x", b"x" * 65_536, *(b"z%d" % number for number in range(65))],
    "TOK-02",
    "A limit of 65,535 bytes, or lengths in 16 bits.",
    "The longest token that there may be.",
)
case(
    "of-1-to-40-bytes",
    [bytes([97 + length % 26]) * length for length in range(1, 41)],
    "TOK-01 IDX-02",
    "CRCs of a length that is no multiple of four or eight.",
    "Tokens of every length from 1 to 40.",
)
case(
    "three-hundred",
    [b"%x" % (row * row) for row in range(300)],
    "TOK-01 IDX-02",
    "Offsets of tokens past the 255th.",
    "Three hundred tokens.",
)
BYTES = [
    b"\xff",
    b"\xff\xfe",
    b"\x80",
    b"\xc3",
    b"caf\xe9",
    "café",
    b"\xed\xa0\x80",
    b"\xc0\x80",
    b"\0\xff",
    b"",
]
case(
    "bytes",
    BYTES,
    "HDR-05 TOK-03",
    "Tokens decoded with replacement characters, which makes different ones equal.",
    "Tokens that are not UTF-8, with the feature that allows them.",
    byte_tokens=True,
)
case(
    "bytes-without-index",
    BYTES[::-1],
    "HDR-05 TOK-03",
    "A reader's own index over decoded strings.",
    "Tokens that are not UTF-8, and no index.",
    byte_tokens=True,
    index=False,
)
case(
    "bytes-that-are-utf-8",
    [b"a", "naïve"],
    "HDR-05 TOK-03",
    "The feature taken to mean that no token is UTF-8.",
    "The feature of byte tokens is set, and all of them are UTF-8.",
    byte_tokens=True,
)

# --- index ----------------------------------------------------------------------------------------------------------


def indexed(name, tokens, size, guards, description, *, order=None, requirements="IDX-02 IDX-01", **options):
    """An index of that many slots, the tokens put in in any order: one that a writer may make all the same."""
    slots = rawfile.index_slots(tokens, size, order=order)
    file = words(tokens, index=False, **options).add("INDX", struct.pack(f"<{size}I", *slots))
    valid(f"index/{name}", file, requirements, guards, description)


def landing(slots, size, count=None):
    """Short tokens whose search begins at those slots, in turn."""
    found, number = [], 0
    while len(found) < (count or len(slots)):
        token = b"%d" % number
        if rawfile.first_slot(rawfile.crc32c(token), size) == slots[len(found) % len(slots)]:
            found.append(token)
        number += 1
    return found


FORTY = [b"w%d" % row for row in range(40)]
valid(
    "index/none", words(FORTY, index=False), "IDX-02 SEC-01",
    "An index demanded.", "No index: a reader makes its own, or searches.",
)  # fmt: skip
indexed("of-no-tokens", [], 1, "A search that never meets an empty slot.", "One slot, empty, for no tokens.")
indexed("of-no-tokens-large", [], 9, "A search that never meets an empty slot.", "Nine slots, empty, for no tokens.")
indexed("one-slot-empty", FORTY, 41, "A search that stops early, or never.", "One slot of 41 is empty.")
indexed("power-of-two", FORTY, 64, "A slot by the CRC modulo the size.", "Sixty-four slots, a power of two.")
indexed(
    "sparse",
    FORTY[:3],
    1000,
    "The size of the index computed from the number of tokens.",
    "A thousand slots for three tokens.",
)
indexed(
    "goes-round", landing([7], 8, 4), 8,
    "A search that stops at the last slot.", "Four tokens that begin at the last slot: three stand at the beginning.",
)  # fmt: skip
indexed(
    "one-cluster", landing([2], 13, 9), 13,
    "Probing that is not linear.", "Nine tokens with one first slot.",
)  # fmt: skip
indexed(
    "interleaved", landing([3, 4, 3, 5, 4, 3], 10), 10,
    "A search that stops at a token whose first slot is another.", "Clusters that have grown into one another.",
)  # fmt: skip
indexed(
    "full-and-round", landing([9, 9, 0, 8, 5, 9, 1, 0, 9], 10), 10,
    "A search that stops at the last slot.", "Ten slots, one of them empty, and clusters that go round.",
)  # fmt: skip
indexed(
    "in-another-order", FORTY, 61,
    "An index compared with the one that the reader would have made.",
    "Tokens put in from the last to the first.",
    order=range(39, -1, -1),
)  # fmt: skip
indexed(
    "crc-of-zero-bytes", [b"\0" * length for length in range(1, 20)], 29,
    "CRCs that do not begin with ones: zero bytes then change nothing.",
    "Tokens of zero bytes alone.",
)  # fmt: skip

# --- counts ---------------------------------------------------------------------------------------------------------

for name, values, description in (
    ("zero", [0, 0, 0], "Counts of 0."),
    ("past-32-bits", [2**32, 2**32 - 1, 2**31], "Counts about 2^32."),
    ("greatest", [2**53 - 1, 2**53 - 2, 1], "Counts up to 2^53 - 1."),
    ("of-no-tokens", [], "No counts for no tokens."),
    ("many", [row * row * row for row in range(100)], "A hundred counts."),
):
    tokens = [b"t%d" % row for row in range(len(values))]
    file = words(tokens).add("CNTS", struct.pack(f"<{len(values)}Q", *values))
    valid(f"counts/{name}", file, "CON-01 CON-03 SEC-03", "Counts kept in 32 bits, or as float64.", description)

# --- subwords -------------------------------------------------------------------------------------------------------


def subwords(name, tokens, n, buckets, guards, description, *, dim=3, bits=None, byte_tokens=False, **options):
    """Rows of bfloat16 whose sums are rounded, unless bits of float32 are given."""
    tokens = encoded(tokens)
    if bits is None:
        rows = [
            [(0x3F01 + 37 * row + 11 * column * (row + 3)) % 0x180 + 0x3E80 | 0x8000 for column in range(dim)]
            for row in range(len(tokens) + buckets)
        ]
        file = table(IEEE, 16, rows, ieee(BFLOAT16), tokens=tokens, **options)
    else:
        file = floats32(bits, tokens=tokens, **options)
    file.required_features = BYTE_TOKENS if byte_tokens else 0
    file.add("SUBW", struct.pack("<B3x3I", 1, *n, buckets))
    valid(f"subwords/{name}", file, "SUB-03 SUB-01", guards, description)


subwords(
    "3-to-6", [b"where", b"there", b"a", b""], (3, 6), 11,
    "N-grams by length first, or without < and >.", "N-grams of three to six characters in eleven buckets.",
)  # fmt: skip
subwords(
    "not-ascii", ["naïve", "Größe", "слово", "言葉", "👩🏽"], (1, 4), 17,
    "Bytes taken as unsigned in the hash, or as characters.",
    "Words whose bytes have their top bit set: sign-extended before they are hashed.",
)  # fmt: skip
subwords(
    "edges-of-ascii", ["a\x7fb", "\x7e\x7f", "\u0080", "\u00ff\x7f"], (1, 3), 19,
    "The byte 7F sign-extended, or 80 not.",
    "Words with the last byte of ASCII and the first past it.",
)  # fmt: skip
subwords(
    "of-one-character", [b"ab", b"abc", b""], (1, 1), 5,
    "The n-grams < and > left in, or all of one character left out.",
    "N-grams of one character: < and > are left out.",
)  # fmt: skip
subwords(
    "brackets-in-the-word", [b"<", b">", b"<>", b"a<b>"], (1, 2), 7,
    "< and > left out wherever they stand.", "Words with < and > of their own, which are n-grams like others.",
)  # fmt: skip
subwords(
    "longer-than-any-word", [b"ab", b"c"], (9, 12), 4,
    "A division by no n-grams.", "The shortest n-gram is longer than the words: they have no vectors.",
)  # fmt: skip
subwords(
    "as-long-as-the-word", [b"ab", b"abc"], (5, 5), 4,
    "The n-gram that is the whole word left out.", "N-grams of five characters, which is all of `<ab?>`.",
)  # fmt: skip
subwords(
    "no-buckets", [b"ab", b"cd"], (3, 6), 0,
    "A hash modulo 0.", "No buckets: a word that is no token has no vector.",
)  # fmt: skip
subwords(
    "one-bucket", [b"ab", b"cd"], (2, 3), 1,
    "Rows counted once where they occur several times.", "One bucket: its row is summed as often as there are n-grams.",
)  # fmt: skip
subwords(
    "no-tokens", [], (1, 3), 6,
    "The row of a bucket without the tokens before it.", "Buckets and no tokens.",
)  # fmt: skip
subwords(
    "without-end", [b"word", "wörd"], (2, 2**32 - 1), 9,
    "Loops to the longest n-gram that do not end, or wrap.", "No longest n-gram: 2^32 - 1 characters.",
)  # fmt: skip
subwords(
    "bytes", [b"\x80a", b"a\xff\x80", b"\xbf\xbf", b"\xc3\xa9\x80", b"\xff"], (1, 3), 13,
    "Characters found by decoding.", "Words that are not UTF-8; a byte from 80 to BF begins no character.",
    byte_tokens=True,
)  # fmt: skip
subwords(
    "queries-that-are-tokens", [b"a", b"a?", b"?", b"a??"], (2, 4), 5,
    "A token's vector made of n-grams.", "Some of the queries are tokens.",
)  # fmt: skip
subwords(
    "order-of-the-sum", [b"abcd"], (2, 4), 7,
    "N-grams summed in another order, or in more than float32.",
    "Rows of very different size, whose sum depends on the order.",
    bits=[[0x3F800000]] + [[bits32((-1) ** k * (1 + k / 16) * 2.0 ** (9 * k))] for k in range(7)],
)  # fmt: skip
subwords(
    "negative-zeros", [b"ab"], (3, 3), 2,
    "A sum begun with the first row instead of +0.", "Rows of -0, whose sum is 0.",
    bits=[[0x3F800000], [0x80000000], [0x80000000]],
)  # fmt: skip
subwords(
    "overflow", [b"ab"], (2, 3), 3,
    "A mean that is computed without overflow.", "Rows whose sum is infinite, or not a number.",
    bits=[[0x3F800000] * 3, *([0x7F7FFFFF, 0xFF7FFFFF, number] for number in (0x7F800000, 0xFF800000, 0))],
)  # fmt: skip
subwords(
    "without-index", [b"where", "naïve"], (3, 5), 7,
    "Tokens found by their n-grams.", "Subwords and no index.",
    index=False,
)  # fmt: skip
