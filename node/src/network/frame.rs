//! Framing of the stream protocols: length u32 big-endian (of what follows), kind u8, payload.

use std::io;
use std::time::Duration;

use cresset_protocol::codec::{self, CodecError};
use cresset_protocol::limits::FRAME_BYTES_MAX;
use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use minicbor::{Decode, Encode};

use super::messages::Refusal;

/// A peer that sends nothing for so long has stalled.
pub(crate) const FRAME_TIMEOUT: Duration = Duration::from_secs(30);

/// Payload bytes of a data frame that we fill ourselves.
pub(crate) const CHUNK_BYTES: usize = 256 << 10;

const KIND_END: u8 = 0;
const KIND_DATA: u8 = 1;
const KIND_REFUSED: u8 = 2;

/// One frame of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// Nothing follows in this direction.
    End,
    /// A message or a piece of one.
    Data(Vec<u8>),
    /// Nothing follows, and why.
    Refused(Refusal),
}

/// Reads one frame of at most [`FRAME_BYTES_MAX`] payload bytes; the limit is checked before allocating.
pub(crate) async fn read<R: AsyncRead + Unpin>(stream: &mut R) -> Result<Frame, FrameError> {
    tokio::time::timeout(FRAME_TIMEOUT, read_now(stream)).await.map_err(|_| FrameError::Stalled)?
}

async fn read_now<R: AsyncRead + Unpin>(stream: &mut R) -> Result<Frame, FrameError> {
    let mut head = [0; 5];
    stream.read_exact(&mut head).await?;
    let [a, b, c, d, kind] = head;
    let announced = u32::from_be_bytes([a, b, c, d]) as usize;
    let length = announced.checked_sub(1).ok_or(FrameError::Empty)?;
    if length > FRAME_BYTES_MAX {
        return Err(FrameError::TooLarge { length });
    }
    // Grows with what arrives: a peer cannot make us reserve a megabyte by announcing one.
    let mut payload = Vec::new();
    stream.take(length as u64).read_to_end(&mut payload).await?;
    if payload.len() != length {
        return Err(FrameError::Io(io::ErrorKind::UnexpectedEof.into()));
    }
    match kind {
        KIND_END if payload.is_empty() => Ok(Frame::End),
        KIND_DATA => Ok(Frame::Data(payload)),
        KIND_REFUSED => Ok(Frame::Refused(codec::decode(&payload, FRAME_BYTES_MAX)?)),
        _ => Err(FrameError::Kind { kind }),
    }
}

/// Reads a frame that must be one message.
pub(crate) async fn read_message<R, T>(stream: &mut R) -> Result<T, FrameError>
where
    R: AsyncRead + Unpin,
    T: Encode<()> + for<'b> Decode<'b, ()>,
{
    match read(stream).await? {
        Frame::Data(payload) => Ok(codec::decode(&payload, FRAME_BYTES_MAX)?),
        Frame::Refused(refusal) => Err(FrameError::Refused(refusal)),
        Frame::End => Err(FrameError::Empty),
    }
}

pub(crate) async fn write<W: AsyncWrite + Unpin>(stream: &mut W, frame: &Frame) -> Result<(), FrameError> {
    let refusal;
    let (kind, payload) = match frame {
        Frame::End => (KIND_END, &[][..]),
        Frame::Data(payload) => (KIND_DATA, payload.as_slice()),
        Frame::Refused(reason) => {
            refusal = codec::encode(reason);
            (KIND_REFUSED, refusal.as_slice())
        }
    };
    write_payload(stream, kind, payload).await
}

/// Writes one message as a data frame.
pub(crate) async fn write_message<W, T>(stream: &mut W, message: &T) -> Result<(), FrameError>
where
    W: AsyncWrite + Unpin,
    T: Encode<()>,
{
    write_payload(stream, KIND_DATA, &codec::encode(message)).await
}

/// Writes bytes as data frames of [`CHUNK_BYTES`].
pub(crate) async fn write_bytes<W: AsyncWrite + Unpin>(stream: &mut W, bytes: &[u8]) -> Result<(), FrameError> {
    for chunk in bytes.chunks(CHUNK_BYTES) {
        write_payload(stream, KIND_DATA, chunk).await?;
    }
    Ok(())
}

async fn write_payload<W: AsyncWrite + Unpin>(stream: &mut W, kind: u8, payload: &[u8]) -> Result<(), FrameError> {
    if payload.len() > FRAME_BYTES_MAX {
        return Err(FrameError::TooLarge { length: payload.len() });
    }
    let announced = (payload.len() as u32 + 1).to_be_bytes();
    let sending = async {
        stream.write_all(&announced).await?;
        stream.write_all(&[kind]).await?;
        stream.write_all(payload).await?;
        stream.flush().await
    };
    Ok(tokio::time::timeout(FRAME_TIMEOUT, sending).await.map_err(|_| FrameError::Stalled)??)
}

/// Reads data frames until `length` bytes are there. The caller has checked `length` against a limit.
pub(crate) async fn read_bytes<R: AsyncRead + Unpin>(stream: &mut R, length: u64) -> Result<Vec<u8>, FrameError> {
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < length {
        match read(stream).await? {
            Frame::Data(chunk) if chunk.is_empty() => return Err(FrameError::Empty),
            Frame::Data(chunk) => bytes.extend_from_slice(&chunk),
            Frame::Refused(refusal) => return Err(FrameError::Refused(refusal)),
            Frame::End => return Err(FrameError::Io(io::ErrorKind::UnexpectedEof.into())),
        }
    }
    if bytes.len() as u64 == length { Ok(bytes) } else { Err(FrameError::TooLarge { length: bytes.len() }) }
}

/// Why a stream ends early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The connection failed or the stream was closed.
    #[error("the stream failed")]
    Io(#[from] io::Error),
    /// Beyond the limit.
    #[error("a frame of {length} bytes is too large")]
    TooLarge {
        /// Payload bytes.
        length: usize,
    },
    /// Where a message was due.
    #[error("an empty frame where a message was due")]
    Empty,
    /// A kind that this version does not know.
    #[error("unknown frame kind {kind}")]
    Kind {
        /// As received.
        kind: u8,
    },
    /// Not the message that was due.
    #[error("malformed message")]
    Malformed(#[from] CodecError),
    /// Nothing came for the time that a frame may take.
    #[error("the peer stalled")]
    Stalled,
    /// The peer says no.
    #[error(transparent)]
    Refused(Refusal),
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
