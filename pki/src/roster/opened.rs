//! Changed sharing groups as the signing officer reads them. Their documents are encrypted, and whoever made the body could
//! have put any hub into a group: the officer who signs opens each one first.

use cresset_crypto::EncryptionKeyPair;
use cresset_crypto::group::open_group_document;
use cresset_protocol::ids::HubId;
use cresset_protocol::membership::VerifiedRoster;
use cresset_protocol::membership::group::StanzaRecipient;
use cresset_protocol::membership::roster::{GroupDocument, GroupEntry, RosterBody};
use serde_json::{Value, json};

use super::changes::is_changed;
use crate::clock;
use crate::error::PkiError;

/// What a changed group is now, and who was in it before.
pub(super) struct OpenedGroup {
    entry: GroupEntry,
    /// Absent where the new body takes the officer's seat or key away: then no stanza is theirs.
    content: Option<Content>,
}

struct Content {
    document: GroupDocument,
    members: Vec<String>,
    before: Option<Vec<String>>,
}

/// Opens every changed group of the unsigned body with the officer's key. One that should open and does not is refused:
/// zeros, or a stanza that fails, mean that the maker shut this officer out.
pub(super) fn open_changed(
    prev: &VerifiedRoster,
    body: &RosterBody,
    role: &str,
    pair: &EncryptionKeyPair,
) -> Result<Vec<OpenedGroup>, PkiError> {
    let consortium = prev.consortium();
    let recipient = StanzaRecipient::Officer(role.to_owned());
    let open = |of: &RosterBody, entry: &GroupEntry| open_group_document(of, &consortium, entry, &recipient, pair);
    let stays = body.officers.iter().any(|officer| officer.role == role && officer.encryption == *pair.public());
    let mut opened = Vec::new();
    for entry in body.groups.iter().filter(|entry| is_changed(prev.body(), entry)) {
        let content = if stays {
            let document = open(body, entry)?.ok_or_else(|| PkiError::NotAnOfficer { role: role.to_owned() })?;
            // Only for comparison, so a failure here hides nothing.
            let old = prev.group(&entry.id).and_then(|old| open(prev.body(), old).ok().flatten());
            let before = old.map(|old| members(prev.body(), &old));
            Some(Content { members: members(body, &document), document, before })
        } else {
            None
        };
        opened.push(OpenedGroup { entry: entry.clone(), content });
    }
    Ok(opened)
}

impl OpenedGroup {
    /// In words.
    pub(super) fn lines(&self) -> Vec<String> {
        let (id, version) = (&self.entry.id, self.entry.version);
        let Some(content) = &self.content else {
            return vec![format!(
                "sharing group {id} version {version}: CLOSED to you, who lose seat or key; ask who keeps theirs"
            )];
        };
        let mut lines = vec![
            format!("sharing group `{}` ({id}) version {version}", content.document.name),
            format!("    members: {}", content.members.join(", ")),
            format!("    history from: {}", clock::words(content.document.history_from)),
        ];
        lines.extend(content.before.iter().map(|before| format!("    members before: {}", before.join(", "))));
        lines
    }

    /// For programs.
    pub(super) fn to_json(&self) -> Value {
        let (id, version) = (self.entry.id.to_string(), self.entry.version);
        match &self.content {
            None => json!({ "id": id, "version": version, "readable": false }),
            Some(content) => json!({
                "id": id, "version": version, "readable": true, "name": content.document.name,
                "members": content.members, "members_before": content.before,
                "history_from": content.document.history_from.0,
            }),
        }
    }
}

/// Members by country and domain, in ascending hub id.
fn members(body: &RosterBody, document: &GroupDocument) -> Vec<String> {
    let name = |id: &HubId| match body.hubs.iter().find(|hub| hub.id == *id) {
        Some(hub) => format!("{} {}", hub.country, hub.domain),
        None => format!("unknown hub {id}"),
    };
    document.members.iter().map(name).collect()
}
