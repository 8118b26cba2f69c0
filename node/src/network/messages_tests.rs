use cresset_protocol::codec;
use cresset_protocol::limits::FRAME_BYTES_MAX;
use minicbor::{Decode, Encode};

use super::*;

fn check<T>(message: &T, hex: &str)
where
    T: Encode<()> + for<'b> Decode<'b, ()> + PartialEq + std::fmt::Debug,
{
    let bytes = codec::encode(message);
    assert_eq!(data_encoding::HEXLOWER.encode(&bytes), hex);
    assert_eq!(codec::decode::<T>(&bytes, FRAME_BYTES_MAX).unwrap(), *message);
}

/// The examples of `protocol-spec/07-transport.md`.
#[test]
fn messages_have_the_bytes_of_the_specification() {
    let log = LogId([0x11; 32]);
    let log_hex = "5820".to_owned() + &"11".repeat(32);
    check(&LogRequest::Heads, "820080");
    check(&LogRequest::Checkpoint(log), &format!("820181{log_hex}"));
    let consistency = ConsistencyRequest { log, from: TreeSize(2), to: TreeSize(300) };
    check(&LogRequest::Consistency(consistency), &format!("820281a300{log_hex}01020219012c"));
    check(&LogResponse::Refused(Refusal::NotFound), "82038100");
    check(&RosterRequest::After(RosterVersion(3)), "82008103");
    let entries = EntriesRequest { log, from: LeafIndex(0), to: LeafIndex(256), head: TreeSize(300) };
    check(&entries, &format!("a400{log_hex}0100021901000319012c"));
    check(&RangeHead { total: None, length: 0, refusal: Some(Refusal::NotAllowed) }, "a201000203");
    check(&RangeHead { total: Some(5), length: 5, refusal: None }, "a200050105");
    check(&DeliveryAck::Stored, "00");
}

#[test]
fn unknown_requests_and_refusals_are_refused() {
    assert!(codec::decode::<LogRequest>(&[0x82, 0x09, 0x80], 64).is_err());
    assert!(codec::decode::<Refusal>(&[0x18, 0x63], 64).is_err());
    assert!(codec::decode::<DeliveryAck>(&[0x03], 64).is_err());
}
