//! What a classical TLS client gets from a hub: nothing.

use std::process::Command;

use anyhow::{Result, bail};

use crate::process::output;
use crate::topology::HubSite;

/// What `openssl s_client` said when it was refused; `None` where there is no openssl.
pub(crate) fn classical_client_is_refused(site: &HubSite) -> Result<Option<String>> {
    let mut version = Command::new("openssl");
    let Ok(version) = output(version.arg("version")) else { return Ok(None) };
    let version = String::from_utf8_lossy(&version.stdout).split_whitespace().take(2).collect::<Vec<_>>().join(" ");

    let mut client = Command::new("openssl");
    client.args(["s_client", "-brief", "-tls1_3", "-groups", "X25519:P-256:P-384:P-521"]);
    client.args(["-connect", &format!("127.0.0.1:{}", site.port)]).stdin(std::process::Stdio::null());
    let answer = output(&mut client)?;
    let text = format!("{}{}", String::from_utf8_lossy(&answer.stdout), String::from_utf8_lossy(&answer.stderr));
    if answer.status.success() || text.contains("CONNECTION ESTABLISHED") {
        bail!("a classical TLS client completed a handshake with {}:\n{text}", site.name);
    }
    // `error:0A000410:SSL routines:ssl3_read_bytes:sslv3 alert handshake failure:../ssl/..`: the reason is field 4.
    let reason = text.lines().find_map(|line| line.split_once("error:")?.1.split(':').nth(3).map(str::to_owned));
    Ok(Some(format!("{version}: {}", reason.unwrap_or_else(|| "no handshake".to_owned()))))
}
