#![no_main]

use cresset_interop::Format;
use cresset_interop::misp::MispFormat;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = MispFormat.parse_all(data);
});
