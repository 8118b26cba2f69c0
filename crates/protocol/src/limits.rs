//! Every limit on what arrives from outside, by name.
//!
//! A decoder checks the limit *before* it allocates. The values are normative: `protocol-spec/00-conventions.md`
//! repeats this table and a test compares the two.

/// Largest frame of any stream or request-response protocol, and largest gossip message, in bytes.
pub const FRAME_BYTES_MAX: usize = 1 << 20;
/// Nesting depth that the CBOR and JSON decoders accept.
pub const NESTING_DEPTH_MAX: usize = 64;
/// Items (of any type) that one CBOR document may hold.
pub const CBOR_ITEMS_MAX: usize = 4 << 20;
/// Lowest map key of the extension range: kept, covered by signatures, ignored.
pub const EXTENSION_KEY_MIN: u64 = 1000;

/// Length of a log origin, in ASCII characters.
pub const ORIGIN_BYTES_MAX: usize = 128;
/// Length of a DNS name of a hub.
pub const DOMAIN_BYTES_MAX: usize = 100;
/// Size of a signed note (a checkpoint with both signature lines is about 4.7 kB).
pub const NOTE_BYTES_MAX: usize = 16 << 10;
/// Signature lines that a note may carry.
pub const NOTE_SIGNATURES_MAX: usize = 16;
/// Largest tree that any arithmetic here is defined for.
pub const TREE_SIZE_MAX: u64 = 1 << 48;
/// Hashes of a frontier or of any proof.
pub const PROOF_HASHES_MAX: usize = 128;

/// Share part of a record.
pub const SHARE_BYTES_MAX: usize = 16 << 10;
/// Audit part of a record of any kind but RELEASE.
pub const AUDIT_BYTES_MAX: usize = 16 << 10;
/// Audit part of a RELEASE.
pub const RELEASE_AUDIT_BYTES_MAX: usize = 4 << 20;

/// Leaves of one flush, so that an announcement fits [`FRAME_BYTES_MAX`].
pub const FLUSH_LEAVES_MAX: usize = 2_048;
/// Encoded entries of one flush, for the same reason: note, frontier and framing need the rest of the frame.
pub const FLUSH_BYTES_MAX: usize = 736 << 10;
/// Leaves accepted by a writer and not yet signed; beyond it callers get Busy.
pub const WRITER_OUTSTANDING_MAX: usize = 8_192;
/// Leaves in one package of the entries protocol.
pub const PACKAGE_LEAVES: u64 = 256;
/// Encoded entry: leaf, header and opening.
pub const ENTRY_BYTES_MAX: usize = SHARE_BYTES_MAX + HEADER_BYTES_MAX + 256;
/// Leaves that one entries request may ask for.
pub const ENTRIES_REQUEST_LEAVES_MAX: u64 = 8_192;
/// Announcements kept while the gap before them is fetched, per log.
pub const ANNOUNCEMENTS_QUEUED_MAX: usize = 16;

/// Encoded envelope header.
pub const HEADER_BYTES_MAX: usize = 512;
/// Plaintext of one envelope.
pub const OBJECT_BYTES_MAX: u64 = 256 << 20;
/// Attributes of one object.
pub const ATTRIBUTES_MAX: usize = 1 << 20;
/// One envelope that travels inline in an announcement.
pub const INLINE_ENVELOPE_BYTES_MAX: usize = 16 << 10;
/// All inline envelopes of one announcement.
pub const INLINE_TOTAL_BYTES_MAX: usize = 256 << 10;
/// Plaintext bytes per segment of an envelope.
pub const SEGMENT_BYTES: u32 = 64 << 10;
/// Smallest padded plaintext.
pub const PADDED_BYTES_MIN: u64 = 512;
/// Stanzas of one envelope or grant.
pub const STANZAS_MAX: usize = 256;
/// Envelopes under one audience key.
pub const AUDIENCE_ENVELOPES_MAX: u64 = 1 << 20;
/// Grants that an origin may log in an hour.
pub const GRANTS_PER_HOUR_MAX: u32 = 64;

/// Hubs in a roster.
pub const HUBS_MAX: usize = 256;
/// Officers in a roster.
pub const OFFICERS_MAX: usize = 32;
/// Sharing groups in a roster.
pub const GROUPS_MAX: usize = 1_024;
/// Members of one sharing group.
pub const GROUP_MEMBERS_MAX: usize = HUBS_MAX;
/// Keys of one kind in one hub entry.
pub const KEYS_PER_HUB_MAX: usize = 32;
/// Endpoints of one hub.
pub const ENDPOINTS_PER_HUB_MAX: usize = 16;
/// Encoded roster body.
pub const ROSTER_BYTES_MAX: usize = 8 << 20;
/// Encoded enrolment request.
pub const ENROLMENT_BYTES_MAX: usize = 64 << 10;

/// Countries or hubs in one releasability list, groups in one marking.
pub const MARKING_LIST_MAX: usize = 64;
/// Characters in one free-text field of a marking.
pub const MARKING_TEXT_BYTES_MAX: usize = 256;
/// Steps of an attribute path.
pub const PATH_STEPS_MAX: usize = NESTING_DEPTH_MAX;

/// Name of a consortium or of a sharing group, in bytes.
pub const NAME_BYTES_MAX: usize = 100;
/// A role id, a network label.
pub const ROLE_BYTES_MAX: usize = 32;
/// Roster roles of one hub.
pub const ROLES_PER_HUB_MAX: usize = 8;
/// Reasons for more than one active hub in a country.
pub const EXCEPTIONS_MAX: usize = 32;
/// Free text of an officer: the reason of an exception, an approval or a suspension.
pub const REASON_BYTES_MAX: usize = 512;
/// Longest life of a roster version, in seconds (400 days).
pub const ROSTER_LIFETIME_SECONDS_MAX: u64 = 400 * 86_400;
/// How long an expired roster's membership is still honoured, in seconds (14 days).
pub const ROSTER_GRACE_SECONDS: u64 = 14 * 86_400;
/// How far a statement may be dated after our own clock, in seconds.
pub const CLOCK_SKEW_SECONDS_MAX: u64 = 300;
/// Roster versions in one chain file.
pub const ROSTER_CHAIN_MAX: usize = 4_096;
/// A roster chain file.
pub const ROSTER_CHAIN_BYTES_MAX: usize = 512 << 20;
/// Encrypted document of one sharing group.
pub const GROUP_DOCUMENT_BYTES_MAX: usize = 1 << 20;
/// Longest suspension by one officer, in seconds (48 hours).
pub const SUSPENSION_SECONDS_MAX: u64 = 48 * 3_600;
/// One officer suspends one hub at most once in this many seconds (30 days).
pub const SUSPENSION_INTERVAL_SECONDS: u64 = 30 * 86_400;
/// Encoded suspension with its signatures, encoded approval likewise.
pub const STATEMENT_BYTES_MAX: usize = 16 << 10;
/// Life of an enrolment request, in seconds (14 days).
pub const ENROLMENT_SECONDS_MAX: u64 = 14 * 86_400;
/// A certificate request or certificate, DER.
pub const CERTIFICATE_BYTES_MAX: usize = 4 << 10;
/// Pieces of vetting evidence in one enrolment request.
pub const EVIDENCE_MAX: usize = 16;
/// Encoded log manifest.
pub const LOG_MANIFEST_BYTES_MAX: usize = 16 << 10;

/// Encoded hello frame (the body, or the signature with its 3,309 bytes).
pub const HELLO_FRAME_BYTES_MAX: usize = 4 << 10;
/// Seconds from an accepted or dialled TCP connection to the end of its hello.
pub const HANDSHAKE_SECONDS_MAX: u64 = 10;
/// Seconds from an accepted TCP connection to the end of its ClientHello.
pub const CLIENT_HELLO_SECONDS_MAX: u64 = 2;
/// Handshakes in progress at once in each direction; further connections wait, within [`HANDSHAKE_SECONDS_MAX`].
pub const HANDSHAKES_CONCURRENT_MAX: usize = 32;
/// Inbound connections from one IPv4 address or IPv6 /64 that have not finished their handshake.
pub const HANDSHAKES_PER_SOURCE_MAX: usize = 8;
/// Certificates that a peer may send, its own included.
pub const CERTIFICATE_CHAIN_MAX: usize = 4;
/// Live connections to one peer (two, because both may dial at once).
pub const CONNECTIONS_PER_PEER_MAX: u32 = 2;
/// Hours after which a connection is closed and made anew, so that every peer is judged again.
pub const CONNECTION_AGE_HOURS_MAX: u64 = 24;
/// Inbound streams of one protocol that one peer may have open at once.
pub const STREAMS_PER_PEER_MAX: usize = 16;
/// Bytes that one request of the envelopes protocol may ask for.
pub const ENVELOPE_RANGE_BYTES_MAX: u64 = 4 << 20;
/// Envelope bytes that travel inside one delivery; a larger envelope is fetched in ranges.
pub const DELIVERY_BYTES_MAX: u64 = 16 << 20;
/// Frame of the roster protocol: a whole roster and its signatures fit.
pub const ROSTER_FRAME_BYTES_MAX: usize = ROSTER_BYTES_MAX + FRAME_BYTES_MAX;
/// Roster versions in one answer or push.
pub const ROSTERS_PER_MESSAGE_MAX: usize = 64;
/// Leaves of one attribute tree, padding included: regions at most double [`ATTRIBUTES_MAX`], alignment doubles again.
pub const ATTRIBUTE_TREE_LEAVES_MAX: u64 = 4 * ATTRIBUTES_MAX as u64;
/// Type name of a unit.
pub const UNIT_TYPE_BYTES_MAX: usize = 256;
/// Media type of an object.
pub const MEDIA_TYPE_BYTES_MAX: usize = 128;
/// Parents that a PUBLISH names.
pub const PARENTS_MAX: usize = 64;
/// Streams of all protocols within one connection.
pub const STREAMS_PER_CONNECTION_MAX: usize = 128;
/// Statements of one slot; more wait for the next.
pub const SLOT_STATEMENTS_MAX: usize = 1 << 16;
/// Encoded statements of one owner with their paths, for one slot.
pub const SLOT_RECEIPT_BYTES_MAX: usize = FRAME_BYTES_MAX;
/// Heads in one HEADS leaf (80 bytes each, so that the share fits its limit); further changes wait for the next.
pub const HEADS_PER_LEAF_MAX: usize = 192;
/// Files of one audit bundle.
pub const BUNDLE_FILES_MAX: usize = 1 << 20;
/// Encoded manifest of an audit bundle.
pub const BUNDLE_MANIFEST_BYTES_MAX: usize = 128 << 20;
/// Largest single file of an audit bundle.
pub const BUNDLE_FILE_BYTES_MAX: usize = 512 << 20;
/// Ranges in one request of the envelopes protocol.
pub const ENVELOPE_RANGES_PER_REQUEST_MAX: usize = 256;
/// Audit part of a slot leaf: its statements with their seed.
pub const SLOT_AUDIT_BYTES_MAX: usize = RELEASE_AUDIT_BYTES_MAX;
