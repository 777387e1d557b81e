//! Many readers at once.

use std::io::Write;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use cohortium_serve::limits::Limits;

use crate::ground::{content, furnished, read_answer};

const READERS: usize = 200;
const ROUNDS: usize = 5;

#[test]
fn two_hundred_readers_at_once_all_read_what_they_asked_for() {
    let running = furnished(Limits::default());
    let whole = content(3_000_000);
    let (wrong, begin, began) = (AtomicUsize::new(0), Barrier::new(READERS), Instant::now());
    std::thread::scope(|scope| {
        for reader in 0..READERS {
            let (running, whole, wrong, begin) = (&running, &whole, &wrong, &begin);
            scope.spawn(move || {
                begin.wait();
                for round in 0..ROUNDS {
                    let links = running.links_of("a.s.t");
                    let from = (reader * 7919 + round * 104_729) % 2_000_000;
                    let mut stream = running.connect();
                    write!(
                        stream,
                        "GET {} HTTP/1.1\r\nHost: x\r\nRange: bytes={from}-{}\r\n\r\n",
                        links[1],
                        from + 999_999
                    )
                    .unwrap();
                    let good = read_answer(&mut stream, false)
                        .is_some_and(|answer| answer.status == 206 && answer.body == whole[from..from + 1_000_000]);
                    wrong.fetch_add(usize::from(!good), Ordering::Relaxed);
                }
            });
        }
    });
    println!("{} reads of 1 MB by {READERS} readers at once in {:?}", READERS * ROUNDS, began.elapsed());
    assert_eq!(wrong.load(Ordering::Relaxed), 0);
}
