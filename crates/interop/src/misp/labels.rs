//! Labels and distribution of one MISP element, and what they add up to with its containers.
//!
//! An element's effective marking is the strictest of its own labels and those of everything around it. The default for
//! unlabelled elements applies only where nobody around states a TLP, so that it never hides a stated one.

use std::collections::BTreeSet;

use cresset_protocol::ids::{GroupId, ObjectUuid};
use cresset_protocol::object::marking::{HeldReason, IdentifierRole, Marking, Pap, Tlp};

use crate::format::{ParseError, Warning};
use crate::json::{Kind, Value};

/// What an element and its containers state.
#[derive(Clone, Debug, Default)]
pub(super) struct Labels {
    tlp: Option<Tlp>,
    pap: Option<Pap>,
    groups: Option<BTreeSet<GroupId>>,
    held: Option<HeldReason>,
    classification: Option<String>,
    strip_attribution: bool,
    exercise: bool,
    pub(super) role: Option<IdentifierRole>,
}

impl Labels {
    /// Reads tags, distribution and sharing group of an element that stands inside `outer`.
    pub(super) fn of(
        element: &Value<'_>,
        place: &str,
        outer: &Self,
        warnings: &mut Vec<Warning>,
    ) -> Result<Self, ParseError> {
        let mut own = Self::default();
        let mut seen = (0, 0);
        for name in tag_names(element) {
            if name.len() > LABEL_BYTES_MAX {
                return Err(ParseError::LabelTooLong(name.len()));
            }
            own.read_label(&name, place, &mut seen, warnings);
        }
        for (scheme, count) in [("TLP", seen.0), ("PAP", seen.1)] {
            if count > 1 {
                warnings.push(Warning::SeveralLabels { scheme, place: place.to_owned() });
            }
        }
        own.read_distribution(element, place, warnings);
        Ok(own.within(outer))
    }

    /// Limited to the own organisation: never released.
    pub(super) fn own_organisation_only(mut self) -> Self {
        self.groups = Some(BTreeSet::new());
        self
    }

    /// The effective marking.
    pub(super) fn marking(&self) -> Marking {
        let base = match (self.held, self.tlp) {
            (Some(reason), _) => Marking::held(reason),
            (None, Some(tlp)) => Marking::new(tlp),
            (None, None) => Marking::unlabelled(),
        };
        Marking {
            pap: self.pap.unwrap_or(base.pap),
            groups: self.groups.clone(),
            classification: self.classification.clone(),
            strip_attribution: self.strip_attribution.then_some(true),
            exercise: self.exercise.then_some(true),
            identifier_role: self.role,
            ..base
        }
    }

    fn within(self, outer: &Self) -> Self {
        let groups = match (self.groups, &outer.groups) {
            (Some(own), Some(outer)) => Some(own.intersection(outer).copied().collect()),
            (own, outer) => own.or_else(|| outer.clone()),
        };
        Self {
            tlp: self.tlp.max(outer.tlp),
            pap: self.pap.max(outer.pap),
            groups,
            held: self.held.max(outer.held),
            classification: self.classification.or_else(|| outer.classification.clone()),
            strip_attribution: self.strip_attribution || outer.strip_attribution,
            exercise: self.exercise || outer.exercise,
            role: self.role.max(outer.role),
        }
    }

    fn read_label(&mut self, name: &str, place: &str, seen: &mut (u32, u32), warnings: &mut Vec<Warning>) {
        match Label::read(name) {
            Label::Tlp(tlp) => {
                seen.0 += 1;
                self.tlp = self.tlp.max(Some(tlp));
            }
            Label::ChathamHouse => self.strip_attribution = true,
            Label::Pap(pap) => {
                seen.1 += 1;
                self.pap = self.pap.max(Some(pap));
            }
            Label::UnknownPap => {
                self.pap = Some(Pap::Red);
                warnings.push(Warning::UnknownPap { label: printable(name), place: place.to_owned() });
            }
            Label::Held(reason) => {
                self.held = self.held.max(Some(reason));
                warnings.push(Warning::HeldLabel { label: printable(name), place: place.to_owned() });
            }
            Label::Classified(scheme) => {
                self.held = self.held.max(Some(HeldReason::Classified));
                self.classification = Some(scheme.to_owned());
            }
            Label::Exercise => self.exercise = true,
            Label::Other => {}
        }
    }

    /// 0 own organisation, 1-3 communities, 4 sharing group, 5 inherit. Local numeric ids of groups mean nothing here.
    fn read_distribution(&mut self, element: &Value<'_>, place: &str, warnings: &mut Vec<Warning>) {
        let Some(level) = element.get("distribution") else { return };
        match level.text_or_number().as_deref() {
            Some("1" | "2" | "3" | "5" | "") => {}
            None if level.raw == "null" => {}
            Some("0") => self.groups = Some(BTreeSet::new()),
            Some("4") => {
                let group = sharing_group(element);
                if group.is_none() {
                    warnings.push(Warning::SharingGroupWithoutUuid { place: place.to_owned() });
                }
                self.groups = Some(group.into_iter().collect());
            }
            _ => {
                warnings.push(Warning::UnknownDistribution { place: place.to_owned() });
                self.groups = Some(BTreeSet::new());
            }
        }
    }
}

/// Longest label that is read; MISP's own column holds 255 characters.
const LABEL_BYTES_MAX: usize = 4096;

/// The sharing group that an element names by UUID.
pub(super) fn sharing_group(element: &Value<'_>) -> Option<GroupId> {
    let uuid = element
        .get("SharingGroup")
        .and_then(|group| group.get("uuid"))
        .or_else(|| element.get("sharing_group_uuid"))?;
    ObjectUuid::parse_hyphenated(&uuid.text()?).ok().map(|uuid| GroupId(uuid.0))
}

/// Names of the tags directly on an element, in the current and in the older form.
fn tag_names(element: &Value<'_>) -> Vec<String> {
    let mut names = Vec::new();
    for key in ["Tag", "EventTag", "AttributeTag"] {
        if let Some(Value { kind: Kind::Array(tags), .. }) = element.get(key) {
            names.extend(tags.iter().filter_map(tag_name));
        }
    }
    names
}

/// Name of a tag: `{"name": ..}`, `{"Tag": {"name": ..}}`, or the bare name.
pub(super) fn tag_name(tag: &Value<'_>) -> Option<String> {
    let inner = tag.get("Tag").unwrap_or(tag);
    inner.get("name").unwrap_or(inner).text().map(|name| name.into_owned())
}

/// One label, read.
enum Label {
    Tlp(Tlp),
    ChathamHouse,
    Pap(Pap),
    UnknownPap,
    Held(HeldReason),
    Classified(&'static str),
    Exercise,
    Other,
}

/// Namespaces of national and EU classification marks.
const CLASSIFIED: [&str; 5] = ["de-vs", "fr-classif", "eu-classified", "nato-classified", "nato"];

impl Label {
    fn read(name: &str) -> Self {
        match name {
            "tlp:red" => Self::Tlp(Tlp::Red),
            "tlp:amber+strict" => Self::Tlp(Tlp::AmberStrict),
            "tlp:amber" => Self::Tlp(Tlp::Amber),
            "tlp:green" => Self::Tlp(Tlp::Green),
            "tlp:clear" | "tlp:white" => Self::Tlp(Tlp::Clear),
            "tlp:ex:chr" => Self::ChathamHouse,
            "PAP:RED" => Self::Pap(Pap::Red),
            "PAP:AMBER" => Self::Pap(Pap::Amber),
            "PAP:GREEN" => Self::Pap(Pap::Green),
            "PAP:CLEAR" | "PAP:WHITE" => Self::Pap(Pap::Clear),
            _ => Self::read_unusual(name),
        }
    }

    fn read_unusual(name: &str) -> Self {
        let skeleton = skeleton(name);
        if claims(&skeleton, "tlp") {
            let plain = name.starts_with("tlp:") && skeleton == name;
            return Self::Held(if plain { HeldReason::UnknownLabel } else { HeldReason::LookAlikeLabel });
        }
        if claims(&skeleton, "pap") {
            return Self::UnknownPap;
        }
        let namespace = skeleton.split(':').next().unwrap_or_default();
        if let Some(scheme) = CLASSIFIED.into_iter().find(|scheme| *scheme == namespace) {
            return Self::Classified(scheme);
        }
        if namespace == "exercise" { Self::Exercise } else { Self::Other }
    }
}

/// Whether a name reads as a label of the scheme: the scheme's letters, then a colour or no letter or digit at all.
fn claims(skeleton: &str, scheme: &str) -> bool {
    skeleton.strip_prefix(scheme).is_some_and(|rest| {
        !rest.starts_with(|next: char| next.is_alphanumeric()) || COLOURS.iter().any(|colour| rest.starts_with(colour))
    })
}

const COLOURS: [&str; 5] = ["red", "amber", "green", "clear", "white"];

/// What a reader takes a name for: white space and invisible characters gone, look-alikes folded, lower case.
fn skeleton(name: &str) -> String {
    name.chars().filter(|c| !is_invisible(*c)).map(fold).flat_map(char::to_lowercase).collect()
}

fn is_invisible(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{300}'..='\u{36f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

/// Folds the characters that pass for those of `tlp:` and `pap:` (Unicode TS 39 confusables, the ones that matter).
fn fold(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
        'т' | 'Т' | 'τ' | 'Τ' | 'ť' | 'ţ' | 'ț' | 'ŧ' | '†' => 't',
        '1' | '|' | 'ӏ' | 'Ӏ' | 'ł' | 'ĺ' | 'ľ' | 'ⅼ' | 'ℓ' | 'ʟ' | 'ι' | 'І' | 'і' | 'ا' => 'l',
        'р' | 'Р' | 'ρ' | 'Ρ' | 'þ' | 'ƿ' => 'p',
        'а' | 'А' | 'α' | 'Α' | 'à'..='å' | 'À'..='Å' => 'a',
        '׃' | '։' | '∶' | 'ː' | '꞉' | '፡' | 'ⵓ' => ':',
        _ => c,
    }
}

/// A label as a warning may show it: hostile text must not reach a terminal.
fn printable(name: &str) -> String {
    name.chars().take(80).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    fn read(tags: &[&str]) -> (Marking, Vec<Warning>) {
        let tags: Vec<_> = tags.iter().map(|name| serde_json::json!({ "name": name })).collect();
        let text = serde_json::json!({ "Tag": tags }).to_string();
        let mut warnings = Vec::new();
        let labels = Labels::of(&parse(text.as_bytes()).unwrap(), "event", &Labels::default(), &mut warnings);
        (labels.unwrap().marking(), warnings)
    }

    #[test]
    fn the_labels_of_tlp_2_are_read_exactly() {
        let check = |name, tlp| assert_eq!(read(&[name]), (Marking::new(tlp), vec![]), "{name}");
        check("tlp:red", Tlp::Red);
        check("tlp:amber+strict", Tlp::AmberStrict);
        check("tlp:amber", Tlp::Amber);
        check("tlp:green", Tlp::Green);
        check("tlp:clear", Tlp::Clear);
        check("tlp:white", Tlp::Clear);
    }

    #[test]
    fn a_label_that_is_not_exactly_one_is_held_as_red() {
        let check = |name: &str, reason| {
            let (marking, warnings) = read(&["tlp:clear", name]);
            assert_eq!((marking.tlp, marking.held), (Tlp::Red, Some(reason)), "{name}");
            assert_eq!(warnings.len(), 1);
        };
        for unknown in ["tlp:unclear", "tlp:purple", "tlp:amber-strict", "tlp:", "tlp:\"red\"", "tlp"] {
            check(unknown, if unknown == "tlp" { HeldReason::LookAlikeLabel } else { HeldReason::UnknownLabel });
        }
        for odd in [
            "TLP:RED",
            "Tlp:green",
            "tlp: green",
            " tlp:green",
            "tlp:green ",
            "tlp : green",
            "tlp-green",
            "tlp=green",
            "TLP GREEN!",
            "tlр:green",
            "тlp:green",
            "t1p:clear",
            "tІp:clear",
            "tlp：clear",
            "ｔｌｐ:clear",
            "t\u{200b}lp:clear",
            "tlp:gr\u{435}en\u{200b}",
            "τlp:white",
            "tlp∶clear",
            "tĺp:clear",
            "tlpred",
        ] {
            check(odd, HeldReason::LookAlikeLabel);
        }
    }

    #[test]
    fn ordinary_tags_say_nothing_about_disclosure() {
        for name in ["misp-galaxy:tool=\"x\"", "tlpx", "osint:source-type=\"blog\"", "papers", "t", ""] {
            assert_eq!(read(&[name]), (Marking::unlabelled(), vec![]), "{name}");
        }
    }

    #[test]
    fn of_two_labels_the_strictest_counts_and_the_owner_is_warned() {
        let (marking, warnings) = read(&["tlp:green", "tlp:amber"]);
        assert_eq!(marking, Marking::new(Tlp::Amber));
        assert_eq!(warnings, [Warning::SeveralLabels { scheme: "TLP", place: "event".into() }]);
        let (marking, warnings) = read(&["PAP:GREEN", "PAP:RED", "tlp:clear"]);
        assert_eq!((marking.pap, warnings.len()), (Pap::Red, 1));
    }

    #[test]
    fn pap_defaults_to_amber_and_an_unknown_one_is_red() {
        assert_eq!(read(&["tlp:clear"]).0.pap, Pap::Amber);
        assert_eq!(read(&["tlp:clear", "PAP:CLEAR"]).0.pap, Pap::Clear);
        assert_eq!(read(&["tlp:clear", "pap:green"]).0.pap, Pap::Red);
        assert_eq!(read(&["tlp:clear", "PAP:BLUE"]).0.pap, Pap::Red);
    }

    #[test]
    fn chatham_house_exercise_and_classification_are_kept_apart_from_tlp() {
        assert_eq!(read(&["tlp:green", "tlp:ex:chr"]).0.strip_attribution, Some(true));
        assert_eq!(read(&["exercise:cyber-europe=\"2026\""]).0.exercise, Some(true));
        let (marking, _) = read(&["tlp:clear", "de-vs:einstufung=\"VS-NfD\""]);
        assert_eq!((marking.tlp, marking.held), (Tlp::Red, Some(HeldReason::Classified)));
        assert_eq!(marking.classification.as_deref(), Some("de-vs"));
    }

    #[test]
    fn a_hostile_label_is_escaped_in_its_warning() {
        let (_, warnings) = read(&["tlp:\u{1b}[31mred"]);
        assert!(!warnings[0].to_string().contains('\u{1b}'));
    }

    #[test]
    fn distribution_limits_and_never_widens() {
        let check = |json: &str, expected: Option<Vec<GroupId>>, warned: usize| {
            let mut warnings = Vec::new();
            let labels =
                Labels::of(&parse(json.as_bytes()).unwrap(), "event", &Labels::default(), &mut warnings).unwrap();
            let expected = expected.map(BTreeSet::from_iter);
            assert_eq!((labels.marking().groups, warnings.len()), (expected, warned), "{json}");
        };
        check("{}", None, 0);
        check(r#"{"distribution":"3"}"#, None, 0);
        check(r#"{"distribution":5}"#, None, 0);
        check(r#"{"distribution":0}"#, Some(vec![]), 0);
        check(r#"{"distribution":"0"}"#, Some(vec![]), 0);
        check(r#"{"distribution":"4","sharing_group_id":"7"}"#, Some(vec![]), 1);
        check(r#"{"distribution":"9"}"#, Some(vec![]), 1);
        check(r#"{"distribution":true}"#, Some(vec![]), 1);
        let group = GroupId([0x11; 16]);
        check(
            r#"{"distribution":"4","SharingGroup":{"uuid":"11111111-1111-1111-1111-111111111111"}}"#,
            Some(vec![group]),
            0,
        );
    }
}
