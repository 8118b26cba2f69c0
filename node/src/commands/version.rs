//! `cresset --version`.

use cresset_protocol::suite::Suite;
use cresset_provenance::SCHEMA_VERSION;
use serde::Serialize;

use crate::output::Output;
use crate::transport::SUPPORTED_VERSIONS;

#[derive(Debug, Serialize)]
struct Version {
    version: &'static str,
    protocol: u16,
    schema: u32,
    suite: &'static str,
}

pub(crate) fn run(output: Output) {
    let version = Version {
        version: env!("CARGO_PKG_VERSION"),
        protocol: SUPPORTED_VERSIONS.max,
        schema: SCHEMA_VERSION,
        suite: Suite::Hybrid2026.name(),
    };
    output.print(&version, |version| {
        format!(
            "cresset {} (protocol {}, schema {}, suite {})\n",
            version.version, version.protocol, version.schema, version.suite
        )
    });
}
