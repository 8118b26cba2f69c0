//! Damage test: single bits turned in every file of a bundle must change the verdict.

use std::collections::{BTreeMap, BTreeSet};

use cresset_protocol::limits::BUNDLE_FILES_MAX;
use cresset_protocol::log::bundle::{BundleManifest, BundledFile, MANIFEST_PATH};
use serde::Serialize;
use thiserror::Error;

use crate::report::Report;
use crate::source::{Altered, InMemory, Source, SourceError};
use crate::verdict::Verdict;

/// What a damage test turns in every file, besides the first and last octet, unless told otherwise.
pub const POSITIONS_PER_FILE: u64 = 50;
/// A bundle is held in memory for this test; larger ones are refused.
const BUNDLE_BYTES_MAX: usize = 1 << 30;

/// What to turn.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// At least so many positions altogether.
    pub flips: u64,
    /// Positions of every file, besides its first and last octet.
    pub per_file: u64,
    /// Of the positions and bits.
    pub seed: u64,
    /// Who turned the bit also digested the file anew, so that only what the file says can give it away.
    pub resealed: bool,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FlipReport {
    /// Verdict on the untouched bundle.
    pub untouched: &'static str,
    /// Name of its result, the same twice.
    pub result: String,
    /// Files of the bundle, the manifest among them.
    pub files: u64,
    /// Bits turned, one at a time.
    pub flips: u64,
    /// Verdicts on the damaged bundles.
    pub verdicts: BTreeMap<&'static str, u64>,
    /// Positions whose damage did not change the verdict.
    pub unnoticed: Vec<Flip>,
}

/// One bit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Flip {
    /// File.
    pub path: String,
    /// Octet.
    pub offset: u64,
    /// Bit, from the lowest.
    pub bit: u8,
}

/// Replays the bundle untouched twice, then once for every flip.
///
/// # Errors
/// [`FlipError`] if the bundle cannot be read, is not valid to begin with, or gives two results.
pub fn flip_test(
    source: &dyn Source,
    plan: Plan,
    replay: &mut dyn FnMut(&dyn Source) -> Report,
) -> Result<FlipReport, FlipError> {
    let memory = InMemory::load(source, BUNDLE_FILES_MAX + 1, BUNDLE_BYTES_MAX)?;
    let untouched = replay(&memory);
    if untouched.verdict() == Verdict::Invalid {
        return Err(FlipError::Invalid);
    }
    if replay(&memory).digest() != untouched.digest() {
        return Err(FlipError::Undetermined);
    }
    let (mut verdicts, mut unnoticed, mut flips) = (BTreeMap::new(), Vec::new(), 0);
    for flip in positions(&memory, plan) {
        let Some(altered) = turn(&memory, &flip, plan.resealed) else { continue };
        let verdict = replay(&altered).verdict();
        *verdicts.entry(verdict.name()).or_default() += 1;
        flips += 1;
        if verdict == untouched.verdict() {
            unnoticed.push(flip);
        }
    }
    let files = memory.0.len() as u64;
    Ok(FlipReport {
        untouched: untouched.verdict().name(),
        result: untouched.digest(),
        files,
        flips,
        verdicts,
        unnoticed,
    })
}

fn positions(memory: &InMemory, plan: Plan) -> BTreeSet<Flip> {
    let mut random = SplitMix(plan.seed);
    let mut flips = BTreeSet::new();
    let eligible = |path: &str| !plan.resealed || path != MANIFEST_PATH;
    let files: Vec<(&String, u64)> = memory
        .0
        .iter()
        .map(|(path, content)| (path, content.len() as u64))
        .filter(|(path, len)| eligible(path) && *len > 0)
        .collect();
    let add = |path: &str, offset: u64, random: &mut SplitMix, flips: &mut BTreeSet<Flip>| {
        flips.insert(Flip { path: path.to_owned(), offset, bit: (random.next() % 8) as u8 });
    };
    for (path, len) in &files {
        add(path, 0, &mut random, &mut flips);
        add(path, len - 1, &mut random, &mut flips);
        for _ in 0..plan.per_file {
            let offset = random.next() % len;
            add(path, offset, &mut random, &mut flips);
        }
    }
    let bytes: u64 = files.iter().map(|(_, len)| len).sum();
    // A tiny bundle has fewer bits than were asked for.
    while (flips.len() as u64) < plan.flips.min(bytes * 4) {
        let mut at = random.next() % bytes;
        for (path, len) in &files {
            if at < *len {
                add(path, at, &mut random, &mut flips);
                break;
            }
            at -= len;
        }
    }
    flips
}

fn turn<'m>(memory: &'m InMemory, flip: &Flip, resealed: bool) -> Option<Altered<'m>> {
    let mut content = memory.0.get(&flip.path)?.clone();
    *content.get_mut(usize::try_from(flip.offset).ok()?)? ^= 1 << flip.bit;
    let mut replaced = BTreeMap::new();
    if resealed {
        replaced.insert(MANIFEST_PATH.to_owned(), reseal(memory, &flip.path, &content)?);
    }
    replaced.insert(flip.path.clone(), content);
    Some(Altered { base: memory, replaced })
}

fn reseal(memory: &InMemory, path: &str, content: &[u8]) -> Option<Vec<u8>> {
    let mut manifest = BundleManifest::decode(memory.0.get(MANIFEST_PATH)?).ok()?;
    let file = manifest.files.iter_mut().find(|file| file.path == path)?;
    *file = BundledFile::of(path, content);
    Some(manifest.to_bytes())
}

/// The generator of Steele, Lea and Flood: seeded, so that a failure can be repeated; nothing here is secret.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Why there is no damage test.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FlipError {
    /// The bundle cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// There is nothing left to change the verdict to.
    #[error("the untouched bundle is INVALID; hint: `cresset-audit replay` says why")]
    Invalid,
    /// Two replays of the same bytes differ.
    #[error("two replays of the untouched bundle gave different results")]
    Undetermined,
}
