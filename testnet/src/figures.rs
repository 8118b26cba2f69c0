//! Figures of a running hub: from its metrics, and from the operating system.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::topology::HubSite;

const METRICS_DEADLINE: Duration = Duration::from_secs(5);

/// Milliseconds that the token took for the two signatures of the last head.
pub(crate) fn sign_ms(site: &HubSite) -> Result<Option<f64>> {
    Ok(value(&scrape(site)?, "cresset_checkpoint_sign_seconds").map(|seconds| seconds * 1_000.0))
}

/// Resident memory of a process in MiB.
pub(crate) fn resident_mib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib / 1_024)
}

fn scrape(site: &HubSite) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", site.metrics_port)).context("the metrics do not answer")?;
    stream.set_read_timeout(Some(METRICS_DEADLINE))?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// Value of the first sample with this name.
fn value(text: &str, name: &str) -> Option<f64> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let mut named =
        samples.filter_map(|line| line.rsplit_once(' ')).filter(|(key, _)| key.split('{').next() == Some(name));
    named.next()?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_found_by_its_name() {
        let text = "# TYPE a gauge\nab 1\na{hub=\"x y\"} 2.5\n";
        assert_eq!(value(text, "a"), Some(2.5));
        assert_eq!(value(text, "ab"), Some(1.0));
        assert_eq!(value(text, "b"), None);
    }
}
