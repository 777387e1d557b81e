//! Streams: bytes arrive whole or not at all, codes reach the peer, bounds hold. Everything on both routes.

use bytes::Bytes;
use cohortium_protocol::code::MessageType;
use cohortium_protocol::wire::frame::FrameFault;

use super::*;
use crate::end::StreamError;
use crate::frame::{FrameError, read_frame, write_frame};
use crate::limits::{QUIC_STREAMS_MAX, TCP_STREAMS_MAX};
use crate::stream::{RecvHalf, SendHalf};

const SECOND: Duration = Duration::from_secs(1);

/// A stream from the dialler to the listener; its first byte has arrived.
async fn stream(pair: &Pair) -> ((SendHalf, RecvHalf), (SendHalf, RecvHalf)) {
    let (mut send, recv) = soon(pair.ours.open()).await.unwrap();
    send.write_all(&[0]).await.unwrap();
    let (back, mut got) = soon(pair.theirs.accept()).await.unwrap();
    soon(got.read_exact(&mut [0])).await.unwrap();
    ((send, recv), (back, got))
}

#[tokio::test]
async fn a_frame_travels_and_a_bad_header_is_refused_before_its_payload() {
    for route in ROUTES {
        let pair = pair(route).await;
        let ((mut send, _recv), (_back, mut got)) = stream(&pair).await;
        let payload = vec![7; MessageType::Document.payload_bytes_max()];
        let writing = tokio::spawn(async move {
            write_frame(&mut send, MessageType::Document, &payload, SECOND * 5).await.unwrap();
            // A length over the type's bound, and nothing behind it: reading must not wait for a payload.
            let max = u32::try_from(MessageType::Hello.payload_bytes_max()).unwrap();
            let header = [&MessageType::Hello.code().to_le_bytes()[..], &[0, 0], &(max + 1).to_le_bytes()].concat();
            send.write_all(&header).await.unwrap();
            send
        });
        let (kind, payload) = soon(read_frame(&mut got, SECOND * 5)).await.unwrap();
        assert_eq!((kind, payload.len()), (MessageType::Document, MessageType::Document.payload_bytes_max()));
        let refused = soon(read_frame(&mut got, SECOND * 5)).await.unwrap_err();
        assert_eq!(refused, FrameError::Header(FrameFault::TooLong { max: MessageType::Hello.payload_bytes_max() }));
        let _kept = writing.await.unwrap();
    }
}

#[tokio::test]
async fn a_slow_header_and_a_slow_payload_are_cut_at_the_deadline() {
    for route in ROUTES {
        let pair = pair(route).await;
        let deadline = Duration::from_millis(200);
        let ((mut send, _recv), (_back, mut got)) = stream(&pair).await;
        send.write_all(&[1, 0, 0]).await.unwrap();
        assert_eq!(soon(read_frame(&mut got, deadline)).await, Err(FrameError::Slow { deadline }));
        let ((mut send, _recv), (_back, mut got)) = stream(&pair).await;
        send.write_all(&[1, 0, 0, 0, 9, 0, 0, 0, 1]).await.unwrap();
        assert_eq!(soon(read_frame(&mut got, deadline)).await, Err(FrameError::Slow { deadline }));
        // A peer that takes nothing: its window fills, then the writer's deadline ends.
        let ((mut send, _recv), _unread) = stream(&pair).await;
        let payload = vec![0; MessageType::Document.payload_bytes_max()];
        let mut last = Ok(());
        for _ in 0..32 {
            last = soon(write_frame(&mut send, MessageType::Document, &payload, deadline)).await;
            if last.is_err() {
                break;
            }
        }
        assert_eq!(last, Err(FrameError::Slow { deadline }));
    }
}

#[tokio::test]
async fn codes_of_reset_stop_and_close_reach_the_peer() {
    for route in ROUTES {
        let pair = pair(route.clone()).await;
        let ((mut send, mut recv), (mut back, mut got)) = stream(&pair).await;
        send.write_all(b"part").await.unwrap();
        send.reset(17);
        let read = loop {
            match soon(got.read_chunk(64)).await {
                Ok(Some(_)) => {}
                end => break end,
            }
        };
        assert_eq!(read, Err(StreamError::Reset { code: 17 }), "{route}");
        recv.stop(18);
        let written = loop {
            match soon(back.write_all(&[0; 1000])).await {
                Ok(()) => tokio::task::yield_now().await,
                Err(error) => break error,
            }
        };
        assert_eq!(written, StreamError::Stopped { code: 18 }, "{route}");

        let ((_send, mut recv), _theirs) = stream(&pair).await;
        pair.theirs.close(19, "a reason");
        let expected = Closed::Peer { code: 19, reason: "a reason".to_owned() };
        assert_eq!(soon(pair.ours.closed()).await, expected, "{route}");
        assert_eq!(soon(recv.read_exact(&mut [0])).await, Err(StreamError::Closed(expected)), "{route}");
        assert_eq!(soon(pair.theirs.closed()).await, Closed::Local);
        assert!(pair.ours.is_closed() && pair.theirs.is_closed());
        assert!(soon(pair.ours.open()).await.is_err() && soon(pair.ours.accept()).await.is_err());
    }
}

#[tokio::test]
async fn a_sender_that_is_dropped_never_looks_finished() {
    for route in ROUTES {
        let pair = pair(route.clone()).await;
        let ((mut send, recv), (_back, mut got)) = stream(&pair).await;
        send.write_all(b"half of it").await.unwrap();
        drop((send, recv));
        let end = loop {
            match soon(got.read_chunk(64)).await {
                Ok(Some(_)) => {}
                end => break end,
            }
        };
        assert_eq!(end, Err(StreamError::Reset { code: 0 }), "{route}");
    }
}

#[tokio::test]
async fn an_early_end_is_an_error_for_an_exact_read() {
    for route in ROUTES {
        let pair = pair(route).await;
        let ((mut send, _recv), (_back, mut got)) = stream(&pair).await;
        send.write_all(b"abc").await.unwrap();
        send.finish().await.unwrap();
        assert_eq!(soon(got.read_exact(&mut [0; 4])).await, Err(StreamError::EndedEarly));
        assert_eq!(send.write_all(b"d").await, Err(StreamError::Misused));
    }
}

#[tokio::test]
async fn what_was_finished_arrives_after_both_halves_are_dropped() {
    for route in ROUTES {
        let pair = pair(route).await;
        let payload: Vec<u8> = (0..=250_u8).cycle().take(200_000).collect();
        let ((mut send, recv), (_back, mut got)) = stream(&pair).await;
        send.write_all(&payload).await.unwrap();
        send.finish().await.unwrap();
        drop((send, recv));
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut all = Vec::new();
        while let Some(bytes) = soon(got.read_chunk(1 << 20)).await.unwrap() {
            all.extend_from_slice(&bytes);
        }
        assert!(all == payload);
    }
}

#[tokio::test]
async fn the_number_of_open_streams_is_bounded() {
    for (route, max) in [(Route::Quic, QUIC_STREAMS_MAX as usize), (Route::Tcp, TCP_STREAMS_MAX)] {
        let pair = pair(route.clone()).await;
        let mut open = Vec::new();
        for _ in 0..max {
            open.push(stream(&pair).await);
        }
        let one_more = timeout(Duration::from_millis(200), pair.ours.open()).await;
        assert!(one_more.is_err(), "{route}: no place for one more than {max}");
        // quinn announces new places an eighth at a time.
        for ((mut send, recv), (mut back, got)) in open.split_off(max - max / 4) {
            send.finish().await.unwrap();
            back.finish().await.unwrap();
            drop((send, recv, back, got));
        }
        let next = soon(stream(&pair)).await;
        drop((open, next));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_both_ways_keep_their_bytes() {
    for route in ROUTES {
        let pair = pair(route).await;
        let echo = tokio::spawn({
            let theirs = pair.theirs.clone();
            async move {
                let mut tasks = tokio::task::JoinSet::new();
                for _ in 0..40 {
                    let (mut send, mut recv) = theirs.accept().await.unwrap();
                    tasks.spawn(async move {
                        while let Some(bytes) = recv.read_chunk(100_000).await.unwrap() {
                            send.write_chunk(bytes).await.unwrap();
                        }
                        send.finish().await.unwrap();
                    });
                }
                while let Some(done) = tasks.join_next().await {
                    done.unwrap();
                }
            }
        });
        let mut tasks = tokio::task::JoinSet::new();
        for seed in 0..40_u8 {
            let ours = pair.ours.clone();
            tasks.spawn(async move {
                let payload: Vec<u8> = (0..=250_u8).cycle().map(|i| i.wrapping_mul(seed + 1)).take(700_001).collect();
                let (mut send, mut recv) = ours.open().await.unwrap();
                let data = Bytes::from(payload.clone());
                let sending = async {
                    send.write_chunk(data).await.unwrap();
                    send.finish().await.unwrap();
                };
                let mut back = vec![0; payload.len()];
                let ((), read) = tokio::join!(sending, recv.read_exact(&mut back));
                read.unwrap();
                assert!(back == payload, "stream {seed}");
                assert_eq!(recv.read_chunk(1).await, Ok(None));
            });
        }
        timeout(Duration::from_mins(1), async {
            while let Some(done) = tasks.join_next().await {
                done.unwrap();
            }
            echo.await.unwrap();
        })
        .await
        .expect("all streams end");
    }
}

#[tokio::test]
async fn a_connection_ends_when_nobody_holds_it() {
    for route in ROUTES {
        let pair = pair(route.clone()).await;
        drop(pair.ours);
        assert!(closed_by_peer(&soon(pair.theirs.closed()).await, 0), "{route}");
    }
}
