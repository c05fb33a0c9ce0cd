//! A packet forwarded to one more viewer costs no allocation of ours, from the core to the system's call: what is allocated is what the
//! WebRTC library allocates for the datagram and the packet's place in its queues. What grows is counted as what is made.

use std::alloc::System;
use std::net::UdpSocket;

use benches::rehearsed::{FRAME, PACKETS, Rehearsed};
use sfu::Outgoing;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// str0m's own for each packet: the datagram it hands out.
const OF_THE_LIBRARY: f64 = 1.0;

/// Frames that are counted, after as many in which buffers that are used again have grown.
const FRAMES: usize = 60;

/// (made, grown) for each packet to each viewer, without what a packet costs once, whoever watches. `out`: with the way to the system's call.
fn per_forwarded_packet(out: bool) -> (f64, f64) {
    let sink = UdpSocket::bind("0.0.0.0:0").expect("a port");
    let at = sink.local_addr().expect("an address").port();
    let mut outgoing = Outgoing::bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let mut count = |viewers: usize| {
        let mut room = Rehearsed::new(viewers).expect("a room");
        room.warm(150);
        let (mut made, mut grown, mut before) = (0, 0, 0);
        for frame in 0..FRAMES * 2 {
            let packets = room.next_frame(false);
            if frame == FRAMES {
                (made, grown, before) = (0, 0, room.sent);
            }
            let region = Region::new(GLOBAL);
            if out {
                room.forward_out(&packets, &mut outgoing, at);
            } else {
                room.forward(&packets);
            }
            let change = region.change();
            (made, grown) = (made + change.allocations, grown + change.reallocations);
            drop(packets);
            room.step(FRAME);
        }
        [made as f64, grown as f64, (room.sent - before) as f64]
    };
    let (few, many) = (count(5), count(25));
    assert!(few[2] > (FRAMES * PACKETS * 4) as f64, "packets left at once: {}", few[2]);
    assert_eq!(outgoing.lost(), 0, "the system took them");
    let sent = many[2] - few[2];
    ((many[0] - few[0]) / sent, (many[1] - few[1]) / sent)
}

#[test]
fn one_more_viewer_costs_no_allocation_of_ours() {
    // One test: the counter is of the whole process.
    for out in [false, true] {
        let (made, grown) = per_forwarded_packet(out);
        println!("to the system {out}: {made:.3} allocations and {grown:.3} reallocations a forwarded packet");
        let of_ours = made + grown - OF_THE_LIBRARY;
        assert!(of_ours <= 0.1, "to the system {out}: {made:.3} made, {grown:.3} grown a forwarded packet");
    }
}
