//! The events of the scenarios: our own, fictional, in documentation address ranges.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The event of the first-light story: 55 units under every TLP level, one of them a victim.
const BEACON: &str = include_str!("../fixtures/beacon-event.json");
/// The sharing group that the event's TLP:AMBER attributes name, until the roster's takes its place.
const GROUP_PLACEHOLDER: &str = "5c1ad0a1-7f3e-4d0b-8a36-0f6f2c9e4b17";
/// UUID of the event.
pub(crate) const BEACON_UUID: &str = "b3ac0e5e-5f0c-4c65-9d1e-0c5d3b7a9f10";
/// A value under TLP:RED in it.
pub(crate) const RED_VALUE: &str = "198.51.100.99";
/// A value under TLP:AMBER for the sharing group in it.
pub(crate) const GROUP_VALUE: &str = "198.51.100.20";
/// The value that identifies a victim in it.
pub(crate) const VICTIM_VALUE: &str = "ws-0147.hospital.example.org";
/// A value under TLP:GREEN in it.
pub(crate) const GREEN_VALUE: &str = "192.0.2.44";
/// A value that only the update of the event holds.
pub(crate) const UPDATE_VALUE: &str = "third-stage.example.org";
/// Seconds by which the update is younger.
const UPDATE_AFTER_S: u64 = 3_600;

/// Writes the event, addressed to a group of the roster.
pub(crate) fn write_beacon(directory: &Path, group: &str) -> Result<PathBuf> {
    let event: Value = serde_json::from_str(&BEACON.replace(GROUP_PLACEHOLDER, &hyphenated(group)?))?;
    write(directory, "beacon-event.json", &event)
}

/// Writes the event's next version: one more domain under TLP:GREEN.
pub(crate) fn write_beacon_update(directory: &Path, group: &str) -> Result<PathBuf> {
    let mut event: Value = serde_json::from_str(&BEACON.replace(GROUP_PLACEHOLDER, &hyphenated(group)?))?;
    let first = event["Event"]["timestamp"].as_str().and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
    let time = (first + UPDATE_AFTER_S).to_string();
    event["Event"]["timestamp"] = json!(time);
    event["Event"]["publish_timestamp"] = json!(time);
    let attributes = event["Event"]["Attribute"].as_array_mut().context("the event has no attributes")?;
    attributes.push(attribute("beacon update", UPDATE_VALUE, &time));
    write(directory, "beacon-event-update.json", &event)
}

/// Writes a small event of its own under TLP:GREEN; gives its UUID and file.
pub(crate) fn write_small(directory: &Path, name: &str) -> Result<(String, PathBuf)> {
    let (uuid, time) = (uuid_of(name), "1790000000");
    let digest = Sha256::digest(name.as_bytes());
    let value = format!("{}.example.org", data_encoding::HEXLOWER.encode(&digest[..8]));
    let event = json!({ "Event": {
        "uuid": uuid, "info": format!("Small event `{name}` (fictional)"), "date": "2026-09-21", "timestamp": time,
        "analysis": "0", "threat_level_id": "3", "distribution": "3", "published": true,
        "Tag": [{ "name": "tlp:green" }],
        "Attribute": [attribute(name, &value, time)],
    }});
    let file = write(directory, &format!("{name}.json"), &event)?;
    Ok((uuid, file))
}

fn attribute(name: &str, value: &str, time: &str) -> Value {
    json!({
        "uuid": uuid_of(&format!("attribute of {name}")), "type": "domain", "category": "Network activity",
        "to_ids": true, "timestamp": time, "distribution": "5", "comment": "", "deleted": false,
        "disable_correlation": false, "value": value, "Tag": [{ "name": "tlp:green" }],
    })
}

fn write(directory: &Path, name: &str, event: &Value) -> Result<PathBuf> {
    let path = directory.join(name);
    std::fs::write(&path, serde_json::to_vec_pretty(event)?)
        .with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(path)
}

/// A UUID (version 8: by a rule of our own) for a name.
fn uuid_of(name: &str) -> String {
    let mut hex = data_encoding::HEXLOWER.encode(&Sha256::digest(name.as_bytes())[..16]);
    hex.replace_range(12..13, "8");
    hex.replace_range(16..17, "9");
    hyphens(&hex)
}

/// A group id as MISP writes it.
fn hyphenated(hex: &str) -> Result<String> {
    if hex.len() != 32 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        bail!("`{hex}` is no group id");
    }
    Ok(hyphens(hex))
}

fn hyphens(hex: &str) -> String {
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: &str = "00112233445566778899aabbccddeeff";

    #[test]
    fn the_event_names_the_group_of_the_roster() {
        let directory = tempfile::tempdir().unwrap();
        let text = std::fs::read_to_string(write_beacon(directory.path(), GROUP).unwrap()).unwrap();
        assert!(!text.contains(GROUP_PLACEHOLDER));
        assert_eq!(text.matches("00112233-4455-6677-8899-aabbccddeeff").count(), 4);
        for value in [BEACON_UUID, RED_VALUE, GROUP_VALUE, VICTIM_VALUE, GREEN_VALUE] {
            assert!(text.contains(value), "{value}");
        }
        assert!(write_beacon(directory.path(), "no hex").is_err());
    }

    #[test]
    fn the_update_is_a_younger_version_of_the_same_event() {
        let directory = tempfile::tempdir().unwrap();
        let text = std::fs::read(write_beacon_update(directory.path(), GROUP).unwrap()).unwrap();
        let event: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(event["Event"]["uuid"], BEACON_UUID);
        assert_eq!(event["Event"]["timestamp"], "1790003600");
        assert!(String::from_utf8(text).unwrap().contains(UPDATE_VALUE));
    }

    #[test]
    fn small_events_differ_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let (one, _) = write_small(directory.path(), "one").unwrap();
        let (two, _) = write_small(directory.path(), "two").unwrap();
        assert_ne!(one, two);
        assert_eq!(one.len(), 36);
    }
}
