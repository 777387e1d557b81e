//! Code points of the wire: message types and error codes. `spec/registry.toml` lists the same values.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::{CONTROL_FRAME_BYTES_MAX, DOCUMENT_BYTES_MAX, JOIN_FRAME_BYTES_MAX};

/// Makes a `u16` enum with its code points, so that a code stands in one place.
macro_rules! code_points {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $code:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        #[repr(u16)]
        pub enum $name {
            $($(#[$vmeta])* $variant = $code,)+
        }

        impl $name {
            /// Every code point, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The number on the wire.
            pub const fn code(self) -> u16 {
                match self { $(Self::$variant => $code,)+ }
            }

            /// The code point of a number, if there is one.
            pub const fn from_code(code: u16) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }

            /// Its name in the registry.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)+ }
            }
        }
    };
}

code_points! {
    /// What a frame carries.
    MessageType {
        /// Dialler's first frame on a connection's first stream.
        Hello = 1,
        /// Listener's answer; nothing else is sent before it.
        HelloAck = 2,
        /// Any request refused, with a code.
        Refused = 3,
        /// The request was carried out; nothing to say.
        Done = 4,
        /// A signed document for the other side.
        Document = 5,
        /// Ask for one range of a blob.
        RangeGet = 6,
        /// The range follows, raw.
        RangeBegin = 7,
        /// Ask for a blob's outboard.
        OutboardGet = 8,
        /// The outboard follows, raw.
        OutboardBegin = 9,
        /// The peer's log checkpoint, to be cosigned.
        Checkpoint = 10,
        /// A checkpoint with the reader's cosignature.
        Cosigned = 11,
        /// Join protocol: a hospital's first frame.
        Join = 12,
        /// Join protocol: the operator's answer.
        JoinAck = 13,
    }
}

impl MessageType {
    /// The bound of this type's payload.
    pub const fn payload_bytes_max(self) -> usize {
        match self {
            Self::Document => DOCUMENT_BYTES_MAX,
            Self::Join | Self::JoinAck => JOIN_FRAME_BYTES_MAX,
            Self::Hello
            | Self::HelloAck
            | Self::Refused
            | Self::Done
            | Self::RangeGet
            | Self::RangeBegin
            | Self::OutboardGet
            | Self::OutboardBegin
            | Self::Checkpoint
            | Self::Cosigned => CONTROL_FRAME_BYTES_MAX,
        }
    }
}

code_points! {
    /// Why a request or a connection was refused. A peer gets this and ids it already knows, never more.
    ErrorCode {
        /// No common wire version.
        VersionUnknown = 1,
        /// The peer's record, key or validity does not stand.
        IdentityRefused = 2,
        /// This node is in no such consortium.
        ConsortiumUnknown = 3,
        /// The clocks lie too far apart.
        ClockSkew = 4,
        /// A frame that is malformed or too long.
        Malformed = 5,
        /// A signature that does not stand over the received bytes.
        SignatureInvalid = 6,
        /// A message that this state does not expect.
        OutOfOrder = 7,
        /// The charter needed is not in force here.
        CharterNotInForce = 8,
        /// No such share, subscription, snapshot or blob for this peer.
        NotFound = 9,
        /// The subscription is revoked.
        Revoked = 10,
        /// The share, invitation or token has expired.
        Expired = 11,
        /// A manifest that does not continue its chain.
        ChainBroken = 12,
        /// A linkage key, epoch or normaliser that is not the consortium's.
        LinkageMismatch = 13,
        /// The node has been told to stop all output.
        Stopped = 14,
        /// Too many requests at once.
        Busy = 15,
        /// The node cannot write its log and so serves nothing.
        Unavailable = 16,
        /// The same document with the same sequence but other content.
        Forked = 17,
        /// A one-time secret that is wrong or used.
        TokenRefused = 18,
        /// Bytes that are not what their digest says.
        DigestMismatch = 19,
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.code())
    }
}

impl std::error::Error for ErrorCode {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_point_reads_back_as_itself() {
        for kind in MessageType::ALL {
            assert_eq!(MessageType::from_code(kind.code()), Some(*kind));
        }
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_code(code.code()), Some(*code));
        }
        assert_eq!((MessageType::from_code(0), ErrorCode::from_code(0)), (None, None));
    }
}
