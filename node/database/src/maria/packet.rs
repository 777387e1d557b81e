//! The parts of a MariaDB packet, read from hostile bytes: nothing is taken that is not there.

use crate::fault::DatabaseFault;

/// A packet's payload while it is read.
#[derive(Clone, Copy)]
pub(crate) struct Payload<'a>(&'a [u8]);

impl<'a> Payload<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn rest(self) -> &'a [u8] {
        self.0
    }

    /// The next bytes.
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], DatabaseFault> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(DatabaseFault::Protocol)?;
        self.0 = rest;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], DatabaseFault> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(DatabaseFault::Protocol)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DatabaseFault> {
        Ok(u8::from_le_bytes(self.fixed()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DatabaseFault> {
        Ok(u16::from_le_bytes(self.fixed()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DatabaseFault> {
        Ok(u32::from_le_bytes(self.fixed()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DatabaseFault> {
        Ok(u64::from_le_bytes(self.fixed()?))
    }

    /// A number of one to nine bytes.
    pub(crate) fn number(&mut self) -> Result<u64, DatabaseFault> {
        match self.u8()? {
            small @ 0..=0xfa => Ok(small.into()),
            0xfc => Ok(self.u16()?.into()),
            0xfd => {
                let [a, b, c] = self.fixed()?;
                Ok(u32::from_le_bytes([a, b, c, 0]).into())
            }
            0xfe => self.u64(),
            _ => Err(DatabaseFault::Protocol),
        }
    }

    /// Bytes behind their length.
    pub(crate) fn counted(&mut self) -> Result<&'a [u8], DatabaseFault> {
        let length = usize::try_from(self.number()?).map_err(|_| DatabaseFault::Protocol)?;
        self.take(length)
    }

    /// Bytes up to a zero, which is taken with them.
    pub(crate) fn ended(&mut self) -> Result<&'a [u8], DatabaseFault> {
        let length = self.0.iter().position(|byte| *byte == 0).ok_or(DatabaseFault::Protocol)?;
        let taken = self.take(length)?;
        self.take(1)?;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_length_and_nothing_beyond_the_end() {
        let read = |bytes: &[u8]| Payload::new(bytes).number();
        assert_eq!(read(&[250]), Ok(250));
        assert_eq!(read(&[0xfc, 1, 2]), Ok(0x201));
        assert_eq!(read(&[0xfd, 1, 2, 3]), Ok(0x3_0201));
        assert_eq!(read(&[0xfe, 1, 0, 0, 0, 0, 0, 0, 1]), Ok((1 << 56) + 1));
        for bad in [&[][..], &[0xfc, 1], &[0xfe, 1], &[0xfb], &[0xff]] {
            assert_eq!(read(bad), Err(DatabaseFault::Protocol), "{bad:?}");
        }
        assert_eq!(Payload::new(&[3, 1, 2]).counted(), Err(DatabaseFault::Protocol));
        assert_eq!(
            Payload::new(&[0xfe, 255, 255, 255, 255, 255, 255, 255, 255]).counted(),
            Err(DatabaseFault::Protocol)
        );
        assert_eq!(Payload::new(b"ab").ended(), Err(DatabaseFault::Protocol));
        let mut text = Payload::new(b"ab\0c");
        assert_eq!((text.ended(), text.rest()), (Ok(&b"ab"[..]), &b"c"[..]));
    }
}
