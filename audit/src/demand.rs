//! What confirmations are demanded: a fraction of the Member States, or a C2SP tlog-policy file.

use std::collections::{BTreeMap, BTreeSet};

use cresset_protocol::signing::LogKeys;
use thiserror::Error;

use crate::vkey::NamedKey;

/// When a leaf counts as witnessed.
#[derive(Clone, Debug)]
pub enum Demand {
    /// By a fraction of the other Member States with an active hub, one vote each.
    Fraction(Fraction),
    /// By the quorum of a policy file.
    Policy(WitnessPolicy),
}

/// A fraction of m votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Fraction {
    /// One.
    Any,
    /// More than half.
    Majority,
    /// More than two thirds.
    Full,
}

/// With fewer other Member States than this nothing but `any` can be reached.
const QUORUM_STATES_MIN: usize = 3;

impl Fraction {
    /// Votes needed of `m`; `None` if so few make no quorum.
    pub fn needed(self, m: usize) -> Option<usize> {
        match self {
            Self::Any => (m >= 1).then_some(1),
            Self::Majority => (m >= QUORUM_STATES_MIN).then_some(m / 2 + 1),
            Self::Full => (m >= QUORUM_STATES_MIN).then_some(2 * m / 3 + 1),
        }
    }

    /// The word of the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Majority => "majority",
            Self::Full => "full",
        }
    }
}

/// A parsed policy file. A witness is a member's log: its HEADS leaves, under both its keys, are its cosignatures.
#[derive(Clone, Debug)]
pub struct WitnessPolicy {
    logs: Vec<NamedKey>,
    witnesses: BTreeMap<String, NamedKey>,
    groups: BTreeMap<String, (usize, Vec<String>)>,
    quorum: Option<String>,
}

/// Size of a policy file.
pub const POLICY_FILE_BYTES_MAX: usize = 1 << 20;
/// Lines of a policy file that define something.
const DEFINITIONS_MAX: usize = 4_096;
const NOBODY: &str = "none";

impl WitnessPolicy {
    /// Parses a policy file (C2SP tlog-policy).
    ///
    /// # Errors
    /// The first line that breaks a rule of the format.
    pub fn parse(text: &str) -> Result<Self, DemandError> {
        let mut parser = Parser::default();
        if text.len() > POLICY_FILE_BYTES_MAX {
            return Err(DemandError::TooLarge(text.len()));
        }
        for (number, line) in (1usize..).zip(text.split('\n')) {
            let refused = |reason| DemandError::Line { number, reason };
            if line.bytes().any(|b| b < 0x20 && b != b'\t' || b == 0x7f) {
                return Err(refused("control character"));
            }
            let words: Vec<&str> = line.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
            if words.first().is_none_or(|word| word.starts_with('#')) {
                continue;
            }
            parser.line(&words).map_err(refused)?;
        }
        let quorum = parser.quorum.ok_or(DemandError::NoQuorum)?;
        let quorum = (quorum != NOBODY).then_some(quorum);
        Ok(Self { logs: parser.logs, witnesses: parser.witnesses, groups: parser.groups, quorum })
    }

    /// Whether the file names logs at all, and whether this is one of them.
    pub fn names_log(&self, origin: &str, keys: &LogKeys) -> Option<bool> {
        (!self.logs.is_empty()).then(|| self.logs.iter().any(|log| log.is_of(origin, keys)))
    }

    /// The witness that a log with these keys is.
    pub fn witness_of(&self, origin: &str, keys: &LogKeys) -> Option<&str> {
        self.witnesses.iter().find(|(_, key)| key.is_of(origin, keys)).map(|(name, _)| name.as_str())
    }

    /// Whether these witnesses are the quorum.
    pub fn is_quorum(&self, witnesses: &BTreeSet<&str>) -> bool {
        self.quorum.as_deref().is_none_or(|name| self.has_witnessed(name, witnesses))
    }

    fn has_witnessed(&self, name: &str, witnesses: &BTreeSet<&str>) -> bool {
        match self.groups.get(name) {
            // Groups name earlier lines only, so this ends.
            Some((needed, members)) => {
                members.iter().filter(|member| self.has_witnessed(member, witnesses)).count() >= *needed
            }
            None => witnesses.contains(name),
        }
    }
}

#[derive(Default)]
struct Parser {
    logs: Vec<NamedKey>,
    witnesses: BTreeMap<String, NamedKey>,
    groups: BTreeMap<String, (usize, Vec<String>)>,
    members: BTreeSet<String>,
    quorum: Option<String>,
}

impl Parser {
    fn line(&mut self, words: &[&str]) -> Result<(), &'static str> {
        if self.logs.len() + self.witnesses.len() + self.groups.len() >= DEFINITIONS_MAX {
            return Err("too many definitions");
        }
        match words {
            ["log", key] | ["log", key, _] => {
                let key = NamedKey::parse(key).ok_or("not a verifier key")?;
                if self.logs.iter().any(|log| log.key == key.key) {
                    return Err("a log twice");
                }
                self.logs.push(key);
            }
            ["witness", name, key] | ["witness", name, key, _] => {
                let key = NamedKey::parse(key).ok_or("not a verifier key")?;
                if self.witnesses.values().any(|witness| witness.key == key.key) {
                    return Err("a witness twice");
                }
                self.free(name)?;
                self.witnesses.insert((*name).to_owned(), key);
            }
            ["group", name, needed, members @ ..] if !members.is_empty() => self.group(name, needed, members)?,
            ["quorum", name] if self.quorum.is_none() => {
                if *name != NOBODY && !self.is_known(name) {
                    return Err("unknown name");
                }
                self.quorum = Some((*name).to_owned());
            }
            ["quorum", _] => return Err("a second quorum"),
            _ => return Err("not a line of a policy"),
        }
        Ok(())
    }

    fn group(&mut self, name: &str, needed: &str, members: &[&str]) -> Result<(), &'static str> {
        let needed = match needed {
            "all" => members.len(),
            "any" => 1,
            number => number.parse().ok().filter(|n: &usize| n.to_string() == number).ok_or("not a threshold")?,
        };
        if needed == 0 || needed > members.len() {
            return Err("threshold out of bounds");
        }
        for member in members {
            if !self.is_known(member) {
                return Err("unknown name");
            }
            // In one group only, so that nobody counts in two ways.
            if !self.members.insert((*member).to_owned()) {
                return Err("a member of two groups");
            }
        }
        self.free(name)?;
        self.groups.insert(name.to_owned(), (needed, members.iter().map(|m| (*m).to_owned()).collect()));
        Ok(())
    }

    fn is_known(&self, name: &str) -> bool {
        self.witnesses.contains_key(name) || self.groups.contains_key(name)
    }

    fn free(&self, name: &str) -> Result<(), &'static str> {
        if name == NOBODY || self.is_known(name) { Err("name is taken") } else { Ok(()) }
    }
}

/// Why text is no policy file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DemandError {
    /// Over the limit.
    #[error("policy file of {0} bytes is over the limit of {POLICY_FILE_BYTES_MAX}")]
    TooLarge(usize),
    /// A line breaks a rule.
    #[error("line {number} of the policy file: {reason}")]
    Line {
        /// From 1.
        number: usize,
        /// Which rule.
        reason: &'static str,
    },
    /// There must be one.
    #[error("policy file has no quorum line")]
    NoQuorum,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vkey;
    use cresset_protocol::signing::{MlDsa65PublicKey, P384PublicKey};

    fn keys(n: u8) -> LogKeys {
        LogKeys { p384: P384PublicKey::from([n; 97]), ml_dsa_65: MlDsa65PublicKey::from([n; 1952]) }
    }

    fn origin(n: u8) -> String {
        format!("hub{n}.example/prov/1")
    }

    fn policy(rest: &str) -> Result<WitnessPolicy, DemandError> {
        let mut text = format!("# members\n\nlog {}\n", vkey::to_text(&origin(0), &keys(0)));
        for n in 1..=4 {
            text.push_str(&format!("\twitness  W{n} {} https://w.example\n", vkey::to_text(&origin(n), &keys(n))));
        }
        WitnessPolicy::parse(&(text + rest))
    }

    #[test]
    fn quorums_of_groups_count_their_members() {
        let policy = policy("group X 2 W1 W2 W3\ngroup all all X W4\nquorum all\n").unwrap();
        let check = |names: &[&str], expected| {
            assert_eq!(policy.is_quorum(&names.iter().copied().collect()), expected, "{names:?}");
        };
        check(&["W1", "W3", "W4"], true);
        check(&["W1", "W2", "W3"], false);
        check(&["W1", "W4"], false);
        check(&[], false);
        assert_eq!(policy.witness_of(&origin(2), &keys(2)), Some("W2"));
        assert_eq!(policy.witness_of(&origin(2), &keys(3)), None);
        assert_eq!(policy.names_log(&origin(0), &keys(0)), Some(true));
        assert_eq!(policy.names_log(&origin(1), &keys(1)), Some(false));
        let none = WitnessPolicy::parse("quorum none\n").unwrap();
        assert!(none.is_quorum(&BTreeSet::new()) && none.names_log(&origin(0), &keys(0)).is_none());
    }

    #[test]
    fn every_wrong_line_is_refused_by_name() {
        let check = |rest: &str, reason: &'static str| match policy(rest) {
            Err(DemandError::Line { reason: found, .. }) => assert_eq!(found, reason, "{rest}"),
            other => panic!("{rest}: {other:?}"),
        };
        check("quorum W9\n", "unknown name");
        check("quorum W1\nquorum W2\n", "a second quorum");
        check("group X 0 W1\nquorum X\n", "threshold out of bounds");
        check("group X 3 W1 W2\nquorum X\n", "threshold out of bounds");
        check("group X 02 W1 W2\nquorum X\n", "not a threshold");
        check("group X any none\n", "unknown name");
        check("group X any X\n", "unknown name");
        check("group X any W1\ngroup Y any W1\n", "a member of two groups");
        check("group W1 any W2\n", "name is taken");
        check("group none any W2\n", "name is taken");
        check("group X any\n", "not a line of a policy");
        check("witness W9 junk\n", "not a verifier key");
        check("quorum\x07 W1\n", "control character");
        let twice = format!("witness W9 {}\n", vkey::to_text(&origin(1), &keys(1)));
        check(&twice, "a witness twice");
        assert_eq!(policy("").unwrap_err(), DemandError::NoQuorum);
    }

    #[test]
    fn fractions_of_few_states_are_no_quorum() {
        let check = |fraction: Fraction, expected: [Option<usize>; 6]| {
            assert_eq!([0, 1, 2, 3, 4, 26].map(|m| fraction.needed(m)), expected, "{fraction:?}");
        };
        check(Fraction::Any, [None, Some(1), Some(1), Some(1), Some(1), Some(1)]);
        check(Fraction::Majority, [None, None, None, Some(2), Some(3), Some(14)]);
        check(Fraction::Full, [None, None, None, Some(3), Some(3), Some(18)]);
    }
}
