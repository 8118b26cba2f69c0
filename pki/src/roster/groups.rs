//! Sharing groups of the next version: open, change, encrypt anew.

use std::collections::{BTreeMap, BTreeSet};

use cresset_crypto::group::{encrypt_group_document, open_group_document};
use cresset_crypto::random_bytes;
use cresset_protocol::ids::{ConsortiumId, GroupId, HubId};
use cresset_protocol::membership::VerifiedRoster;
use cresset_protocol::membership::group::StanzaRecipient;
use cresset_protocol::membership::roster::{GroupDocument, RosterBody};

use crate::cli::NextArguments;
use crate::error::PkiError;
use crate::keyholder::Keyholder;
use crate::officer;

/// Rebuilds the groups of `body`. Documents are encrypted anew whenever hubs in standing or officers' view change, so that
/// each has one stanza per hub in standing.
pub(super) fn rebuild(prev: &VerifiedRoster, body: &mut RosterBody, arguments: &NextArguments) -> Result<(), PkiError> {
    let nothing_to_open = prev.body().groups.is_empty();
    if nothing_to_open && arguments.group.is_empty() && arguments.dissolve.is_empty() {
        return Ok(());
    }
    let mut documents = if nothing_to_open { BTreeMap::new() } else { open_all(prev, arguments)? };
    for name in &arguments.dissolve {
        let id = documents.iter().find(|(_, document)| document.name == *name).map(|(id, _)| *id);
        documents.remove(&id.ok_or_else(|| PkiError::UnknownGroup(name.clone()))?);
    }
    drop_members_not_in_standing(body, &mut documents)?;
    for text in &arguments.group {
        set_members(body, &mut documents, text)?;
    }
    let consortium: ConsortiumId = prev.consortium();
    let encrypted = documents.values().map(|document| encrypt_group_document(body, &consortium, document, body.issued));
    body.groups = encrypted.collect::<Result<_, _>>()?;
    Ok(())
}

fn open_all(prev: &VerifiedRoster, arguments: &NextArguments) -> Result<BTreeMap<GroupId, GroupDocument>, PkiError> {
    let config = arguments.officer.as_ref().ok_or(PkiError::Needs("--officer"))?;
    let holder = Keyholder::open(config)?;
    officer::check_seat(&holder, prev)?;
    let pair = officer::encryption_key(&holder)?;
    let role = holder.role()?.to_owned();
    let recipient = StanzaRecipient::Officer(role.clone());
    let mut documents = BTreeMap::new();
    for entry in &prev.body().groups {
        let opened = open_group_document(prev.body(), &prev.consortium(), entry, &recipient, &pair)?;
        documents.insert(entry.id, opened.ok_or_else(|| PkiError::NotAnOfficer { role: role.clone() })?);
    }
    Ok(documents)
}

fn drop_members_not_in_standing(
    body: &RosterBody,
    documents: &mut BTreeMap<GroupId, GroupDocument>,
) -> Result<(), PkiError> {
    let in_standing: BTreeSet<HubId> =
        body.hubs.iter().filter(|hub| hub.status.in_standing()).map(|hub| hub.id).collect();
    for document in documents.values_mut() {
        if !document.members.is_subset(&in_standing) {
            document.members.retain(|id| in_standing.contains(id));
            change(document)?;
        }
    }
    Ok(())
}

/// `NAME=HUB,HUB`: a new group, or other members for one.
fn set_members(
    body: &RosterBody,
    documents: &mut BTreeMap<GroupId, GroupDocument>,
    text: &str,
) -> Result<(), PkiError> {
    let bad = || PkiError::BadValue { what: "group (NAME=HUB,HUB)", value: text.to_owned() };
    let (name, hubs) = text.split_once('=').ok_or_else(bad)?;
    let members = hubs.split(',').map(|hub| super::next::find(body, hub)).collect::<Result<BTreeSet<_>, _>>()?;
    if let Some(document) = documents.values_mut().find(|document| document.name == name) {
        document.members = members;
        return change(document);
    }
    let id = GroupId(random_bytes()?);
    let document = GroupDocument {
        id,
        version: 1,
        name: name.to_owned(),
        members,
        history_from: body.issued,
        salt: random_bytes()?,
    };
    documents.insert(id, document);
    Ok(())
}

fn change(document: &mut GroupDocument) -> Result<(), PkiError> {
    document.version = document.version.saturating_add(1);
    document.salt = random_bytes()?;
    Ok(())
}
