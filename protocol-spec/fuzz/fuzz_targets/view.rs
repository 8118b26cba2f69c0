#![no_main]

use cresset_protocol::object::publish_share::PublishShare;
use cresset_protocol::object::view::{ViewPayload, verify};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|parts: (&[u8], &[u8])| {
    let (Ok(share), Ok(payload)) = (PublishShare::from_bytes(parts.0), ViewPayload::from_bytes(parts.1)) else { return };
    assert_eq!(payload.to_bytes(), parts.1);
    drop(verify(&payload, &share));
});
