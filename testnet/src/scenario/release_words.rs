//! A publish answer for people: what each hub gets, and which rule held what back.

use std::collections::BTreeMap;

use crate::answers::{HubRelease, PublishedObject, Unit};
use crate::story::Story;

/// Labels of units named in one row; more are counted.
const LABELS_SHOWN: usize = 5;

/// Tells what each hub gets and does not get. `name` gives a country's name.
pub(crate) fn tell(story: &Story, object: &PublishedObject, name: &dyn Fn(&str) -> String) {
    for hub in &object.hubs {
        let way = match hub.carrier.as_str() {
            "direct" => "by direct delivery, no other hub carries it",
            "audience" => "in an envelope that only its audience opens",
            _ => "nothing is sent",
        };
        let (released, name) = (hub.released.len(), name(&hub.country));
        story.say(&format!("{name} gets {released} of {} units ({way}):", object.units));
        story.table(&[vec!["released".to_owned(), tally(&hub.released)]]);
        story.table(&held_rows(hub));
    }
}

/// One row per rule: how many units it held, its name, its words and what they were.
fn held_rows(hub: &HubRelease) -> Vec<Vec<String>> {
    let mut rules: BTreeMap<(&str, &str), Vec<&Unit>> = BTreeMap::new();
    for held in &hub.held {
        rules.entry((&held.rule, &held.words)).or_default().push(&held.unit);
    }
    let row = |((rule, words), units): ((&str, &str), Vec<&Unit>)| {
        let text = format!("{rule}: {words} ({})", labels(&units));
        vec!["HELD BACK".to_owned(), format!("{:>2}", units.len()), text]
    };
    rules.into_iter().map(row).collect()
}

/// Units counted by TLP.
fn tally(units: &[Unit]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for unit in units {
        *counts.entry(unit.tlp.trim_start_matches("TLP:")).or_default() += 1;
    }
    let parts: Vec<String> = counts.iter().map(|(tlp, count)| format!("{count} {tlp}")).collect();
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
}

/// What units are, without their values: each label once.
fn labels(units: &[&Unit]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for unit in units {
        *counts.entry(short(&unit.label)).or_default() += 1;
    }
    let times = |(label, count): (&&str, &usize)| match count {
        1 => (*label).to_owned(),
        _ => format!("{count} x {label}"),
    };
    let mut shown: Vec<String> = counts.iter().take(LABELS_SHOWN).map(times).collect();
    if counts.len() > LABELS_SHOWN {
        shown.push(format!("{} more kinds", counts.len() - LABELS_SHOWN));
    }
    shown.join(", ")
}

/// `tag tag` and `other sharing-group` say a word too many.
fn short(label: &str) -> &str {
    match label.split_once(' ') {
        Some((kind, name)) if kind == name || kind == "other" => name,
        _ => label,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(label: &str, tlp: &str) -> Unit {
        Unit { label: label.to_owned(), tlp: tlp.to_owned() }
    }

    #[test]
    fn units_are_counted_by_level_and_kind() {
        let units =
            [unit("attribute domain", "TLP:GREEN"), unit("attribute domain", "GREEN"), unit("report", "TLP:RED")];
        assert_eq!(tally(&units), "2 GREEN, 1 RED");
        assert_eq!(labels(&units.iter().collect::<Vec<_>>()), "2 x attribute domain, report");
        assert_eq!(tally(&[]), "nothing");
        assert_eq!(
            ["tag tag", "other sharing-group", "attribute url"].map(short),
            ["tag", "sharing-group", "attribute url"]
        );
    }
}
