//! Canonical CBOR on libp2p's request-response streams: one message per direction, then end of stream.

use std::io;
use std::marker::PhantomData;

use cresset_protocol::codec;
use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::StreamProtocol;
use libp2p::request_response;
use minicbor::{Decode, Encode};

/// A codec with its byte limits.
pub(crate) struct CborCodec<Req, Resp> {
    request_bytes_max: usize,
    response_bytes_max: usize,
    types: PhantomData<fn() -> (Req, Resp)>,
}

impl<Req, Resp> CborCodec<Req, Resp> {
    pub(crate) fn new(request_bytes_max: usize, response_bytes_max: usize) -> Self {
        Self { request_bytes_max, response_bytes_max, types: PhantomData }
    }
}

// Derived, it would demand `Clone` of the messages.
impl<Req, Resp> Clone for CborCodec<Req, Resp> {
    fn clone(&self) -> Self {
        Self::new(self.request_bytes_max, self.response_bytes_max)
    }
}

impl<Req, Resp> request_response::Codec for CborCodec<Req, Resp>
where
    Req: Encode<()> + for<'b> Decode<'b, ()> + Send + 'static,
    Resp: Encode<()> + for<'b> Decode<'b, ()> + Send + 'static,
{
    type Protocol = StreamProtocol;
    type Request = Req;
    type Response = Resp;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Req>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io, self.request_bytes_max).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Resp>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io, self.response_bytes_max).await
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, request: Req) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, codec::encode(&request), self.request_bytes_max).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, response: Resp) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, codec::encode(&response), self.response_bytes_max).await
    }
}

async fn read<T, M>(io: &mut T, bytes_max: usize) -> io::Result<M>
where
    T: AsyncRead + Unpin + Send,
    M: Encode<()> + for<'b> Decode<'b, ()>,
{
    let mut bytes = Vec::new();
    // One byte more than allowed tells "too large" from "just fits".
    io.take(bytes_max as u64 + 1).read_to_end(&mut bytes).await?;
    codec::decode(&bytes, bytes_max).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

async fn write<T>(io: &mut T, bytes: Vec<u8>, bytes_max: usize) -> io::Result<()>
where
    T: AsyncWrite + Unpin + Send,
{
    if bytes.len() > bytes_max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the message is larger than its limit"));
    }
    io.write_all(&bytes).await?;
    io.close().await
}
