#![no_main]

use cresset_protocol::codec::check_canonical;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // Whatever is canonical stops being so with one more octet.
    if check_canonical(data).is_ok() {
        let mut longer = data.to_vec();
        longer.push(0);
        assert!(check_canonical(&longer).is_err());
    }
});
