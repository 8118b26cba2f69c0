#![no_main]

use cresset_protocol::codec;
use cresset_protocol::limits::{ENROLMENT_BYTES_MAX, ROSTER_BYTES_MAX};
use cresset_protocol::membership::enrolment::EnrolmentRequest;
use cresset_protocol::membership::roster::{RosterBody, SignedRoster};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = codec::decode::<SignedRoster>(data, ROSTER_BYTES_MAX);
    let _ = codec::decode::<RosterBody>(data, ROSTER_BYTES_MAX);
    let _ = codec::decode::<EnrolmentRequest>(data, ENROLMENT_BYTES_MAX);
});
