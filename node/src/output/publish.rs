//! A release in words: for each hub which units go and which rule held the others, then where the leaves stand.
//!
//! Hubs that get the same are one block, units that fare alike are one line, and each rule is explained once.

use std::collections::BTreeMap;

use super::table::Table;
use super::{bytes, clean};
use crate::api::types::{HubRelease, LeafPosition, PublishAnswer, PublishedObject, UnitLabel};

/// The whole answer.
pub(crate) fn text(answer: &PublishAnswer) -> String {
    answer.objects.iter().map(object).collect::<Vec<_>>().join("\n")
}

/// What a hub gets of the object, as far as it is the same for several hubs.
type Fate<'a> = (Vec<&'a UnitLabel>, Vec<(&'a UnitLabel, &'a str)>, &'a str);

fn object(object: &PublishedObject) -> String {
    let title = format!("{}  version {}  {}", clean(&object.uuid), object.version, units(object.units));
    let outcome = match (&object.release, object.views.is_empty()) {
        (Some(_), false) => "released",
        (Some(_), true) => "nothing was released; the decision is in the log",
        (None, _) => "not released: this is the plan",
    };
    let mut out = format!("{title}  {outcome}\n");
    for warning in &object.warnings {
        let mut table = Table::new(2);
        table.row(["warning", warning]);
        out.push_str(&table.render());
    }
    for (hubs, (released, held, carrier)) in blocks(&object.hubs) {
        out.push('\n');
        out.push_str(&heading(&hubs, released.len(), object.units, carrier));
        out.push_str(&fates(&released, &held));
    }
    let rules: BTreeMap<&str, &str> =
        object.hubs.iter().flat_map(|hub| &hub.held).map(|held| (held.rule.as_str(), held.words.as_str())).collect();
    if !rules.is_empty() {
        out.push_str("\n  Rules that held units back\n");
        let mut table = Table::new(4);
        rules.iter().for_each(|(rule, words)| table.row([rule, words]));
        out.push_str(&table.render());
    }
    if object.release.is_some() {
        out.push('\n');
        out.push_str(&leaves(object));
    }
    out
}

/// Hubs in the order of the answer, those with the same fate together.
fn blocks(hubs: &[HubRelease]) -> Vec<(Vec<&HubRelease>, Fate<'_>)> {
    let mut blocks: Vec<(Vec<&HubRelease>, Fate<'_>)> = Vec::new();
    for hub in hubs {
        let released: Vec<_> = hub.released.iter().collect();
        let held: Vec<_> = hub.held.iter().map(|held| (&held.unit, held.rule.as_str())).collect();
        let key = |(released, held, carrier): &Fate<'_>| {
            let positions: Vec<usize> = released.iter().map(|unit| unit.position).collect();
            let held: Vec<(usize, String)> =
                held.iter().map(|(unit, rule)| (unit.position, (*rule).to_owned())).collect();
            (positions, held, (*carrier).to_owned())
        };
        let fate = (released, held, hub.carrier.as_str());
        let same = key(&fate);
        match blocks.iter_mut().find(|(_, known)| key(known) == same) {
            Some((members, _)) => members.push(hub),
            None => blocks.push((vec![hub], fate)),
        }
    }
    blocks
}

fn heading(hubs: &[&HubRelease], released: usize, units: usize, carrier: &str) -> String {
    let how = match carrier {
        "audience" => "for its audience",
        "direct" => "by direct delivery",
        _ => "nothing goes",
    };
    // Up to three hubs are named in full, a crowd by country.
    let names: Vec<String> = match hubs {
        [_] | [_, _] | [_, _, _] => {
            hubs.iter().map(|hub| format!("{} {}", clean(&hub.country), clean(&hub.domain))).collect()
        }
        crowd => crowd.iter().map(|hub| clean(&hub.country)).collect(),
    };
    let separator = if hubs.len() > 3 { " " } else { ", " };
    let mut table = Table::new(2);
    table.row([&format!("{released} of {units}"), how, "to", &names.join(separator)]);
    table.render()
}

fn fates(released: &[&UnitLabel], held: &[(&UnitLabel, &str)]) -> String {
    let mut table = Table::new(4);
    for ((label, tlp), positions) in alike(released.iter().map(|unit| ((&unit.label, &unit.tlp), unit.position))) {
        table.row(["goes", &ranges(&positions), label, &short_tlp(tlp), ""]);
    }
    for ((label, tlp, rule), positions) in
        alike(held.iter().map(|(unit, rule)| ((&unit.label, &unit.tlp, *rule), unit.position)))
    {
        table.row(["held", &ranges(&positions), label, &short_tlp(tlp), rule]);
    }
    table.render()
}

/// Positions by what is the same about them, in order of the first position.
fn alike<K: PartialEq>(units: impl Iterator<Item = (K, usize)>) -> Vec<(K, Vec<usize>)> {
    let mut groups: Vec<(K, Vec<usize>)> = Vec::new();
    for (key, position) in units {
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, positions)) => positions.push(position),
            None => groups.push((key, vec![position])),
        }
    }
    groups
}

/// `0-3,7`, shortened in the middle when there are many.
fn ranges(positions: &[usize]) -> String {
    let mut spans: Vec<(usize, usize)> = Vec::new();
    for position in positions {
        match spans.last_mut() {
            Some((_, end)) if *end + 1 == *position => *end = *position,
            _ => spans.push((*position, *position)),
        }
    }
    let word = |(from, to): &(usize, usize)| if from == to { format!("#{from}") } else { format!("#{from}-{to}") };
    match spans.as_slice() {
        [first, second, .., last] if spans.len() > RANGES_MAX => {
            format!("{},{},..,{} ({} units)", word(first), word(second), word(last), positions.len())
        }
        spans => spans.iter().map(word).collect::<Vec<_>>().join(","),
    }
}

const RANGES_MAX: usize = 5;

fn short_tlp(tlp: &str) -> String {
    let word = tlp.strip_prefix("TLP:").or_else(|| tlp.strip_prefix("tlp:")).unwrap_or(tlp);
    format!("TLP:{}", word.to_uppercase())
}

fn leaves(object: &PublishedObject) -> String {
    let mut table = Table::headed(2, &["leaf", "state", "units", "size", "recipients"]);
    for view in &object.views {
        let direct = if view.direct { " (direct)" } else { "" };
        let recipients = format!("{}{direct}", view.recipients.join(" "));
        table.row([&leaf(&view.leaf), &view.leaf.state, &view.units.to_string(), &bytes(view.bytes), &recipients]);
    }
    if let Some(release) = &object.release {
        table.row([&leaf(release), &release.state, "", "", "decision record"]);
    }
    table.render()
}

/// `hub.at.example/prov/1 #42`.
pub(crate) fn leaf(position: &LeafPosition) -> String {
    match position.index {
        Some(index) => format!("{} #{index}", position.origin),
        None => format!("{} (not yet in the log)", position.origin),
    }
}

fn units(count: usize) -> String {
    if count == 1 { "1 unit".to_owned() } else { format!("{count} units") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::{HeldUnit, PublishedView};

    fn unit(position: usize, label: &str, tlp: &str) -> UnitLabel {
        UnitLabel { position, label: label.into(), tlp: tlp.into() }
    }

    fn hub(country: &str, released: &[UnitLabel], held: &[(UnitLabel, &str)]) -> HubRelease {
        let words = |rule: &str| match rule {
            "release.red-named" => {
                "TLP:RED goes only to recipients that the publisher names, and only by direct delivery".into()
            }
            _ => "TLP:AMBER+STRICT stays within the organisation of the source".to_owned(),
        };
        HubRelease {
            country: country.into(),
            domain: format!("{}.hub.example", country.to_lowercase()),
            released: released.to_vec(),
            held: held
                .iter()
                .map(|(unit, rule)| HeldUnit { unit: unit.clone(), rule: (*rule).into(), words: words(rule) })
                .collect(),
            carrier: if released.is_empty() { "nothing".into() } else { "audience".into() },
        }
    }

    fn answer() -> PublishAnswer {
        let green: Vec<_> = (0..6).map(|position| unit(position, "attribute ip-dst", "GREEN")).collect();
        let red = (unit(6, "attribute email-src", "RED"), "release.red-named");
        let strict = (unit(7, "object file", "AMBER+STRICT"), "release.amber-strict");
        let all: Vec<_> = green.iter().cloned().chain([strict.0.clone()]).collect();
        let mut hubs = vec![hub("LU", &all, std::slice::from_ref(&red))];
        hubs.extend(["AT", "BE", "EE", "FI"].map(|country| hub(country, &green, &[red.clone(), strict.clone()])));
        hubs.push(hub("NO", &[], &[red, strict]));
        let leaf = |index| LeafPosition {
            state: "signed".into(),
            origin: "de.hub.example/prov/1".into(),
            index: Some(index),
            size: Some(44),
            leaf_hash: None,
        };
        let view = |recipients: &[&str], index| PublishedView {
            recipients: recipients.iter().map(|country| (*country).to_owned()).collect(),
            units: 6,
            bytes: 4_096,
            direct: false,
            leaf: leaf(index),
        };
        let object = PublishedObject {
            uuid: "5f1c2d8e-0d3c-4a3d-9f5e-1f0a2b3c4d5e".into(),
            version: 3,
            units: 8,
            hubs,
            views: vec![view(&["LU"], 41), view(&["AT", "BE", "EE", "FI"], 42)],
            release: Some(leaf(43)),
            warnings: vec!["attribute #3 has no marking of its own; it takes the event's".into()],
        };
        PublishAnswer { objects: vec![object] }
    }

    #[test]
    fn each_hub_reads_what_goes_and_which_rule_held_the_rest() {
        let text = text(&answer());
        assert!(text.lines().all(|line| line.chars().count() <= super::super::COLUMNS), "{text}");
        for part in [
            "8 units  released",
            "6 of 8  for its audience  to  AT BE EE FI",
            "goes  #0-5  attribute ip-dst     TLP:GREEN",
            "held  #6    attribute email-src  TLP:RED           release.red-named",
            "0 of 8  nothing goes  to  NO no.hub.example",
            "TLP:RED goes only to recipients",
            "de.hub.example/prov/1 #42  signed  6      4 KiB  AT BE EE FI",
            "decision record",
        ] {
            assert!(text.contains(part), "no `{part}` in\n{text}");
        }
        assert_eq!(text.matches("TLP:AMBER+STRICT stays within").count(), 1, "{text}");
    }

    #[test]
    fn a_plan_says_that_nothing_was_released() {
        let mut planned = answer();
        for object in &mut planned.objects {
            object.views.clear();
            object.release = None;
        }
        let text = text(&planned);
        assert!(text.contains("not released: this is the plan") && !text.contains("LEAF"), "{text}");
    }

    #[test]
    fn many_positions_are_shortened() {
        assert_eq!(ranges(&[0, 1, 2, 5]), "#0-2,#5");
        assert_eq!(ranges(&[0, 2, 4, 6, 8, 10, 11]), "#0,#2,..,#10-11 (7 units)");
    }
}
