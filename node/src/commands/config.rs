//! `cresset config check`.

use std::path::Path;

use cresset_token::KeyStoreConfig;
use serde::Serialize;

use super::Outcome;
use crate::config::Config;
use crate::exit_code::ExitCode;
use crate::output::Output;
use crate::output::table::Table;

#[derive(Debug, Serialize)]
struct Checked {
    config: String,
    settings: Vec<(&'static str, String)>,
}

pub(crate) fn check(path: &Path, output: Output) -> Outcome {
    let config = Config::load(path)?;
    let checked = Checked { config: path.display().to_string(), settings: settings(&config) };
    output.print(&checked, |checked| {
        let mut table = Table::new(2);
        checked.settings.iter().for_each(|(key, value)| table.row([key, value]));
        format!("{} is a valid configuration and comes to:\n{}", checked.config, table.render())
    });
    Ok(ExitCode::Ok)
}

fn settings(config: &Config) -> Vec<(&'static str, String)> {
    let keys = match &config.keys {
        KeyStoreConfig::File(file) => format!("files in {}", file.directory.display()),
        KeyStoreConfig::Pkcs11(token) => format!("token with {} through {}", token.token, token.module.display()),
    };
    let listen: Vec<String> = config.network.listen.iter().map(ToString::to_string).collect();
    let listen = if listen.is_empty() { "nowhere: this hub only dials".to_owned() } else { listen.join(", ") };
    vec![
        ("data_dir", config.data_dir.display().to_string()),
        ("keys", keys),
        ("network.listen", listen),
        ("network.network", config.network.network.clone()),
        ("api.socket", config.api.socket.display().to_string()),
        ("metrics.listen", config.metrics.listen.to_string()),
        ("log.sign_wait_s", config.log.sign_wait_s.to_string()),
        ("log.gate_wait_s", config.log.gate_wait_s.to_string()),
        ("log.fence_dir", config.fence_dir().display().to_string()),
        ("storage.relay_retention_days", config.storage.relay_retention_days.to_string()),
    ]
}
