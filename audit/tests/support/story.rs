//! The story: Austria publishes an event, the others receive and confirm it, Austria withdraws one view and erases
//! the other.

use std::collections::BTreeSet;

use cresset_audit::source::InMemory;
use cresset_policy::plan::{Origin, Recipient};
use cresset_policy::{Addressing, Carriage, Engine, Lane, ReleasePlan, plan_release};
use cresset_protocol::ids::{Binding, Country, LeafIndex, ObjectRoot, ObjectUuid, ObjectVersion, UnixSeconds};
use cresset_protocol::log::kinds::KindTag;
use cresset_protocol::log::leaf::{LeafFlags, LeafKind, WithdrawReason};
use cresset_protocol::log::private::{PublishAudit, ReleaseShare, WithdrawCode, WithdrawShare};
use cresset_protocol::log::public::{EraseCause, EraseShare, ErasedExtent, PolicyShare, PublicShare, RosterShare};
use cresset_protocol::log::record::Blinding;
use cresset_protocol::log::slot::{LeafRef, Outcome, SlotAudit, Statement};
use cresset_protocol::membership::snapshot::VerifiedRoster;
use cresset_protocol::object::cti::{CtiObject, Unit, UnitKind};
use cresset_protocol::object::marking::{Marking, Tlp};
use cresset_protocol::object::publish_share::{PublishShare, PublishedObject};
use cresset_protocol::suite::Suite;
use sha2::{Digest, Sha256};

use super::log::{Log, Record, START};
use super::{Consortium, domain, hub_id};

pub const UUID: ObjectUuid = ObjectUuid([0x11; 16]);

pub struct Story {
    pub consortium: Consortium,
    /// In the order of [`super::COUNTRIES`].
    pub logs: Vec<Log>,
    /// Index of the RELEASE in the first log.
    pub release: u64,
    /// Indices of its views.
    pub views: Vec<u64>,
}

impl Story {
    pub fn begin() -> Self {
        let mut consortium = Consortium::found();
        let mut logs: Vec<Log> = (0..4).map(|n| Log::plan(consortium.id, hub_id(n), &domain(n), None)).collect();
        let members: Vec<Vec<&Log>> = logs.iter().map(|log| vec![log]).collect();
        consortium.admit(&members.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let roster = consortium.chain().current();
        for log in &mut logs {
            log.genesis();
            let (version, digest) = (roster.version(), roster.digest());
            let share = RosterShare { kind: KindTag, suite: Suite::Hybrid2026, version, digest, new_officers: None };
            log.public(PublicShare::Roster(share));
            let engine = Engine::baseline().unwrap();
            let share = PolicyShare {
                kind: KindTag,
                suite: Suite::Hybrid2026,
                bundles: engine.bundles().to_vec(),
                engine: cresset_policy::engine::ENGINE_VERSION.to_owned(),
            };
            log.public(PublicShare::Policy(share));
            log.checkpoint();
        }
        Self { consortium, logs, release: 0, views: Vec::new() }
    }

    /// The whole story, with every leaf of Austria confirmed by all.
    pub fn told() -> Self {
        let mut story = Self::begin();
        story.publish();
        story.receive();
        story.withdraw_and_erase();
        story.confirm();
        story
    }

    pub fn roster(&self) -> std::sync::Arc<VerifiedRoster> {
        self.consortium.chain().current()
    }

    pub fn plan(&self) -> ReleasePlan {
        plan(&self.roster(), 0)
    }

    pub fn publish(&mut self) {
        let plan = self.plan();
        let table = plan.audit.to_bytes().unwrap();
        self.publish_as(&plan, &table, plan.views.len() as u32);
    }

    pub fn publish_as(&mut self, plan: &ReleasePlan, table: &[u8], views: u32) {
        let roster = self.roster();
        let share = ReleaseShare {
            kind: KindTag,
            suite: Suite::Hybrid2026,
            uuid: UUID,
            version: ObjectVersion(1),
            roster_version: roster.version(),
            roster_digest: roster.digest(),
            bundles: plan.audit.bundles.clone(),
            views,
            audit_digest: Sha256::digest(table).into(),
        };
        self.release = self.record(0, LeafKind::Private, &share.to_bytes(), table);
        for view in &plan.views {
            let at = self.view(&view.marking.clone(), view.carriage);
            self.views.push(at);
        }
        self.logs[0].checkpoint();
    }

    pub fn view(&mut self, marking: &Marking, carriage: Carriage) -> u64 {
        let audit = PublishAudit {
            release: self.logs[0].leaves[self.release as usize].commitment,
            strictest: Marking::new(Tlp::Red),
        };
        self.view_under(marking, carriage, &audit.to_bytes())
    }

    pub fn view_under(&mut self, marking: &Marking, carriage: Carriage, audit: &[u8]) -> u64 {
        let object = PublishedObject {
            uuid: UUID,
            version: ObjectVersion(1),
            object_root: ObjectRoot([5; 32]),
            padded_count: 8,
            media_type: "application/vnd.misp.event+json".to_owned(),
        };
        let share = PublishShare::new(Suite::Hybrid2026, object, marking.clone());
        let kind = if carriage == Carriage::Direct { LeafKind::Private } else { LeafKind::Publish };
        self.record(0, kind, &share.to_bytes(), audit)
    }

    pub fn record(&mut self, log: usize, kind: LeafKind, share: &[u8], audit: &[u8]) -> u64 {
        let flags = LeafFlags { header_follows: kind.has_header(), ..LeafFlags::default() };
        self.logs[log].private(Record { kind, flags, share, audit })
    }

    /// Every other hub states what became of the view for an audience.
    pub fn receive(&mut self) {
        let index = self.views[1];
        let target = LeafRef { log: self.logs[0].id, index: LeafIndex(index), leaf: self.logs[0].hash(index) };
        for n in 1..4 {
            self.slot(n, target);
            self.logs[n].checkpoint();
        }
    }

    pub fn slot(&mut self, log: usize, target: LeafRef) -> u64 {
        let at = UnixSeconds(START + 100);
        let statements = vec![Statement::Receive { target, outcome: Outcome::Admitted, at, reason: None }];
        let part = SlotAudit { seed: Blinding::new([6; 32]), statements };
        let share = part.slot(UnixSeconds(START)).unwrap().share(Suite::Hybrid2026);
        self.record(log, LeafKind::Private, &cresset_protocol::codec::encode(&share), &part.to_bytes())
    }

    pub fn withdraw_and_erase(&mut self) {
        let index = self.views[1];
        let target_leaf = self.logs[0].hash(index);
        let share = WithdrawShare {
            kind: KindTag,
            suite: Suite::Hybrid2026,
            target: LeafIndex(index),
            target_leaf,
            target_log: None,
            reason: WithdrawCode(WithdrawReason::Error),
        };
        let flags = LeafFlags { withdraw: Some(WithdrawReason::Error), ..LeafFlags::default() };
        let record = Record { kind: LeafKind::Withdraw, flags, share: &share.to_bytes(), audit: &[] };
        self.logs[0].private_bound(record, Binding(target_leaf.0));
        self.erase(self.views[0]);
        self.logs[0].checkpoint();
    }

    /// Destroys the opening of a leaf of the first log.
    pub fn erase(&mut self, index: u64) {
        let log = &mut self.logs[0];
        let share = EraseShare {
            kind: KindTag,
            suite: Suite::Hybrid2026,
            target: LeafIndex(index),
            target_log: None,
            extent: ErasedExtent::PayloadAndOpening,
            cause: EraseCause::Withdrawn,
            erased: log.now(),
        };
        let binding = Binding(log.hash(index).0);
        log.public_bound(PublicShare::Erase(share), binding);
        log.beside.get_mut(&index).unwrap().opening = None;
        log.audits.remove(&index);
    }

    /// The others confirm Austria, Austria confirms them: that leaf itself is a heartbeat.
    pub fn confirm(&mut self) {
        let roster = self.roster();
        let (first, others) = self.logs.split_at_mut(1);
        for log in others.iter_mut() {
            log.heads(&[&first[0]], &roster);
            log.checkpoint();
        }
        let others: Vec<&Log> = others.iter().collect();
        first[0].heads(&others, &roster);
        first[0].checkpoint();
    }

    /// What hub `n` exports: its own log in full, the others as replicas.
    pub fn export(&self, n: usize) -> InMemory {
        let logs: Vec<_> = (0..4).map(|at| (&self.logs[at], self.logs[at].size(), at == n)).collect();
        self.consortium.bundle(&logs)
    }
}

/// The decisions on an event with one unit of each of three colours, RED for Luxembourg alone.
pub fn plan(roster: &VerifiedRoster, now_offset: u64) -> ReleasePlan {
    let recipients: Vec<Recipient> = roster
        .hubs()
        .iter()
        .map(|hub| Recipient {
            hub: hub.id,
            country: hub.country,
            jurisdiction: hub.jurisdiction,
            domain: hub.domain.clone(),
            status: hub.status,
            roles: hub.roles.clone(),
            groups: BTreeSet::new(),
        })
        .collect();
    let unit = |kind, tlp| Unit {
        kind,
        type_name: "ip-dst".to_owned(),
        uuid: None,
        marking: Marking::new(tlp),
        attributes: Vec::new(),
    };
    let object = CtiObject {
        uuid: UUID,
        version: ObjectVersion(1),
        media_type: "application/vnd.misp.event+json".to_owned(),
        marking: Marking::new(Tlp::Green),
        units: vec![
            unit(UnitKind::Container, Tlp::Green),
            unit(UnitKind::Attribute, Tlp::Green),
            unit(UnitKind::Attribute, Tlp::Amber),
            unit(UnitKind::Attribute, Tlp::Red),
        ],
        native_digest: [2; 32],
    };
    let addressing = Addressing { to: BTreeSet::from([hub_id(1)]), ..Addressing::default() };
    let origin = Origin {
        hub: hub_id(0),
        country: Country::parse("AT").unwrap(),
        now: UnixSeconds(START + now_offset),
        lane: Lane::Normal,
    };
    plan_release(&Engine::baseline().unwrap(), &object, &recipients, &addressing, &origin).unwrap()
}
