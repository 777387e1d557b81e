//! Files of version 1 of each disk format, made by `tests/fixtures/make.py` and not by this crate. For tests.

/// The bytes of a fixture's hexadecimal text.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// The key that most fixtures are sealed under.
pub(crate) fn key() -> crate::seal::DataKey {
    crate::seal::DataKey::from_bytes(&std::array::from_fn(|index| u8::try_from(index).unwrap()))
}

/// The salt of the fixtures.
pub(crate) fn salt() -> [u8; 16] {
    std::array::from_fn(|index| u8::try_from(index).unwrap())
}
