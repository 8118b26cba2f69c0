#![no_main]

use cresset_protocol::log::checkpoint::{Origin, SignedCheckpoint};
use cresset_protocol::signing::LogKeys;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|note: &str| {
    let Ok(origin) = Origin::parse("hub.at.example/prov/1") else { return };
    let keys = LogKeys { p384: [3; 97].into(), ml_dsa_65: [4; 1952].into() };
    if let Ok(signed) = SignedCheckpoint::parse(note, &origin, &keys) {
        let canonical = signed.to_note(&keys);
        assert_eq!(SignedCheckpoint::parse(&canonical, &origin, &keys), Ok(signed));
    }
});
