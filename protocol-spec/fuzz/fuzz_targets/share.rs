#![no_main]

use cresset_protocol::ids::LogId;
use cresset_protocol::log::entry::Entry;
use cresset_protocol::log::leaf::Leaf;
use cresset_protocol::log::public::PublicShare;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|parts: (&[u8], &[u8])| {
    let _ = Entry::from_bytes(parts.1);
    let Ok(leaf) = Leaf::from_bytes(parts.0) else { return };
    assert_eq!(leaf.to_bytes().as_slice(), parts.0);
    let _ = PublicShare::decode(&leaf, &LogId([2; 32]), parts.1);
});
