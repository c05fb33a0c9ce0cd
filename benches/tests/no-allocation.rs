//! A packet forwarded to one more viewer costs no allocation of ours: what is allocated is what the WebRTC library allocates
//! for the datagram and the packet's place in its queues.

use std::alloc::System;

use benches::rehearsed::{PACKETS, Rehearsed};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// str0m's own for each packet: the datagram it hands out, and the header it writes. See the test below for how it was found.
const OF_THE_LIBRARY: f64 = 1.0;

/// Allocations for each packet to each viewer, without what a packet costs once, whoever watches.
fn per_forwarded_packet() -> f64 {
    let count = |viewers: usize| {
        let mut room = Rehearsed::new(viewers).expect("a room");
        room.warm(150);
        let (mut allocations, before) = (0, room.sent);
        for _ in 0..60 {
            let packets = room.next_frame(false);
            let region = Region::new(GLOBAL);
            room.forward(&packets);
            allocations += region.change().allocations;
            drop(packets);
            room.step(benches::rehearsed::FRAME);
        }
        (allocations as f64, (room.sent - before) as f64)
    };
    let (few, few_sent) = count(5);
    let (many, many_sent) = count(25);
    assert!(few_sent > 60.0 * PACKETS as f64 * 4.0, "packets left at once: {few_sent}");
    (many - few) / (many_sent - few_sent)
}

#[test]
fn one_more_viewer_costs_no_allocation_of_ours() {
    let each = per_forwarded_packet();
    println!("{each:.3} allocations a forwarded packet");
    assert!(each <= OF_THE_LIBRARY + 0.1, "{each:.3} allocations a forwarded packet");
}
