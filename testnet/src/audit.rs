//! Exporting bundles and replaying them with `cresset-audit`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::process::{Programs, output};
use crate::sim::SeededRandom;

/// Lowest exit code of `cresset-audit replay` that is a verdict and not a failure to run.
const VERDICT_MIN: i32 = 10;

/// Findings that an error shows.
const FINDINGS_SHOWN: usize = 5;

/// What a replay came to.
#[derive(Clone, Debug)]
pub(crate) struct Replay {
    /// The verdict's word.
    pub(crate) verdict: String,
    /// Exit code.
    pub(crate) code: i32,
    report: Value,
}

/// Replays bundles against a consortium id, and demands one confirmation by another Member State for everything up to
/// `until`, if given: with fewer than four hubs no majority of the others can be had.
pub(crate) fn replay(programs: &Programs, bundles: &[PathBuf], consortium: &str, until: Option<u64>) -> Result<Replay> {
    let mut command = programs.command("cresset-audit");
    command.arg("replay").args(bundles).args(["--json", "--consortium", consortium]);
    if let Some(until) = until {
        command.args(["--confirmed-by", "any", "--until", &until.to_string()]);
    }
    let output = output(&mut command).context("cannot run cresset-audit")?;
    let code = output.status.code().unwrap_or(-1);
    if code != 0 && code < VERDICT_MIN {
        bail!("cresset-audit ended with {}\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim_end());
    }
    let report: Value = serde_json::from_slice(&output.stdout).context("the audit report is no JSON")?;
    let verdict = report.get("verdict").and_then(Value::as_str).context("the audit report has no verdict")?.to_owned();
    Ok(Replay { verdict, code, report })
}

impl Replay {
    /// What weighed on the verdict, a line each.
    pub(crate) fn findings(&self) -> String {
        let findings = self.report.get("findings").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        findings.iter().take(FINDINGS_SHOWN).map(|finding| format!("\n  {finding}")).collect()
    }
}

/// A bit that was flipped, and what it was before.
#[derive(Clone, Debug)]
pub(crate) struct Flip {
    /// The file, relative to the bundle.
    pub(crate) name: String,
    /// Which byte.
    pub(crate) position: usize,
    /// The file's bytes.
    pub(crate) len: usize,
    path: PathBuf,
    before: Vec<u8>,
}

/// Flips one bit at a seeded place of a bundle.
pub(crate) fn flip(bundle: &Path, random: &mut SeededRandom) -> Result<Flip> {
    let files: Vec<PathBuf> = files_below(bundle)?.into_iter().filter(|path| len(path) > 0).collect();
    if files.is_empty() {
        bail!("bundle `{}` is empty", bundle.display());
    }
    let path = files[random.below(files.len() as u64) as usize].clone();
    let before = std::fs::read(&path)?;
    let position = random.below(before.len() as u64) as usize;
    let mut bytes = before.clone();
    bytes[position] ^= 1 << random.below(8);
    std::fs::write(&path, &bytes)?;
    let name = path.strip_prefix(bundle).unwrap_or(&path).display().to_string();
    Ok(Flip { name, position, len: before.len(), path, before })
}

impl Flip {
    /// Puts the byte back.
    pub(crate) fn undo(&self) -> Result<()> {
        std::fs::write(&self.path, &self.before).context("cannot restore the bundle")
    }
}

/// Every root that the notes of these bundles state for one origin and size: more than one is a fork.
pub(crate) fn roots_by_size(bundles: &[PathBuf]) -> Result<BTreeMap<(String, u64), Vec<String>>> {
    let mut roots: BTreeMap<(String, u64), Vec<String>> = BTreeMap::new();
    for bundle in bundles {
        for path in files_below(bundle)?.iter().filter(|path| is_note(path)) {
            let note = std::fs::read_to_string(path).with_context(|| format!("`{}` is no note", path.display()))?;
            let mut lines = note.lines();
            let (origin, size, root) = (lines.next(), lines.next(), lines.next());
            let (Some(origin), Some(size), Some(root)) = (origin, size.and_then(|size| size.parse().ok()), root) else {
                bail!("`{}` is no note", path.display());
            };
            let known = roots.entry((origin.to_owned(), size)).or_default();
            if !known.iter().any(|known| known == root) {
                known.push(root.to_owned());
            }
        }
    }
    Ok(roots)
}

fn is_note(path: &Path) -> bool {
    let parent = path.parent().and_then(Path::file_name);
    path.file_name().is_some_and(|name| name == "checkpoint") || parent.is_some_and(|name| name == "checkpoints")
}

fn files_below(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).with_context(|| format!("cannot read `{}`", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    Ok(files)
}

fn len(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| metadata.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(root: &str) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("logs/x/checkpoints");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("000000000000002"), format!("a.example/prov/1\n2\n{root}\n\n- x\n")).unwrap();
        directory
    }

    #[test]
    fn two_roots_for_one_size_are_seen_across_bundles() {
        let (one, two) = (bundle("AAAA"), bundle("BBBB"));
        let paths = [one.path().to_owned(), one.path().to_owned()];
        assert!(roots_by_size(&paths).unwrap().values().all(|roots| roots.len() == 1));
        let paths = [one.path().to_owned(), two.path().to_owned()];
        assert_eq!(roots_by_size(&paths).unwrap()[&("a.example/prov/1".to_owned(), 2)].len(), 2);
    }

    #[test]
    fn a_flip_changes_one_bit_and_can_be_undone() {
        let bundle = bundle("AAAA");
        let file = bundle.path().join("logs/x/checkpoints/000000000000002");
        let before = std::fs::read(&file).unwrap();
        let flip = flip(bundle.path(), &mut SeededRandom::new(7)).unwrap();
        let after = std::fs::read(&file).unwrap();
        let bits: u32 = before.iter().zip(&after).map(|(a, b)| (a ^ b).count_ones()).sum();
        assert_eq!((bits, after.len()), (1, before.len()));
        flip.undo().unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), before);
    }
}
