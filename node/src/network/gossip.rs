//! How gossipsub is set up: anonymous, validated by us, tuned for flushes rather than single objects.

use std::time::Duration;

use aws_lc_rs::digest;
use cresset_protocol::ids::ConsortiumId;
use cresset_protocol::limits::FRAME_BYTES_MAX;
use libp2p::gossipsub::{
    Behaviour, ConfigBuilder, IdentTopic, MessageAuthenticity, MessageId, PeerScoreParams, PeerScoreThresholds,
    TopicScoreParams, ValidationMode,
};

use super::NetworkError;

/// Room for gossipsub's own framing around a largest announcement.
const OVERHEAD_BYTES: usize = 4 << 10;
/// Just above the usual flush: smaller messages are not worth an IDONTWANT.
const IDONTWANT_BYTES: usize = 4 << 10;

/// The one topic of a consortium. It carries blinded leaves, headers and ciphertext only.
pub(crate) fn topic(consortium: &ConsortiumId) -> IdentTopic {
    IdentTopic::new(format!("/cresset/announce/1/{consortium}"))
}

pub(crate) fn behaviour(consortium: &ConsortiumId) -> Result<Behaviour, NetworkError> {
    let config = ConfigBuilder::default()
        // The announcement's checkpoint is its signature; a second one would double the CPU.
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        // gossipsub de-duplicates before we validate: any id but one over all bytes would let garbage displace the
        // honest message.
        .message_id_fn(|message| MessageId::from(digest::digest(&digest::SHA256, &message.data).as_ref().to_vec()))
        .max_transmit_size(FRAME_BYTES_MAX + OVERHEAD_BYTES)
        .mesh_n(3)
        .mesh_n_low(2)
        .mesh_n_high(5)
        .mesh_outbound_min(1)
        .flood_publish(false)
        .idontwant_message_size_threshold(IDONTWANT_BYTES)
        .heartbeat_interval(Duration::from_secs(1))
        .heartbeat_initial_delay(Duration::from_millis(100))
        .build()
        .map_err(|error| NetworkError::Gossip(error.to_string()))?;
    let mut gossip = Behaviour::new(MessageAuthenticity::Anonymous, config).map_err(gossip_error)?;
    let topic = topic(consortium);
    gossip.with_peer_score(scores(&topic), PeerScoreThresholds::default()).map_err(gossip_error)?;
    gossip.subscribe(&topic).map_err(gossip_error)?;
    Ok(gossip)
}

/// Only provably invalid messages cost score. Everything that punishes silence or shared addresses is off: a quiet hub
/// is a good hub, and membership, not the address, keeps sybils out.
fn scores(topic: &IdentTopic) -> PeerScoreParams {
    let for_topic = TopicScoreParams {
        time_in_mesh_weight: 0.0,
        first_message_deliveries_weight: 0.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: -10.0,
        invalid_message_deliveries_decay: 0.9,
        ..TopicScoreParams::default()
    };
    PeerScoreParams {
        topics: [(topic.hash(), for_topic)].into(),
        ip_colocation_factor_weight: 0.0,
        slow_peer_weight: 0.0,
        ..PeerScoreParams::default()
    }
}

fn gossip_error(error: impl std::fmt::Display) -> NetworkError {
    NetworkError::Gossip(error.to_string())
}
