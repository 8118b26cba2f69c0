//! What a key is for. A name holds one key of one kind.

/// Kind of a stored key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum KeyKind {
    P384,
    MlDsa65,
    MlDsa87,
    Wrapping,
}

impl KeyKind {
    pub(crate) const ALL: [Self; 4] = [Self::P384, Self::MlDsa65, Self::MlDsa87, Self::Wrapping];

    /// Name used in file names, wrap contexts and messages.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::P384 => "p384",
            Self::MlDsa65 => "ml-dsa-65",
            Self::MlDsa87 => "ml-dsa-87",
            Self::Wrapping => "aes-256",
        }
    }
}
