"""Writes the tables of SHA-512 and Ed25519 under `lib/`. Run on CPython: `python firmware/make_tables.py`.

All are bytes literals, because a literal in a frozen module stays in flash. None is longer than 1,536 bytes: where a
module is loaded from the file system instead, each needs a free block of that size and no more.

The comb. A scalar of 260 bits is read as 260 signed bits (1 for +, 0 for -), laid out as a comb of 4 teeth, 65 bits
apart. Entry e is the point `(2**195 + sum of (+-1) 2**(65 j) for j < 3) * B`, + where bit j of e is set; the other half
of the entries are the negatives of these. A point is x and y, 32 bytes each. More combs of fewer columns would save
doublings, and y + x, y - x and 2 d x y two multiplications an entry, at the price of more of these bytes in RAM.

SHA-512's constants are the first 64 bits of the fractions of roots of primes (FIPS 180-4, 4.2.3 and 5.3.5).

The programs are for the machine of `lib/_field_viper.py`, written here as formulas over one-letter slots: `H=A+B`, and
`F=D^3` for F = D ** (2 ** 3). Point formulas: Hisil, Wong, Carter, Dawson 2008 (extended coordinates, a = -1); p, m, t
and z of an addend are Y + X, Y - X, 2 d T and 2 Z, and lie at the slot that the caller names. `_ed25519_viper.py` names
slots and programs by the numbers that they have here.
"""

from math import isqrt
from pathlib import Path
from typing import Literal

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
BASE_Y = 4 * pow(5, -1, P) % P
TEETH, SPACING = 4, 65

SLOTS = "\0o1dkiXYZTABCDEFGH"  # slot 0 is the machine's; o = 0, 1 = 1, d = d, k = 2 d, i = sqrt(-1)
ADDEND_SLOTS = "pmtz"

DOUBLE = "A=X^1 B=Y^1 C=Z^1 C=C+C H=A+B E=X+Y E=E^1 E=H-E G=A-B F=C+G X=E*F Y=G*H Z=F*G T=E*H"
AFFINE_HEAD = "p=z+t m=z-t t=t*z t=t*k"
ADD_TAIL = "H=B+A X=E*F Y=G*H Z=F*G T=E*H"
CHAIN = (
    "E=D^1 F=E^2 F=D*F E=E*F G=E^1 F=F*G G=F^5 F=G*F G=F^10 G=G*F H=G^20 G=H*G G=G^10 F=G*F "
    "G=F^50 G=G*F H=G^100 G=H*G G=G^50 F=G*F"  # E = D ** 11, F = D ** (2**250 - 1)
)
PROGRAMS = {
    "IDENTITY": ("the neutral point", "X=o+o Y=1+o Z=1+o T=o+o"),
    "DOUBLE": ("the point doubled", DOUBLE),
    "DOUBLE_WITHOUT_T": ("as DOUBLE without its last step: T, which only an addition needs", DOUBLE[:-6]),
    "ADD": ("the point + the addend", f"A=Y-X A=A*m B=Y+X B=B*p C=T*t D=Z*z E=B-A F=D-C G=D+C {ADD_TAIL}"),
    "SUBTRACT": ("the point - the addend", f"A=Y-X A=A*p B=Y+X B=B*m C=T*t D=Z*z E=B-A F=D+C G=D-C {ADD_TAIL}"),
    "ADD_AFFINE": (
        "the point + the addend, whose t and z are affine x and y",
        f"{AFFINE_HEAD} A=Y-X A=A*m B=Y+X B=B*p C=T*t D=Z+Z E=B-A F=D-C G=D+C {ADD_TAIL}",
    ),
    "SUBTRACT_AFFINE": (
        "the point - such an addend",
        f"{AFFINE_HEAD} A=Y-X A=A*p B=Y+X B=B*m C=T*t D=Z+Z E=B-A F=D+C G=D-C {ADD_TAIL}",
    ),
    "TO_ADDEND": ("the addend = the point", "p=Y+X m=Y-X t=T*k z=Z+Z"),
    "TO_AFFINE": ("A, B = affine x, y of the point", f"D=Z+o {CHAIN} F=F^5 F=F*E A=X*F B=Y*F"),
    "RECOVER_X": (
        "X = the root of u / v for Y if D = v X**2 - u is then 0, of -u / v if E = v X**2 + u is (RFC 8032, 5.1.3)",
        f"Z=1+o A=Y^1 B=A*d A=A-Z B=B+Z C=B^1 C=C*B D=C^1 D=D*B D=D*A {CHAIN} F=F^2 F=F*D "
        "X=A*C X=X*F C=X^1 C=C*B D=C-A E=C+A",
    ),
    "OTHER_ROOT": ("X = sqrt(-1) X", "X=X*i"),
    "NEGATE_X": ("X = -X", "X=o-X"),
    "FINISH_POINT": ("T of an affine point", "T=X*Y"),
}


def add(left: tuple[int, int], right: tuple[int, int]) -> tuple[int, int]:
    """Sum of two affine points (RFC 8032, 5.1.4)."""
    (x1, y1), (x2, y2) = left, right
    twist = D * x1 * x2 * y1 * y2 % P
    return (x1 * y2 + x2 * y1) * pow(1 + twist, -1, P) % P, (y1 * y2 + x1 * x2) * pow(1 - twist, -1, P) % P


def base_point() -> tuple[int, int]:
    """B, whose x is the even root."""
    square = (BASE_Y * BASE_Y - 1) * pow(D * BASE_Y * BASE_Y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    return (P - x if x & 1 else x), BASE_Y


def comb() -> bytes:
    """The table: 8 entries of 64 bytes."""
    power = base_point()
    teeth = []
    for _ in range(TEETH):
        teeth.append(power)
        for _ in range(SPACING):
            power = add(power, power)
    table = b""
    for entry in range(2 ** (TEETH - 1)):
        point = teeth[-1]
        for tooth, (x, y) in enumerate(teeth[:-1]):
            point = add(point, (x, y) if entry >> tooth & 1 else (P - x, y))
        table += b"".join(value.to_bytes(32, "little") for value in point)
    return table


def assemble(formulas: str) -> bytes:
    """Four bytes a step: operation, out, a, b."""

    def slot(name: str) -> int:
        return 128 + ADDEND_SLOTS.index(name) if name in ADDEND_SLOTS else SLOTS.index(name)

    code = b""
    for step in formulas.split():
        out, left, operation, right = step[0], step[2], step[3], step[4:]
        last = int(right) if operation == "^" else slot(right)
        code += bytes(("*^+-".index(operation), slot(out), slot(left), last))
    return code


def programs() -> bytes:
    """All programs, behind two bytes for each: its first step and the number of its steps."""
    index, code = b"", bytes(4 * -(-len(PROGRAMS) // 2))
    for _, formulas in PROGRAMS.values():
        program = assemble(formulas)
        at = code.find(program)
        while at % 4 and at > 0:
            at = code.find(program, at + 1)
        if at < 0:
            at = len(code)
            code += program
        index += bytes((at // 4, len(program) // 4))
    return index + code[len(index) :]


def literal(data: bytes, indent: str) -> str:
    """Adjacent bytes literals of 24 bytes each, one a line."""
    rows = [data[i : i + 24] for i in range(0, len(data), 24)]
    return "\n".join(indent + 'b"' + "".join(f"\\x{byte:02x}" for byte in row) + '"' for row in rows)


def torsion_y() -> int:
    """The smaller y of a point of order eight."""
    # Doubling such a point gives x = +-sqrt(-1), y = 0: y**2 = -x**2 there, so d y**4 + 2 y**2 - 1 = 0.
    i = pow(2, (P - 1) // 4, P)
    root = pow(1 + D, (P + 3) // 8, P)
    if root * root % P != (1 + D) % P:
        root = root * i % P
    found = set()
    for square in ((root - 1) * pow(D, -1, P) % P, (-root - 1) * pow(D, -1, P) % P):
        y = pow(square, (P + 3) // 8, P)
        found |= {value for y in (y, y * i % P) for value in (y, P - y) if value * value % P == square}
    (smaller,) = {min(y, P - y) for y in found}
    return smaller


def integer_root(value: int, degree: int) -> int:
    """The floor of the root."""
    low, high = 0, 1 << (value.bit_length() // degree + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**degree <= value else (low, middle)
    return low


def sha512_constants() -> bytes:
    """The round constants, little-endian as `ptr16` reads them, and the initial state, big-endian as a digest is."""
    primes = [n for n in range(2, 410) if all(n % divisor for divisor in range(2, isqrt(n) + 1))]

    def fractions(degree: int, count: int, order: Literal["big", "little"]) -> bytes:
        roots = (integer_root(prime << 64 * degree, degree) for prime in primes[:count])
        return b"".join((root % 2**64).to_bytes(8, order) for root in roots)

    return fractions(3, 80, "little") + fractions(2, 8, "big")


def constant(name: str, data: bytes) -> str:
    """The assignment, in this project's format."""
    return f"{name} = {literal(data, '').strip()}\n" if len(data) <= 24 else f"{name} = (\n{literal(data, '    ')}\n)\n"


def files() -> dict[str, str]:
    """Text of each generated file by its name under `lib/`."""
    head = '"""{} Written by firmware/make_tables.py, which explains it."""\n\n'

    curve = head.format("Ed25519: multiples of the base point, programs, constants.")
    curve += constant("COMB", comb()) + "\n# "
    curve += "\n# ".join(f"{number} {name}: {meaning}" for number, (name, (meaning, _)) in enumerate(PROGRAMS.items()))
    curve += "\n" + constant("PROGRAMS", programs()) + "\n# d, 2 d and sqrt(-1), 32 bytes each\n"
    fixed = (D, 2 * D % P, pow(2, (P - 1) // 4, P))
    curve += constant("CONSTANTS", b"".join(value.to_bytes(32, "little") for value in fixed))
    curve += "\n# y of a point of order eight: that of the others is this or its negative\n"
    curve += constant("SMALL_ORDER", torsion_y().to_bytes(32, "little"))

    sha512 = head.format("SHA-512's constants.") + "# 80 of the rounds, then the initial state\n"
    sha512 += constant("CONSTANTS", sha512_constants())
    return {"_ed25519_tables.py": curve, "_sha512_tables.py": sha512}


if __name__ == "__main__":
    for name, text in files().items():
        (Path(__file__).parent / "lib" / name).write_text(text)
