//! What a healthy delivery costs, in counts: one request a segment, hardly a byte more than is stored, few connections.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod world;

use std::collections::BTreeSet;

use sandbox::{ShutdownReason, Work};
use world::{World, assert_whole};

struct Counts {
    segments: usize,
    requests: usize,
    /// Requests that a freeze or SHUTDOWN has interrupted: whatever the store is like, those are sent anew.
    interrupted: usize,
    sent_bytes: u64,
    stored_bytes: u64,
    connections: usize,
}

/// Invocations of so many lines, then the end.
async fn life(drain: &str, invocations: u32, lines: u32) -> Counts {
    let world = World::new().await;
    let sandbox = world
        .sandbox()
        .extension_env("LOGSPOOL_DRAIN", drain)
        // What is sent is what is measured, not how well it compresses.
        .extension_env("LOGSPOOL_COMPRESSION", "none")
        .extension_env("LOGSPOOL_SEAL_INVOCATIONS", "1")
        .start()
        .await
        .unwrap();
    for _ in 0..invocations {
        assert!(sandbox.invoke(Work { lines, line_bytes: 500, sleep_ms: 300, ..Work::default() }).await.result.is_ok());
    }
    sandbox.shutdown(ShutdownReason::Spindown).await;
    assert_whole(&world.verdict([&sandbox.ledger()]));
    let (requests, objects) = (world.s3.requests(), world.objects());
    let (answered, interrupted): (Vec<_>, Vec<_>) = requests.iter().partition(|request| request.status.is_some());
    assert!(answered.iter().all(|request| request.is_put() && request.stored), "nothing but puts, none in vain");
    Counts {
        segments: objects.len(),
        requests: answered.len(),
        interrupted: interrupted.len(),
        sent_bytes: answered.iter().map(|request| request.head_bytes + request.body_bytes).sum(),
        stored_bytes: objects.iter().map(|object| object.bytes.len() as u64).sum(),
        connections: requests.iter().map(|request| request.connection).collect::<BTreeSet<_>>().len(),
    }
}

#[tokio::test]
async fn a_healthy_delivery_is_one_request_a_segment_and_hardly_a_byte_more_than_is_stored() {
    println!(
        "{:<10} {:>8} {:>8} {:>11} {:>11} {:>12} {:>11}",
        "drain", "segments", "requests", "per segment", "interrupted", "sent/stored", "connections"
    );
    for drain in ["end", "background", "adaptive"] {
        let counts = life(drain, 12, 500).await;
        let Counts { segments, requests, interrupted, sent_bytes, stored_bytes, connections } = counts;
        let per_thousand = sent_bytes * 1_000 / stored_bytes;
        println!(
            "{drain:<10} {segments:>8} {requests:>8} {:>11.2} {interrupted:>11} {:>12.4} {connections:>11}",
            requests as f64 / segments as f64,
            sent_bytes as f64 / stored_bytes as f64,
        );
        assert!(segments >= 3, "{drain}: {segments}");
        assert_eq!(requests, segments, "{drain}: one request a segment");
        assert!(per_thousand <= 1_010, "{drain}: {sent_bytes} bytes for {stored_bytes}");
        // None is kept over a freeze, and none is made that is not needed: one for each time that the process runs, and at the end
        // one for each upload at a time.
        let sent = segments + interrupted;
        assert!(connections <= sent, "{drain}: {connections} connections for {sent} requests");
        if drain == "end" {
            assert_eq!(interrupted, 0, "{drain}: nothing is sent while the environment may be frozen");
        }
    }
}
