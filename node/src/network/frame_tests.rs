use futures::io::Cursor;

use super::*;

async fn read_all(bytes: &[u8]) -> Result<Frame, FrameError> {
    read(&mut Cursor::new(bytes)).await
}

#[tokio::test]
async fn frames_round_trip() {
    for frame in [Frame::End, Frame::Data(vec![7; 70_000]), Frame::Data(vec![]), Frame::Refused(Refusal::Busy)] {
        let mut wire = Cursor::new(Vec::new());
        write(&mut wire, &frame).await.unwrap();
        assert_eq!(read_all(&wire.into_inner()).await.unwrap(), frame);
    }
}

#[tokio::test]
async fn every_wrong_frame_is_refused_by_name() {
    assert!(matches!(read_all(&[0, 0, 0]).await, Err(FrameError::Io(_))));
    assert!(matches!(read_all(&[0, 0, 0, 0, 1]).await, Err(FrameError::Empty)));
    assert!(matches!(read_all(&[0, 0, 0, 1, 9]).await, Err(FrameError::Kind { kind: 9 })));
    assert!(matches!(read_all(&[0, 0, 0, 2, 0, 0]).await, Err(FrameError::Kind { kind: 0 })));
    assert!(matches!(read_all(&[0, 0, 0, 9, 1, 0]).await, Err(FrameError::Io(_))));
    assert!(matches!(read_all(&[0, 0, 0, 2, 2, 99]).await, Err(FrameError::Malformed(_))));
    let too_large = (FRAME_BYTES_MAX as u32 + 2).to_be_bytes();
    let bytes = [&too_large[..], &[1]].concat();
    assert!(matches!(read_all(&bytes).await, Err(FrameError::TooLarge { .. })));
    assert!(write(&mut Cursor::new(Vec::new()), &Frame::Data(vec![0; FRAME_BYTES_MAX + 1])).await.is_err());
}

#[tokio::test]
async fn bytes_arrive_in_chunks_and_exactly_as_many_as_announced() {
    let bytes = vec![3; CHUNK_BYTES * 2 + 1];
    let mut wire = Cursor::new(Vec::new());
    write_bytes(&mut wire, &bytes).await.unwrap();
    let wire = wire.into_inner();
    let length = bytes.len() as u64;
    assert_eq!(read_bytes(&mut Cursor::new(&wire), length).await.unwrap(), bytes);
    assert!(matches!(read_bytes(&mut Cursor::new(&wire), length - 2).await, Err(FrameError::TooLarge { .. })));
    assert!(matches!(read_bytes(&mut Cursor::new(&wire), length + 1).await, Err(FrameError::Io(_))));
}
