#![no_main]

use cresset_protocol::codec;
use cresset_protocol::limits::FRAME_BYTES_MAX;
use cresset_protocol::sync::announcement::Announcement;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let claimed = Announcement::peek_log(data);
    if let Ok(announcement) = codec::decode::<Announcement>(data, FRAME_BYTES_MAX) {
        assert_eq!(claimed, Some(announcement.log));
    }
});
