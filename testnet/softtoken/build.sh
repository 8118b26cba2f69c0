#!/usr/bin/env bash
# Builds the software token once per state of its sources and prints the path of the module.
# usage: CRESSET_SOFTTOKEN=$(testnet/softtoken/build.sh)
#        testnet/softtoken/build.sh --path     prints where the module is or would be, without building
# The first build compiles OpenSSL (about six CPU minutes; needs perl, make, libclang); later calls only print the path.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
case $target in /*) ;; *) target=$root/$target ;; esac

# Of the lock file only what ends up in the module and may change its behaviour: hashing all of it would rebuild OpenSSL
# whenever any program of the workspace gains a dependency.
locked() {
    awk -v RS= '/name = "(kryoptic-lib|ossl|openssl-src|openssl-sys|rusqlite|libsqlite3-sys)"\n/' "$root/Cargo.lock"
}

key=$({ locked; cat "$here/Cargo.toml" "$here/src/lib.rs"; } | sha256sum | cut -c1-16)
module=$target/softtoken/$key/libcresset_softtoken.so

if [[ ! -f $module && ${1:-} != --path ]]; then
    CARGO_TARGET_DIR=$target cargo build --manifest-path "$root/Cargo.toml" --locked --release -p cresset-softtoken >&2
    mkdir -p "$(dirname "$module")"
    # Copied under another name first: a test that looks while we copy must not load half a file.
    cp "$target/release/libcresset_softtoken.so" "$module.$$"
    mv "$module.$$" "$module"
fi
printf '%s\n' "$module"
