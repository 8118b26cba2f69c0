use cresset_protocol::ids::*;
use cresset_protocol::membership::group::{PLAINTEXT_BYTES, STANZA_BYTES, TAG_BYTES, document_len};
use cresset_protocol::membership::roster::*;
use cresset_protocol::signing::{EncryptionPublicKey, LogKeys, OfficerKeys};

use super::*;

const CONSORTIUM: ConsortiumId = ConsortiumId([1; 32]);
const NOW: UnixSeconds = UnixSeconds(1_790_000_000);

struct World {
    body: RosterBody,
    officer: EncryptionKeyPair,
    hubs: [EncryptionKeyPair; 2],
}

fn hub(number: u8, status: HubStatus, key: &EncryptionPublicKey) -> HubEntry {
    let keys = LogKeys { p384: [number; 97].into(), ml_dsa_65: [number; 1952].into() };
    HubEntry {
        id: HubId([number; 16]),
        country: Country::parse("AT").unwrap(),
        jurisdiction: Country::parse("AT").unwrap(),
        domain: "at.hub.example".to_owned(),
        status,
        roles: Default::default(),
        tls_keys: vec![SpkiDigest([number; 32])],
        authentication_key: [number; 1952].into(),
        logs: vec![LogEntry {
            id: LogId([number; 32]),
            origin: "at.hub.example/prov/1".to_owned(),
            keys: vec![LogKeyPeriod { from: NOW, until: None, keys }],
        }],
        encryption_keys: vec![EncryptionKeyEntry { period: KeyPeriod(0), active_from: NOW, key: key.clone() }],
        recovery_key: [number; 1665].into(),
        endpoints: Vec::new(),
        pq: PqCustody::Token,
    }
}

/// A member, a hub outside the group, a removed hub between them, one officer.
fn world() -> World {
    let officer = EncryptionKeyPair::generate().unwrap();
    let hubs = [(); 2].map(|()| EncryptionKeyPair::generate().unwrap());
    let keys = OfficerKeys { p384: [1; 97].into(), ml_dsa_87: [1; 2592].into() };
    let body = RosterBody {
        version: RosterVersion(1),
        name: "Test".to_owned(),
        nonce: [0; 32],
        consortium: Some(CONSORTIUM),
        predecessors: vec![RosterDigest([0; 32])],
        issued: NOW,
        expires: UnixSeconds(NOW.0 + 1),
        officers: vec![Officer { role: "officer-1".to_owned(), keys, encryption: officer.public().clone() }],
        quorum: 1,
        suites: vec![Suite::Hybrid2026],
        root_certificate: [0; 32],
        hubs: vec![
            hub(1, HubStatus::Active, hubs[0].public()),
            hub(2, HubStatus::Removed, officer.public()),
            hub(3, HubStatus::Active, hubs[1].public()),
        ],
        groups: Vec::new(),
        policy: None,
        versions: VersionRange { min: 1, max: 1 },
        exceptions: Vec::new(),
    };
    World { body, officer, hubs }
}

fn document(members: &[u8]) -> GroupDocument {
    GroupDocument {
        id: GroupId([4; 16]),
        version: 1,
        name: "energy".to_owned(),
        members: members.iter().map(|number| HubId([*number; 16])).collect(),
        history_from: NOW,
        salt: [5; 32],
    }
}

fn open(
    world: &World,
    entry: &GroupEntry,
    who: u8,
    pair: &EncryptionKeyPair,
) -> Result<Option<GroupDocument>, GroupError> {
    let recipient = match who {
        0 => StanzaRecipient::Officer("officer-1".to_owned()),
        number => StanzaRecipient::Hub(HubId([number; 16])),
    };
    open_group_document(&world.body, &CONSORTIUM, entry, &recipient, pair)
}

#[test]
fn members_and_officers_read_and_nobody_else() {
    let world = world();
    let entry = encrypt_group_document(&world.body, &CONSORTIUM, &document(&[1]), NOW).unwrap();
    assert_eq!(entry.document.len(), document_len(3));
    assert_eq!(encrypted_at(&entry), Ok(NOW));
    assert_eq!(open(&world, &entry, 1, &world.hubs[0]), Ok(Some(document(&[1]))));
    assert_eq!(open(&world, &entry, 0, &world.officer), Ok(Some(document(&[1]))));
    assert_eq!(open(&world, &entry, 3, &world.hubs[1]), Ok(None));
    assert_eq!(open(&world, &entry, 2, &world.officer), Err(GroupError::NoStanza));
    assert_eq!(open(&world, &entry, 1, &world.hubs[1]), Err(GroupError::Hpke(HpkeError::Open)));
    let all = encrypt_group_document(&world.body, &CONSORTIUM, &document(&[1, 3]), NOW).unwrap();
    assert_eq!(all.document.len(), entry.document.len(), "the number of members shows");
    let removed = encrypt_group_document(&world.body, &CONSORTIUM, &document(&[2]), NOW);
    assert_eq!(removed, Err(GroupError::Fault(GroupFault::UnknownMember(HubId([2; 16])))));
}

#[test]
fn every_change_to_a_document_is_noticed() {
    let world = world();
    let entry = encrypt_group_document(&world.body, &CONSORTIUM, &document(&[1]), NOW).unwrap();
    let check = |change: &dyn Fn(&mut GroupEntry), expected: GroupError| {
        let mut changed = entry.clone();
        change(&mut changed);
        assert_eq!(open(&world, &changed, 1, &world.hubs[0]), Err(expected));
    };
    let ciphertext = entry.document.len() - PLAINTEXT_BYTES - TAG_BYTES;
    check(&|entry| entry.document[ciphertext] ^= 1, GroupError::Open);
    check(&|entry| *entry.document.last_mut().unwrap() ^= 1, GroupError::Open);
    check(&|entry| entry.document[ciphertext - 3 * STANZA_BYTES + 100] ^= 1, GroupError::Hpke(HpkeError::Open));
    check(&|entry| entry.document.truncate(ciphertext), GroupError::Fault(GroupFault::Layout));
    check(&|entry| entry.version = 2, GroupError::Hpke(HpkeError::Open));
    check(&|entry| entry.id = GroupId([0; 16]), GroupError::Hpke(HpkeError::Open));
    check(&|entry| entry.commitment = [0; 32], GroupError::Fault(GroupFault::Commitment));
    let foreign = ConsortiumId([2; 32]);
    let recipient = StanzaRecipient::Hub(HubId([1; 16]));
    let opened = open_group_document(&world.body, &foreign, &entry, &recipient, &world.hubs[0]);
    assert_eq!(opened, Err(GroupError::Hpke(HpkeError::Open)));
}
