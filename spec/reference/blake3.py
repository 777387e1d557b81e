"""BLAKE3 (version 20211102): hash, keyed hash, and the chaining values of chunk groups."""

import struct

IV = [0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19]
PERMUTATION = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8]
CHUNK_START, CHUNK_END, PARENT, ROOT, KEYED = 1, 2, 4, 8, 16
CHUNK, BLOCK = 1024, 64
MASK = 0xFFFFFFFF
COLUMNS = [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15), (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]


def _schedule():
    """For each round and each quarter of the state: its four words, and the two message words mixed in."""
    order, rounds = list(range(16)), []
    for _ in range(7):
        rounds.append([(words, order[2 * i], order[2 * i + 1]) for i, words in enumerate(COLUMNS)])
        order = [order[i] for i in PERMUTATION]
    return rounds


ROUNDS = _schedule()


def compress(cv, block, counter, length, flags):
    """The compression function: 16 words."""
    m = struct.unpack("<16I", block)
    v = cv + IV[:4] + [counter & MASK, counter >> 32 & MASK, length, flags]
    for order in ROUNDS:
        for (a, b, c, d), first, second in order:
            va, vb, vc, vd = v[a], v[b], v[c], v[d]
            va = va + vb + m[first] & MASK
            vd ^= va
            vd = (vd >> 16 | vd << 16) & MASK
            vc = vc + vd & MASK
            vb ^= vc
            vb = (vb >> 12 | vb << 20) & MASK
            va = va + vb + m[second] & MASK
            vd ^= va
            vd = (vd >> 8 | vd << 24) & MASK
            vc = vc + vd & MASK
            vb ^= vc
            v[a], v[b], v[c], v[d] = va, (vb >> 7 | vb << 25) & MASK, vc, vd
    return [v[i] ^ v[i + 8] for i in range(8)] + [v[i + 8] ^ cv[i] for i in range(8)]


def _words(data):
    return [int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4)]


def _bytes(words):
    return b"".join(word.to_bytes(4, "little") for word in words)


def _chunk_node(data, counter, key, base):
    """The last compression of one chunk, not yet carried out."""
    cv = key
    blocks = [data[i : i + BLOCK] for i in range(0, len(data), BLOCK)] or [b""]
    for index, block in enumerate(blocks):
        flags = base | (CHUNK_START if index == 0 else 0) | (CHUNK_END if index == len(blocks) - 1 else 0)
        padded = block + bytes(BLOCK - len(block))
        if index == len(blocks) - 1:
            return cv, padded, counter, len(block), flags
        cv = compress(cv, padded, counter, len(block), flags)[:8]


def _parent_node(left, right, key, base):
    return key, left + right, 0, BLOCK, base | PARENT


def _left_len(length):
    """The left subtree: the largest power of two of chunks that leaves something for the right."""
    chunks = (length - 1) // CHUNK
    return CHUNK << (chunks.bit_length() - 1)


def _node(data, first_chunk, key, base):
    if len(data) <= CHUNK:
        return _chunk_node(data, first_chunk, key, base)
    cut = _left_len(len(data))
    left = chaining_value(data[:cut], first_chunk, key, base)
    right = chaining_value(data[cut:], first_chunk + cut // CHUNK, key, base)
    return _parent_node(left, right, key, base)


def chaining_value(data, first_chunk=0, key=IV, base=0):
    """The non-root chaining value of a subtree that begins at that chunk of its input."""
    return _bytes(compress(*_node(data, first_chunk, key, base))[:8])


def _root_output(node, length):
    cv, block, _, block_len, flags = node
    out, counter = b"", 0
    while len(out) < length:
        out += _bytes(compress(cv, block, counter, block_len, flags | ROOT))
        counter += 1
    return out[:length]


def blake3(data, length=32):
    """The plain hash."""
    return _root_output(_node(data, 0, IV, 0), length)


def keyed(key, data, length=32):
    """The keyed hash."""
    words = _words(key)
    return _root_output(_node(data, 0, words, KEYED), length)


def parent(left, right):
    """The chaining value over two subtrees."""
    return _bytes(compress(*_parent_node(left, right, IV, 0))[:8])


def root_of(left, right):
    """The hash of the input that two subtrees make up."""
    return _root_output(_parent_node(left, right, IV, 0), 32)
