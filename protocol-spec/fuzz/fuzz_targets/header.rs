#![no_main]

use cresset_protocol::envelope::{EnvelopeHeader, header_digest_of_wire};
use cresset_protocol::ids::{ConsortiumId, LogId};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (consortium, log) = (ConsortiumId([1; 32]), LogId([2; 32]));
    if let Ok(header) = EnvelopeHeader::from_wire(data, &consortium, &log) {
        assert_eq!(header.to_wire(), data);
        assert_eq!(header_digest_of_wire(data, &consortium, &log), Ok(header.digest()));
    }
});
