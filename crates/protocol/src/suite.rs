//! The suite registry. A record names its suite; only *opening* refuses an unknown one, leaves replicate whatever it is.

use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};

/// A registered combination of algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Suite {
    /// SecP384r1MLKEM1024; AES-256-GCM; ECDSA P-384/SHA-384 and ML-DSA-65 on logs, ML-DSA-87 in rosters;
    /// HPKE with the MlKem1024P384 hybrid KEM of draft-ietf-hpke-pq (KEM id 0x0051), HKDF-SHA-384.
    Hybrid2026,
}

impl Suite {
    /// The registered name; the draft's KEM id is part of it, so that a changed draft is another suite.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hybrid2026 => "hybrid-2026",
        }
    }

    /// The number on the wire.
    pub const fn code(self) -> u16 {
        match self {
            Self::Hybrid2026 => 1,
        }
    }

    /// Looks a number up.
    pub const fn from_code(code: u16) -> Option<Self> {
        match code {
            1 => Some(Self::Hybrid2026),
            _ => None,
        }
    }
}

impl<C> Encode<C> for Suite {
    fn encode<W: encode::Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
        e.u16(self.code())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Suite {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        let at = d.position();
        Self::from_code(d.u16()?).ok_or_else(|| decode::Error::message("unknown suite").at(at))
    }
}
