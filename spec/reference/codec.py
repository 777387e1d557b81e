"""The wire encoding (spec chapter 1): bincode 2, standard configuration, little endian, variable integers, canonical.

A type is an object with `write(value) -> bytes` and `read(Reader) -> value`. A value is what its JSON form is: a struct a
dict, an enum its variant's name or {name: content}, a byte string hexadecimal digits, a missing option None.
"""


class Refused(Exception):
    """Something that is not accepted, and its fault code (spec chapter 9)."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code


def encode(kind, value):
    """The canonical bytes of a value."""
    return kind.write(value)


def decode(kind, data, most):
    """The value of exactly these bytes."""
    if len(data) > most:
        raise Refused("too-long")
    reader = Reader(data)
    value = kind.read(reader)
    if reader.at != len(data):
        raise Refused("trailing")
    if kind.write(value) != data:
        raise Refused("not-canonical")
    return value


class Reader:
    """A cursor over bytes."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if count > len(self.data) - self.at:
            raise Refused("malformed")
        piece = self.data[self.at : self.at + count]
        self.at += count
        return piece


class UInt:
    """A variable integer: one byte up to 250; else 251, 252, 253 or 254 and 2, 4, 8 or 16 bytes."""

    def __init__(self, bits):
        self.bits = bits

    def write(self, value):
        assert 0 <= value < 1 << self.bits, value
        if value < 251:
            return bytes([value])
        for tag, size in ((251, 2), (252, 4), (253, 8), (254, 16)):
            if value < 1 << 8 * size:
                return bytes([tag]) + value.to_bytes(size, "little")

    def read(self, reader):
        tag = reader.take(1)[0]
        if tag < 251:
            return tag
        size = {251: 2, 252: 4, 253: 8, 254: 16}.get(tag, 99)
        if size * 8 > self.bits:
            raise Refused("malformed")
        return int.from_bytes(reader.take(size), "little")


class Digits(UInt):
    """A 128-bit amount of a budget: as the number that it is; in JSON a text of its digits from 2^64 on."""

    def __init__(self):
        super().__init__(128)

    def write(self, value):
        return super().write(int(value))

    def read(self, reader):
        value = super().read(reader)
        return value if value < 1 << 64 else str(value)


class Byte:
    """An 8-bit number: its byte."""

    def write(self, value):
        return bytes([value])

    def read(self, reader):
        return reader.take(1)[0]


class SignedByte:
    """An 8-bit signed number: its byte in two's complement."""

    def write(self, value):
        return value.to_bytes(1, "little", signed=True)

    def read(self, reader):
        return int.from_bytes(reader.take(1), "little", signed=True)


class Bool:
    """0 or 1."""

    def write(self, value):
        return bytes([1 if value else 0])

    def read(self, reader):
        byte = reader.take(1)[0]
        if byte > 1:
            raise Refused("malformed")
        return byte == 1


class Fixed:
    """A byte string of known length: its bytes."""

    def __init__(self, size):
        self.size = size

    def write(self, value):
        data = bytes.fromhex(value)
        assert len(data) == self.size, value
        return data

    def read(self, reader):
        return reader.take(self.size).hex()


class Bytes:
    """A byte string: its length and its bytes."""

    def write(self, value):
        data = bytes.fromhex(value)
        return U64.write(len(data)) + data

    def read(self, reader):
        return reader.take(U64.read(reader)).hex()


class String:
    """A text: the length of its UTF-8 and the UTF-8."""

    def write(self, value):
        data = value.encode()
        return U64.write(len(data)) + data

    def read(self, reader):
        try:
            return reader.take(U64.read(reader)).decode()
        except UnicodeDecodeError:
            raise Refused("malformed") from None


class Option:
    """0, or 1 and the value."""

    def __init__(self, inner):
        self.inner = inner

    def write(self, value):
        return b"\0" if value is None else b"\1" + self.inner.write(value)

    def read(self, reader):
        return self.inner.read(reader) if Bool().read(reader) else None


class Seq:
    """A count and the items."""

    def __init__(self, inner):
        self.inner = inner

    def write(self, value):
        return U64.write(len(value)) + b"".join(self.inner.write(item) for item in value)

    def read(self, reader):
        return [self.inner.read(reader) for _ in range(U64.read(reader))]


def _rank(key):
    """Sorts texts as Rust does: by their UTF-8."""
    return key.encode() if isinstance(key, str) else key


class Set:
    """A count and the items in ascending order, each once. Enum items are ordered by number."""

    def __init__(self, inner):
        self.inner = inner

    def _sorted(self, items):
        rank = self.inner.number if isinstance(self.inner, Enum) else _rank
        return sorted(set(items), key=rank)

    def write(self, value):
        return Seq(self.inner).write(self._sorted(value))

    def read(self, reader):
        return self._sorted(Seq(self.inner).read(reader))


class Map:
    """A count and the pairs in ascending order of their keys, each key once. In JSON a number key is its digits."""

    def __init__(self, key, value):
        self.key, self.value = key, value

    def _key(self, text):
        return int(text) if isinstance(self.key, UInt) else text

    def write(self, value):
        keys = sorted(value, key=lambda text: _rank(self._key(text)))
        return U64.write(len(keys)) + b"".join(self.key.write(self._key(k)) + self.value.write(value[k]) for k in keys)

    def read(self, reader):
        pairs = {}
        for _ in range(U64.read(reader)):
            key = str(self.key.read(reader))
            pairs[key] = self.value.read(reader)
        return pairs


class Struct:
    """The fields, one after the other, without names or counts."""

    def __init__(self, **fields):
        self.fields = fields

    def write(self, value):
        assert set(value) == set(self.fields), set(value) ^ set(self.fields)
        return b"".join(kind.write(value[name]) for name, kind in self.fields.items())

    def read(self, reader):
        return {name: kind.read(reader) for name, kind in self.fields.items()}


class Tuple:
    """The items, one after the other."""

    def __init__(self, *items):
        self.items = items

    def write(self, value):
        assert len(value) == len(self.items)
        return b"".join(kind.write(item) for kind, item in zip(self.items, value))

    def read(self, reader):
        return [kind.read(reader) for kind in self.items]


UNIT = None


class Enum:
    """The variant's place in the list, from 0, and its content. Underscores in a name are hyphens in JSON."""

    def __init__(self, *plain, **variants):
        both = {name: UNIT for name in plain} | variants
        self.variants = {name.replace("_", "-").strip("-"): kind for name, kind in both.items()}
        self.names = list(self.variants)

    def number(self, value):
        return self.names.index(value if isinstance(value, str) else next(iter(value)))

    def write(self, value):
        name = self.names[self.number(value)]
        kind = self.variants[name]
        return U32.write(self.number(value)) + (b"" if kind is UNIT else kind.write(value[name]))

    def read(self, reader):
        number = U32.read(reader)
        if number >= len(self.names):
            raise Refused("malformed")
        name = self.names[number]
        kind = self.variants[name]
        return name if kind is UNIT else {name: kind.read(reader)}


class Checked:
    """A type with a rule: a value that breaks it is refused as malformed. `check` raises Refused with the finer code."""

    def __init__(self, inner, check):
        self.inner, self.check = inner, check

    def write(self, value):
        return self.inner.write(value)

    def read(self, reader):
        value = self.inner.read(reader)
        try:
            self.check(value)
        except Refused:
            raise Refused("malformed") from None
        return value


U8, U16, U32, U64, U128 = Byte(), UInt(16), UInt(32), UInt(64), UInt(128)
AMOUNT = Digits()
I8 = SignedByte()
BOOL, STRING, BYTES = Bool(), String(), Bytes()
