//! Verifier keys as policy files write them (C2SP signed-note): `<name>+<key id>+<base64 of type, long id, key>`.

use cresset_protocol::log::checkpoint::{LONG_ID_ML_DSA_65, LONG_ID_P384};
use cresset_protocol::log::note::KeyHint;
use cresset_protocol::signing::{LogKeys, MlDsa65PublicKey, P384PublicKey};

const TYPE_UNASSIGNED: u8 = 0xff;

/// A key that a policy file names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedKey {
    /// Key name: the origin of a log.
    pub(crate) name: String,
    /// The key.
    pub(crate) key: Key,
}

/// The keys that we can tell apart; any other is carried along and matches nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    P384(P384PublicKey),
    MlDsa65(MlDsa65PublicKey),
    Foreign(Vec<u8>),
}

impl NamedKey {
    /// Reads a key; `None` if it is none, or its id is not its own.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (name, rest) = text.split_once('+')?;
        let (id, data) = rest.split_once('+')?;
        let data = data_encoding::BASE64.decode(data.as_bytes()).ok()?;
        let (kind, body) = data.split_first()?;
        let (key, expected) = if *kind == TYPE_UNASSIGNED
            && let Some((long_id, key)) = of_ours(body)
        {
            let expected = KeyHint::of(name, long_id, body.get(long_id.len()..)?);
            (key, Some(expected))
        } else {
            // Other types compute their ids each in its own way; their keys count for nothing here.
            (Key::Foreign(data.clone()), None)
        };
        let id = data_encoding::HEXLOWER.decode(id.as_bytes()).ok().filter(|id| id.len() == 4)?;
        let fits = expected.is_none_or(|expected| expected.0.as_slice() == id);
        (fits && !name.is_empty()).then(|| Self { name: name.to_owned(), key })
    }

    /// Whether it is one of these keys, under this name.
    pub(crate) fn is_of(&self, origin: &str, keys: &LogKeys) -> bool {
        let same = match &self.key {
            Key::P384(key) => *key == keys.p384,
            Key::MlDsa65(key) => *key == keys.ml_dsa_65,
            Key::Foreign(_) => false,
        };
        same && self.name == origin
    }
}

/// Writes the P-384 key of a log for a policy file. Naming one of the two keys is enough: only both together sign.
pub(crate) fn to_text(origin: &str, keys: &LogKeys) -> String {
    let key = keys.p384.as_bytes();
    let id = data_encoding::HEXLOWER.encode(&KeyHint::of(origin, LONG_ID_P384, key).0);
    let data = [&[TYPE_UNASSIGNED], LONG_ID_P384.as_bytes(), key].concat();
    format!("{origin}+{id}+{}", data_encoding::BASE64.encode(&data))
}

fn of_ours(body: &[u8]) -> Option<(&'static str, Key)> {
    if let Some(key) = body.strip_prefix(LONG_ID_P384.as_bytes()) {
        return Some((LONG_ID_P384, Key::P384(P384PublicKey::try_from(key).ok()?)));
    }
    let key = body.strip_prefix(LONG_ID_ML_DSA_65.as_bytes())?;
    Some((LONG_ID_ML_DSA_65, Key::MlDsa65(MlDsa65PublicKey::try_from(key).ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> LogKeys {
        LogKeys { p384: P384PublicKey::from([4; 97]), ml_dsa_65: MlDsa65PublicKey::from([5; 1952]) }
    }

    #[test]
    fn a_key_comes_back_under_its_own_name_and_id_only() {
        let text = to_text("hub.at.example/prov/1", &keys());
        let key = NamedKey::parse(&text).unwrap();
        assert!(key.is_of("hub.at.example/prov/1", &keys()) && !key.is_of("hub.lu.example/prov/1", &keys()));
        let other = LogKeys { p384: P384PublicKey::from([9; 97]), ..keys() };
        assert!(!key.is_of("hub.at.example/prov/1", &other));
        assert_eq!(NamedKey::parse(&text.replacen("hub.at", "hub.lu", 1)), None);
        for wrong in ["", "a", "a+b", "a+00000000+", "+00000000+AA==", "a+0000+AA==", "a+00000000+A"] {
            assert_eq!(NamedKey::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn foreign_keys_are_read_and_match_nothing() {
        let key = NamedKey::parse("witness.example+00000000+AQID").unwrap();
        assert_eq!(key.key, Key::Foreign(vec![1, 2, 3]));
        assert!(!key.is_of("witness.example", &keys()));
    }
}
