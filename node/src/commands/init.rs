//! `cresset init`: a commented configuration and an empty home. Never overwrites anything.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use cresset_protocol::ids::ConsortiumId;
use serde::Serialize;

use super::{CommandError, Outcome, files};
use crate::cli::InitArguments;
use crate::config::{Config, EXAMPLE};
use crate::exit_code::ExitCode;
use crate::home::Home;
use crate::output::Output;

const CONSORTIUM_FILE_BYTES_MAX: usize = 256;

#[derive(Debug, Serialize)]
struct Initialised {
    config: String,
    config_written: bool,
    data_dir: String,
    consortium: String,
}

pub(crate) fn run(path: &Path, arguments: &InitArguments, output: Output) -> Outcome {
    let consortium = consortium(&arguments.consortium)?;
    let config_written = write_example(path)?;
    let config = Config::load(path)?;
    let data_dir = &config.data_dir;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir);
    made.map_err(|source| CommandError::file(data_dir, source))?;
    let home = Home::new(&config);
    home.create()?;
    home.set_consortium(&consortium)?;
    let answer = Initialised {
        config: path.display().to_string(),
        config_written,
        data_dir: data_dir.display().to_string(),
        consortium: consortium.to_string(),
    };
    output.print(&answer, text);
    Ok(ExitCode::Ok)
}

fn text(done: &Initialised) -> String {
    let what = if done.config_written { "written, with every key explained" } else { "found and kept" };
    format!(
        "configuration  {} ({what})\ndata           {}\nconsortium     {}\n\nNext: read the configuration, then `cresset doctor` \
         and `cresset enrol request`.\n",
        done.config, done.data_dir, done.consortium
    )
}

/// Hexadecimal, or a file with it.
fn consortium(text: &str) -> Result<ConsortiumId, CommandError> {
    if let Ok(id) = ConsortiumId::from_hex(text) {
        return Ok(id);
    }
    let wrong = || CommandError::ConsortiumId(text.to_owned());
    let file = files::read(Path::new(text), CONSORTIUM_FILE_BYTES_MAX).map_err(|_| wrong())?;
    ConsortiumId::from_hex(String::from_utf8_lossy(&file).trim()).map_err(|_| wrong())
}

/// Whether the example was written; a configuration that is there stays.
fn write_example(path: &Path) -> Result<bool, CommandError> {
    let at = |source| CommandError::file(path, source);
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        fs::create_dir_all(directory).map_err(at)?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o640).open(path) {
        Ok(mut file) => file.write_all(EXAMPLE.as_bytes()).and_then(|()| file.sync_all()).map(|()| true).map_err(at),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(at(error)),
    }
}
