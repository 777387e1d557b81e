"""Wrapping a secret to a sealing key: X25519 (RFC 7748), HKDF-SHA-256 (RFC 5869), AES-256-GCM (NIST SP 800-38D).

Slow, variable time, for test vectors only.
"""

import hashlib
import hmac

P = 2**255 - 19


def x25519(scalar_bytes, u_bytes):
    """The Montgomery ladder of RFC 7748, section 5."""
    k = int.from_bytes(scalar_bytes, "little") & (2**254 - 8) | 2**254
    u = int.from_bytes(u_bytes, "little") % 2**255 % P
    x2, z2, x3, z3 = 1, 0, u, 1
    swap = 0
    for t in reversed(range(255)):
        bit = k >> t & 1
        if swap ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a % P, b * b % P, d * a % P, c * b % P
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % P, u * (da - cb) ** 2 % P
        x2, z2 = aa * bb % P, e * (aa + 121665 * e) % P
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


def sealing_key(seed):
    """The public half of a sealing secret."""
    return x25519(seed, (9).to_bytes(32, "little"))


def hkdf(salt, secret, info, length=32):
    """HKDF-SHA-256."""
    key = hmac.new(salt or bytes(32), secret, hashlib.sha256).digest()
    out, block, counter = b"", b"", 1
    while len(out) < length:
        block = hmac.new(key, block + info + bytes([counter]), hashlib.sha256).digest()
        out, counter = out + block, counter + 1
    return out[:length]


def _double(value):
    return (value << 1 ^ (0x11B if value & 0x80 else 0)) & 0xFF


def _make_sbox():
    """The AES substitution box: inverse in GF(2^8), then the affine map (FIPS 197, 5.1.1)."""
    exp, value = [], 1
    for _ in range(255):
        exp.append(value)
        value ^= _double(value)
    log = {v: i for i, v in enumerate(exp)}
    box = []
    for byte in range(256):
        inverse = exp[(255 - log[byte]) % 255] if byte else 0
        result = 0x63
        for shift in range(5):
            result ^= (inverse << shift | inverse >> (8 - shift)) & 0xFF
        box.append(result)
    return box


SBOX = _make_sbox()


def _round_keys(key):
    words = [list(key[i : i + 4]) for i in range(0, 32, 4)]
    rcon = 1
    for i in range(8, 60):
        word = list(words[-1])
        if i % 8 == 0:
            word = [SBOX[b] for b in word[1:] + word[:1]]
            word[0] ^= rcon
            rcon = _double(rcon)
        elif i % 8 == 4:
            word = [SBOX[b] for b in word]
        words.append([a ^ b for a, b in zip(word, words[i - 8])])
    return [sum(words[i : i + 4], []) for i in range(0, 60, 4)]


def aes256(key, block):
    """One block of AES-256."""
    keys = _round_keys(key)
    state = [a ^ b for a, b in zip(block, keys[0])]
    for number, round_key in enumerate(keys[1:], 1):
        state = [SBOX[b] for b in state]
        state = [state[(i + 4 * (i % 4)) % 16] for i in range(16)]
        if number < 14:
            mixed = []
            for c in range(0, 16, 4):
                a = state[c : c + 4]
                everything = a[0] ^ a[1] ^ a[2] ^ a[3]
                mixed += [a[i] ^ everything ^ _double(a[i] ^ a[(i + 1) % 4]) for i in range(4)]
            state = mixed
        state = [a ^ b for a, b in zip(state, round_key)]
    return bytes(state)


def _gmul(x, y):
    result = 0
    for bit in range(128):
        if x >> (127 - bit) & 1:
            result ^= y
        y = y >> 1 ^ (0xE1 << 120 if y & 1 else 0)
    return result


def _gcm(key, nonce, data, aad, encrypting):
    h = int.from_bytes(aes256(key, bytes(16)), "big")
    counter = lambda n: nonce + n.to_bytes(4, "big")
    out = b""
    for index in range(0, len(data), 16):
        pad = aes256(key, counter(2 + index // 16))
        out += bytes(a ^ b for a, b in zip(data[index : index + 16], pad))
    ciphertext = out if encrypting else data
    pad16 = lambda part: part + bytes(-len(part) % 16)
    hashed = pad16(aad) + pad16(ciphertext) + (8 * len(aad)).to_bytes(8, "big") + (8 * len(ciphertext)).to_bytes(8, "big")
    tag = 0
    for index in range(0, len(hashed), 16):
        tag = _gmul(tag ^ int.from_bytes(hashed[index : index + 16], "big"), h)
    tag ^= int.from_bytes(aes256(key, counter(1)), "big")
    return out, tag.to_bytes(16, "big")


def seal(key, nonce, plaintext, aad):
    """AES-256-GCM: ciphertext and tag."""
    out, tag = _gcm(key, nonce, plaintext, aad, True)
    return out + tag


def open_sealed(key, nonce, sealed, aad):
    """What `seal` sealed, or None."""
    out, tag = _gcm(key, nonce, sealed[:-16], aad, False)
    return out if tag == sealed[-16:] else None


def _wrapping_key(secret, theirs, ephemeral, recipient, context):
    shared = x25519(secret, theirs)
    if shared == bytes(32):
        return None
    return hkdf(b"", shared, b"cohortium/1 linkage wrap" + ephemeral + recipient + context)


def wrap(secret, ephemeral_seed, recipient, context):
    """LINK-2: the ephemeral public key and the ciphertext, or None for a key of small order."""
    ephemeral = sealing_key(ephemeral_seed)
    key = _wrapping_key(ephemeral_seed, recipient, ephemeral, recipient, context)
    return None if key is None else (ephemeral, seal(key, bytes(12), secret, context))


def unwrap(our_seed, ephemeral, ciphertext, context):
    """What `wrap` wrapped, or None."""
    key = _wrapping_key(our_seed, ephemeral, ephemeral, sealing_key(our_seed), context)
    return None if key is None or len(ciphertext) < 16 else open_sealed(key, bytes(12), ciphertext, context)
