"""Ed25519 (RFC 8032) with integers: keys, signatures, and which keys and signatures Cohortium refuses.

Slow, variable time, for test vectors only. The curve is -x^2 + y^2 = 1 + d x^2 y^2 over the integers modulo P.
"""

import functools
import hashlib

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_MINUS_ONE = pow(2, (P - 1) // 4, P)


def add(a, b):
    """The sum of two points in extended coordinates (RFC 8032, 5.1.4)."""
    (x1, y1, z1, t1), (x2, y2, z2, t2) = a, b
    A, B = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    C, E = 2 * t1 * t2 * D % P, 2 * z1 * z2 % P
    e, f, g, h = B - A, E - C, E + C, B + A
    return e * f % P, g * h % P, f * g % P, e * h % P


IDENTITY = (0, 1, 1, 0)


def multiply(scalar, point):
    """scalar times point."""
    total = IDENTITY
    while scalar > 0:
        if scalar & 1:
            total = add(total, point)
        point = add(point, point)
        scalar >>= 1
    return total


def equal(a, b):
    """Whether two points are one."""
    return (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0


def x_of(y, sign):
    """The x of that parity for a y, or None when y is on no point."""
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P != 0:
        x = x * SQRT_MINUS_ONE % P
    if (x * x - xx) % P != 0:
        return None
    return P - x if x and x % 2 != sign else x


def compress(point):
    """The canonical 32 bytes of a point."""
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decompress(data):
    """The point of 32 bytes, in any of its encodings; None when they are no point."""
    number = int.from_bytes(data, "little")
    y, sign = number % 2**255 % P, number >> 255
    x = x_of(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE = decompress(BASE_Y.to_bytes(32, "little"))


def is_small_order(point):
    """Whether eight times the point is the identity."""
    return equal(multiply(8, point), IDENTITY)


@functools.lru_cache(4096)
def accepts_key(data):
    """KEY-1: a canonical encoding of a point that is not of small order."""
    point = decompress(data)
    return point is not None and compress(point) == data and not is_small_order(point)


def torsion_points():
    """The eight points of small order."""
    for start in range(2, 100):
        x = x_of(start, 0)
        if x is None:
            continue
        point = multiply(L, (x, start, 1, x * start % P))
        if not equal(multiply(4, point), IDENTITY):
            return [multiply(n, point) for n in range(8)]
    raise AssertionError("a point of order eight is found within a few tries")


def expand(seed):
    """The secret scalar and the prefix of a seed."""
    digest = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(digest[:32], "little") & (2**254 - 8) | 2**254
    return scalar, digest[32:]


def public_key(seed):
    """The public key of a 32-byte seed."""
    return compress(multiply(expand(seed)[0], BASE))


def challenge(r, key, message):
    """The scalar that binds a signature to its key and message."""
    return int.from_bytes(hashlib.sha512(r + key + message).digest(), "little") % L


def sign(seed, message):
    """The deterministic signature of RFC 8032."""
    scalar, prefix = expand(seed)
    key = compress(multiply(scalar, BASE))
    nonce = int.from_bytes(hashlib.sha512(prefix + message).digest(), "little") % L
    r = compress(multiply(nonce, BASE))
    s = (nonce + challenge(r, key, message) * scalar) % L
    return r + s.to_bytes(32, "little")


@functools.lru_cache(4096)
def verifies(key, message, signature):
    """KEY-2: canonical S, R canonical and not of small order, and S*B = R + h*A exactly, without the cofactor."""
    r_bytes, s = signature[:32], int.from_bytes(signature[32:], "little")
    r = decompress(r_bytes)
    if not accepts_key(key) or s >= L or r is None or compress(r) != r_bytes or is_small_order(r):
        return False
    h = challenge(r_bytes, key, message)
    return equal(multiply(s, BASE), add(r, multiply(h, decompress(key))))
