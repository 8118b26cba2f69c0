//! Publishing: native bytes become units, units a plan, the plan's views envelopes, and all of it leaves of one append.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA256, digest};
use cresset_crypto::envelope::{
    DirectRecipients, Draft, EncryptError, EncryptedEnvelope, encrypt_direct, encrypt_for_audience,
};
use cresset_crypto::{RandomnessError, random_bytes};
use cresset_interop::misp::MispFormat;
use cresset_interop::{Format, ParseError, Parsed};
use cresset_policy::plan::{Carriage, Origin, PlanError, PlannedView};
use cresset_policy::release::ReleaseError;
use cresset_policy::{Addressing, Recipient, ReleasePlan, plan_release};
use cresset_protocol::domain;
use cresset_protocol::ids::{Binding, HubId, LeafIndex, ObjectVersion, PolicyDigest, RosterDigest};
use cresset_protocol::log::kinds::KindTag;
use cresset_protocol::log::leaf::LeafKind;
use cresset_protocol::log::private::{PublishAudit, ReleaseShare};
use cresset_protocol::object::attribute_tree::{AttributeSeed, AttributeTree};
use cresset_protocol::object::cti::{Attribute, CtiObject, Unit};
use cresset_protocol::object::layout::ObjectError;
use cresset_protocol::object::marking::Marking;
use cresset_protocol::object::publish_share::{PublishShare, PublishedObject};
use cresset_protocol::object::redact::redact_attributes;
use cresset_protocol::object::view::{ViewError, ViewPayload};
use cresset_protocol::suite::Suite;
use cresset_provenance::log_writer::Lane;
use cresset_provenance::objects::{NewObject, ObjectRecord, ObjectRef, ObjectStanding};
use cresset_provenance::own_log::PublishKey;
use cresset_provenance::queues::Delivery;
use cresset_provenance::{AppendAnswer, NewLeaf, StoreError};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::audiences::{AudienceError, Audiences, named_keys, roster_terms};
use crate::membership::Snapshot;
use crate::observables;
use crate::parts::Parts;
use crate::records::{LeafMaker, record};
use crate::stored_view::StoredView;

/// Largest envelope that a direct delivery carries.
const DELIVERY_BYTES_MAX: u64 = 16 << 20;

/// What the caller asks for, resolved against the roster.
#[derive(Clone, Debug, Default)]
pub(crate) struct PublishOrder {
    /// Addressed groups and hubs.
    pub(crate) addressing: Addressing,
    /// The URGENT lane.
    pub(crate) urgent: bool,
}

/// One object with its plan, not yet executed.
pub(crate) struct Planned {
    /// The roster that it was planned under.
    pub(crate) roster: RosterDigest,
    /// The object.
    pub(crate) parsed: Parsed,
    /// Who gets what.
    pub(crate) plan: ReleasePlan,
}

/// One object as it was published.
pub(crate) struct Published {
    /// What was planned.
    pub(crate) planned: Planned,
    /// The views, in the plan's order, with the position of their leaves in the append.
    pub(crate) views: Vec<PublishedViewLeaf>,
    /// Position of the RELEASE leaf in the append.
    pub(crate) release: usize,
    /// Leaf hashes, by position.
    pub(crate) leaf_hashes: Vec<String>,
    /// What the writer said.
    pub(crate) answer: AppendAnswer,
}

/// A view's leaf.
pub(crate) struct PublishedViewLeaf {
    /// Index into the plan's views.
    pub(crate) view: usize,
    /// Position in the append.
    pub(crate) position: usize,
    /// Bytes of the envelope.
    pub(crate) bytes: u64,
}

/// Parses a document and plans each object in it.
pub(crate) fn plan(parts: &Parts, native: &[u8], order: &PublishOrder) -> Result<Vec<Planned>, PublishError> {
    let snapshot = parts.membership.snapshot();
    let own = snapshot.roster.hub(&parts.me).ok_or(PublishError::NotListed)?;
    check_bundle(parts, &snapshot)?;
    let recipients = recipients(&snapshot, &parts.me);
    let lane = if order.urgent { cresset_policy::Lane::Urgent } else { cresset_policy::Lane::Normal };
    let origin = Origin { hub: parts.me, country: own.country, now: parts.now(), lane };
    let mut out = Vec::new();
    for parsed in MispFormat.parse_all(native).map_err(PublishError::Parse)? {
        let plan = plan_release(&parts.engine, &parsed.object, &recipients, &order.addressing, &origin)?;
        out.push(Planned { roster: snapshot.roster.digest(), parsed, plan });
    }
    Ok(out)
}

/// Executes a plan: one append of grants, views and the RELEASE, and waits for the writer's answer.
pub(crate) fn execute(
    parts: &Parts,
    audiences: &Audiences,
    planned: Planned,
    order: &PublishOrder,
) -> Result<Published, PublishError> {
    let snapshot = parts.membership.snapshot();
    let maker = LeafMaker { consortium: &parts.consortium, log: &parts.log, time: parts.now(), urgent: order.urgent };
    if snapshot.roster.digest() != planned.roster {
        return Err(PublishError::RosterChanged);
    }
    let object = &planned.parsed.object;
    refuse_foreign_version(parts, object)?;
    let tree = AttributeTree::build(object, seed_of(parts, object)?)?;
    let published = || PublishedObject {
        uuid: object.uuid,
        version: object.version,
        object_root: tree.object_root(),
        padded_count: tree.padded_count(),
        media_type: object.media_type.clone(),
    };
    let strictest = object.units.iter().fold(object.marking.clone(), |all, unit| all.merge(&unit.marking));

    // The RELEASE comes first: every PUBLISH names it, and a replay meets the decision before what it permits.
    let release = release_leaf(&maker, &snapshot, &planned.plan)?;
    let announced = planned.plan.views.iter().filter(|view| view.carriage == Carriage::Audience);
    let _granting = audiences.reserve(&snapshot, parts.me, maker.time, announced.map(|view| view.hubs.as_slice()));
    let release_commitment = release.entry.leaf.commitment;
    let own_share = PublishShare::new(Suite::Hybrid2026, published(), strictest.clone());
    let own_copy = own_object(parts, object, &own_share, &tree, &strictest);
    let mut leaves = vec![NewLeaf { object: Some(own_copy), ..release }];
    let mut granted = Vec::new();
    let mut views = Vec::new();
    for (number, view) in planned.plan.views.iter().enumerate() {
        let payload =
            tree.view(&|unit, _| u32::try_from(unit).is_ok_and(|unit| view.units.binary_search(&unit).is_ok()))?;
        let share = PublishShare::new(Suite::Hybrid2026, published(), view.marking.clone());
        let payload = perform_obligations(view, object, &payload, &share)?;
        let audit = PublishAudit { release: release_commitment, strictest: strictest.clone() };
        let content = ViewContent { share: share.to_bytes(), audit: audit.to_bytes(), payload: payload.to_bytes() };
        let leaf = match view.carriage {
            Carriage::Audience => {
                let grant = audiences.key_for(&parts.store, &maker, &snapshot, parts.me, &view.hubs)?;
                if let Some(leaf) = grant.grant {
                    granted.push(grant.key.clone());
                    leaves.push(leaf);
                }
                announced_view(&maker, view, content, &grant.key)?
            }
            Carriage::Direct => direct_view(&maker, &snapshot, view, content)?,
        };
        let bytes = leaf.envelope.as_ref().map_or(0, Vec::len) as u64;
        views.push(PublishedViewLeaf { view: number, position: leaves.len(), bytes });
        let key = publish_key(object, view);
        leaves.push(NewLeaf { publish_key: Some(key), ..leaf });
    }
    let leaf_hashes = leaves.iter().map(|leaf| leaf.entry.leaf.hash().to_string()).collect();
    let lane = if order.urgent { Lane::Urgent } else { Lane::Normal };
    let answer = parts.writer.append_and_wait(leaves, lane);
    let settle = if is_durable(&answer) { Audiences::settle } else { Audiences::forget };
    granted.iter().for_each(|key| settle(audiences, key));
    if planned.plan.views.iter().any(|view| view.carriage == Carriage::Direct) {
        parts.outbox.notify_one();
    }
    Ok(Published { planned, views, release: 0, leaf_hashes, answer })
}

/// Every hub that could be a recipient, as policy sees it.
pub(crate) fn recipients(snapshot: &Snapshot, me: &HubId) -> Vec<Recipient> {
    let others = snapshot.roster.hubs().iter().filter(|hub| hub.id != *me);
    others
        .map(|hub| Recipient {
            hub: hub.id,
            country: hub.country,
            jurisdiction: hub.jurisdiction,
            domain: hub.domain.clone(),
            status: hub.status,
            roles: hub.roles.clone(),
            groups: snapshot.groups_of(&hub.id),
        })
        .collect()
}

/// Removes the attributes that the view's obligations drop. Whatever is left still verifies.
fn perform_obligations(
    view: &PlannedView,
    object: &CtiObject,
    payload: &ViewPayload,
    share: &PublishShare,
) -> Result<ViewPayload, PublishError> {
    if view.obligations.is_empty() {
        return Ok(payload.clone());
    }
    // A redacted view holds copies of the units; the plan speaks of positions in the object.
    let position = |unit: &Unit| object.units.iter().position(|own| own.attributes.first() == unit.attributes.first());
    let keep = |unit: &Unit, attribute: Option<&Attribute>| {
        let Some(attribute) = attribute else { return true };
        let position = position(unit).and_then(|position| u32::try_from(position).ok());
        position.is_some_and(|position| view.discloses(position, attribute))
    };
    Ok(redact_attributes(payload, share, &keep)?)
}

struct ViewContent {
    share: Vec<u8>,
    audit: Vec<u8>,
    payload: Vec<u8>,
}

fn announced_view(
    maker: &LeafMaker<'_>,
    view: &PlannedView,
    content: ViewContent,
    key: &cresset_crypto::envelope::AudienceKey,
) -> Result<NewLeaf, PublishError> {
    let record = record(content.share, content.audit)?;
    let draft = Draft {
        consortium: maker.consortium,
        log: maker.log,
        relay: view.relay.into(),
        opening: &record.opening,
        payload: &content.payload,
    };
    let EncryptedEnvelope { header, body } = encrypt_for_audience(&draft, key)?;
    Ok(maker.with_envelope(LeafKind::Publish, record, &header, body))
}

/// A view with TLP:RED in it: a PRIVATE leaf, and one delivery per named hub.
fn direct_view(
    maker: &LeafMaker<'_>,
    snapshot: &Snapshot,
    view: &PlannedView,
    content: ViewContent,
) -> Result<NewLeaf, PublishError> {
    let record = record(content.share, content.audit)?;
    let (period, keys) = named_keys(snapshot, &view.hubs, maker.time)?;
    let draft = Draft {
        consortium: maker.consortium,
        log: maker.log,
        relay: cresset_protocol::envelope::Relay::Nobody,
        opening: &record.opening,
        payload: &content.payload,
    };
    let EncryptedEnvelope { header, body } =
        encrypt_direct(&draft, &roster_terms(snapshot, period), DirectRecipients::Named(&keys))?;
    if body.len() as u64 > DELIVERY_BYTES_MAX {
        return Err(PublishError::DirectTooLarge(body.len()));
    }
    let leaf = maker.private(record, Binding(header.digest().0));
    let delivery =
        |to: &HubId| Delivery { to: *to, index: None, body: header.to_wire(), attempts: 0, next_try: maker.time };
    let deliveries = view.hubs.iter().map(delivery).collect();
    Ok(NewLeaf { envelope: Some(body), deliveries, ..leaf })
}

fn release_leaf(maker: &LeafMaker<'_>, snapshot: &Snapshot, plan: &ReleasePlan) -> Result<NewLeaf, PublishError> {
    let audit = plan.audit.to_bytes()?;
    let share = ReleaseShare {
        kind: KindTag,
        suite: Suite::Hybrid2026,
        uuid: plan.object,
        version: plan.version,
        roster_version: snapshot.roster.version(),
        roster_digest: snapshot.roster.digest(),
        bundles: plan.audit.bundles.clone(),
        views: u32::try_from(plan.views.len()).unwrap_or(u32::MAX),
        audit_digest: sha256(&audit),
    };
    Ok(maker.private(record(share.to_bytes(), audit)?, Binding(random_bytes()?)))
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

/// The own copy: complete, verifiable, found by search.
fn own_object(
    parts: &Parts,
    object: &CtiObject,
    share: &PublishShare,
    tree: &AttributeTree<'_>,
    strictest: &Marking,
) -> NewObject {
    let stored = StoredView { share: share.to_bytes(), payload: tree.full_view().to_bytes() };
    NewObject {
        record: ObjectRecord {
            object: ObjectRef { uuid: object.uuid, version: object.version, log: parts.log, index: LeafIndex(0) },
            origin: parts.me,
            standing: ObjectStanding::Own,
            stored: parts.now(),
            object_root: tree.object_root(),
            header: None,
            format: object.media_type.clone(),
            title: observables::title(&object.units),
            marking: cresset_protocol::codec::encode(strictest),
            units: object.units.len() as u64,
            data_key: None,
            observables: Vec::new(),
            retain_until: strictest.destroy_by,
        },
        payload: Zeroizing::new(stored.to_bytes()),
        observables: observables::of(&object.units),
    }
}

/// The seed of this version: the same document published to further hubs has the same root everywhere.
fn seed_of(parts: &Parts, object: &CtiObject) -> Result<AttributeSeed, PublishError> {
    let published = parts.store.object_versions(&object.uuid)?;
    let before = published.iter().find(|record| record.origin == parts.me && record.object.version == object.version);
    let stored = match before {
        Some(record) => parts.store.payload(&record.object)?,
        None => None,
    };
    let full = stored
        .and_then(|bytes| StoredView::from_bytes(&bytes).ok())
        .and_then(|view| ViewPayload::from_bytes(&view.payload).ok());
    match full.as_ref().and_then(ViewPayload::seed) {
        Some(seed) => Ok(seed.clone()),
        None => Ok(AttributeSeed::new(random_bytes()?)),
    }
}

/// A consortium bundle that the roster names and this hub has not loaded would be silently ignored: refuse instead.
pub(crate) fn check_bundle(parts: &Parts, snapshot: &Snapshot) -> Result<(), PublishError> {
    match snapshot.roster.body().policy {
        Some(bundle) if !parts.engine.bundles().contains(&bundle) => Err(PublishError::BundleMissing(bundle)),
        _ => Ok(()),
    }
}

/// Only the owner's log versions an object: publishing somebody else's uuid would be held at every recipient.
fn refuse_foreign_version(parts: &Parts, object: &CtiObject) -> Result<(), PublishError> {
    let mut versions = parts.store.object_versions(&object.uuid)?;
    versions.retain(|record| record.standing != ObjectStanding::Held);
    match versions.iter().find(|record| record.origin != parts.me) {
        Some(record) => {
            let origin = parts.membership.snapshot().roster.hub(&record.origin).map(|hub| hub.domain.clone());
            Err(PublishError::ForeignObject { uuid: object.uuid.hyphenated(), owner: origin.unwrap_or_default() })
        }
        None => match versions.iter().map(|record| record.object.version).max() {
            Some(newest) if newest > object.version => {
                Err(PublishError::OldVersion { uuid: object.uuid.hyphenated(), newest, offered: object.version })
            }
            _ => Ok(()),
        },
    }
}

/// Object, version, units and recipients: the same call twice is one publish.
fn publish_key(object: &CtiObject, view: &PlannedView) -> PublishKey {
    let hubs: BTreeSet<&HubId> = view.hubs.iter().collect();
    let mut bytes = object.uuid.0.to_vec();
    bytes.extend_from_slice(&object.version.0.to_be_bytes());
    view.units.iter().for_each(|unit| bytes.extend_from_slice(&unit.to_be_bytes()));
    hubs.iter().for_each(|hub| bytes.extend_from_slice(&hub.0));
    bytes.extend_from_slice(&object.native_digest);
    PublishKey(domain::NATIVE.digest(&[b"publish", &bytes]))
}

fn is_durable(answer: &AppendAnswer) -> bool {
    matches!(answer, AppendAnswer::Signed { .. } | AppendAnswer::Pending { .. } | AppendAnswer::Queued)
}

/// Why nothing was published.
#[derive(Debug, Error)]
pub(crate) enum PublishError {
    /// The document.
    #[error(transparent)]
    Parse(ParseError),
    /// No plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The decision table.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// The attribute tree.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// A view.
    #[error(transparent)]
    View(#[from] ViewError),
    /// Audience keys.
    #[error(transparent)]
    Audience(#[from] AudienceError),
    /// Encryption.
    #[error(transparent)]
    Encrypt(#[from] EncryptError),
    /// No randomness.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Direct deliveries carry their envelope.
    #[error(
        "a view with TLP:RED makes an envelope of {0} bytes, a delivery takes {DELIVERY_BYTES_MAX}\nhint: publish it in parts"
    )]
    DirectTooLarge(usize),
    /// The roster changed between plan and execution.
    #[error("the roster changed while this was being published\nhint: publish it again; nothing was released")]
    RosterChanged,
    /// The roster names a policy bundle that is not loaded.
    #[error(
        "the roster puts policy bundle `{0}` in force, which this hub does not have\nhint: nothing is released without it"
    )]
    BundleMissing(PolicyDigest),
    /// This hub is in no roster.
    #[error("the roster does not list this hub")]
    NotListed,
    /// Somebody else's object.
    #[error("object `{uuid}` belongs to `{owner}`\nhint: add a sighting or a note instead; only its owner versions it")]
    ForeignObject {
        /// Its UUID.
        uuid: String,
        /// Who owns it.
        owner: String,
    },
    /// A version below the newest.
    #[error("object `{uuid}` has version {newest} already, {offered} is older")]
    OldVersion {
        /// Its UUID.
        uuid: String,
        /// The newest version here.
        newest: ObjectVersion,
        /// The one offered.
        offered: ObjectVersion,
    },
}
