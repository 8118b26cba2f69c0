//! Verdicts, their order and their exit codes.

use std::fmt;

/// What a replay comes to. Ascending by severity: the worst counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Every leaf in scope is signed, and confirmed as demanded.
    Witnessed,
    /// Witnessed, over a history that continues after a recovery.
    Recovered,
    /// Signed with both keys, but not confirmed as demanded.
    SignedOnly,
    /// The log stood still before the bundle was made.
    Stale,
    /// Something that must be shown is missing, or could not be replayed.
    Incomplete,
    /// Consistent in itself, but tied to nothing that the auditor named.
    Unanchored,
    /// Two histories of one log.
    Diverged,
    /// Something does not verify.
    Invalid,
}

impl Verdict {
    /// Every verdict, best first.
    pub const ALL: [Self; 8] = [
        Self::Witnessed,
        Self::Recovered,
        Self::SignedOnly,
        Self::Stale,
        Self::Incomplete,
        Self::Unanchored,
        Self::Diverged,
        Self::Invalid,
    ];

    /// The word of reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Witnessed => "WITNESSED",
            Self::Recovered => "RECOVERED",
            Self::SignedOnly => "SIGNED-ONLY",
            Self::Stale => "STALE",
            Self::Incomplete => "INCOMPLETE",
            Self::Unanchored => "UNANCHORED",
            Self::Diverged => "DIVERGED",
            Self::Invalid => "INVALID",
        }
    }

    /// The exit code of `cresset-audit replay`.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Witnessed => 0,
            Self::SignedOnly => 10,
            Self::Stale => 11,
            Self::Incomplete => 12,
            Self::Recovered => 13,
            Self::Unanchored => 20,
            Self::Diverged => 30,
            Self::Invalid => 40,
        }
    }

    /// What it means, in a sentence for people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Witnessed => "every leaf in scope is signed with both keys and confirmed as demanded",
            Self::Recovered => "as WITNESSED, over a history that continues after a recovery",
            Self::SignedOnly => "everything verifies, but not every leaf in scope is confirmed as demanded",
            Self::Stale => "everything verifies, but the log stood still before the bundle was made",
            Self::Incomplete => "what is there verifies, but something is missing or could not be replayed",
            Self::Unanchored => "consistent in itself, but tied to nothing that the auditor named",
            Self::Diverged => "there are two histories of one log",
            Self::Invalid => "something does not verify",
        }
    }

    /// The exit code where at least `required` was demanded: 0 if this is as good or better.
    pub fn exit_code_for(self, required: Option<Required>) -> u8 {
        match required {
            Some(required) if self <= required.verdict() => 0,
            _ => self.exit_code(),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Levels that `--require` can ask for, best first. Nothing below STALE can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Required {
    /// WITNESSED.
    Witnessed,
    /// RECOVERED or better.
    Recovered,
    /// SIGNED-ONLY or better.
    SignedOnly,
    /// STALE or better.
    Stale,
}

impl Required {
    const fn verdict(self) -> Verdict {
        match self {
            Self::Witnessed => Verdict::Witnessed,
            Self::Recovered => Verdict::Recovered,
            Self::SignedOnly => Verdict::SignedOnly,
            Self::Stale => Verdict::Stale,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_the_specification() {
        let codes: Vec<u8> = Verdict::ALL.into_iter().map(Verdict::exit_code).collect();
        assert_eq!(codes, [0, 13, 10, 11, 12, 20, 30, 40]);
        assert!(Verdict::ALL.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn a_required_level_or_better_is_success() {
        let check = |verdict: Verdict, required, expected| assert_eq!(verdict.exit_code_for(Some(required)), expected);
        check(Verdict::Witnessed, Required::Witnessed, 0);
        check(Verdict::Recovered, Required::Witnessed, 13);
        check(Verdict::Recovered, Required::SignedOnly, 0);
        check(Verdict::SignedOnly, Required::Recovered, 10);
        check(Verdict::Stale, Required::Stale, 0);
        check(Verdict::Incomplete, Required::Stale, 12);
        check(Verdict::Unanchored, Required::Stale, 20);
        check(Verdict::Diverged, Required::Stale, 30);
        check(Verdict::Invalid, Required::Stale, 40);
        assert_eq!(Verdict::SignedOnly.exit_code_for(None), 10);
    }
}
