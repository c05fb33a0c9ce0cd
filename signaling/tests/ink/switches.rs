//! One mentor for two rooms: the pen is in exactly one case at a time, and what it draws goes nowhere else, also when the
//! browser mixes the two pages' connections up. AN21.

use annotation::wire::{InkPacket, op::Body};
use prost::Message;
use rand::{Rng as _, SeedableRng};
use rand_chacha::ChaCha8Rng;
use signaling::ink_room::{InkEffect, InkFault, InkRoom};

use crate::kit::{MENTOR, ROOM, drain, ink_room, live_stroke, page_of, t};
use crate::page::Page;

const NAMES: [&str; 2] = ["or-1", "or-2"];
const SWITCHES: usize = 1_000;

#[test]
fn an21_a_thousand_switches_of_rooms_deliver_nothing_to_the_other_room() {
    let mut rng = ChaCha8Rng::seed_from_u64(0x5117C4);
    let mut rooms: Vec<InkRoom> = NAMES.iter().map(|name| ink_room(name, vec![])).collect();
    let mut pages: Vec<Page> = NAMES.iter().map(|name| Page::new(name, MENTOR)).collect();
    for room in &mut rooms {
        room.handle_join(page_of(MENTOR), MENTOR, t(0));
        room.handle_join(page_of(ROOM), ROOM, t(0));
        drain(room);
    }
    let (mut now, mut wrong, mut drawn) = (1_000u64, 0usize, [0u32; 2]);
    // Packets on their way to a connection; the connection may be the other page's.
    let mut on_the_way: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut pen_in = 0;
    for switch in 0..SWITCHES {
        pen_in = if rng.random_bool(0.9) { 1 - pen_in } else { pen_in };
        for _ in 0..rng.random_range(1..4) {
            now += rng.random_range(100..700);
            let page = &mut pages[pen_in];
            // Under the pen first; the commit may come after the switch.
            let mut live = live_stroke(MENTOR, page.seq + 1, 0, 8, t(now));
            if let Some(frame) = &mut live.frame {
                frame.feed = feed_of(pen_in);
            }
            let packet = InkPacket { version: 1, live: vec![live], case_id: NAMES[pen_in].into(), ..Default::default() };
            on_the_way.push((pen_in, packet.encode_to_vec()));
            drawn[pen_in] += 1;
            let mut stroke = crate::kit::commit(MENTOR, page.seq + 1, t(now));
            stroke.fades = true;
            if let Some(frame) = &mut stroke.frame {
                frame.feed = feed_of(pen_in);
            }
            page.say(Body::Stroke(stroke), t(now));
        }
        for (i, page) in pages.iter_mut().enumerate() {
            on_the_way.extend(page.poll_packet(t(now), false).map(|packet| (i, packet)));
        }
        // Out of order, some lost, a third on the wrong connection.
        while let Some(n) = (on_the_way.len() > rng.random_range(0..4)).then(|| rng.random_range(0..on_the_way.len())) {
            let (meant, packet) = on_the_way.swap_remove(n);
            if rng.random_bool(0.2) {
                continue;
            }
            let reached = if rng.random_bool(0.34) { 1 - meant } else { meant };
            let outcome = rooms[reached].handle_bytes(page_of(MENTOR), &packet, t(now));
            if reached != meant {
                assert_eq!(outcome, Err(InkFault::OtherCase), "switch {switch}");
                let effects = drain(&mut rooms[reached]);
                assert!(effects.is_empty(), "switch {switch}: {effects:?}");
                wrong += 1;
            } else {
                assert!(matches!(outcome, Ok(()) | Err(InkFault::TooFast)), "switch {switch}: {outcome:?}");
            }
            settle(&mut rooms[reached], &mut pages[reached], reached, now);
        }
    }
    // What was lost is repeated until it has arrived.
    for i in 0..2 {
        while !pages[i].outbox.is_empty() {
            now += 3_000;
            if let Some(packet) = pages[i].poll_packet(t(now), false) {
                let _ = rooms[i].handle_bytes(page_of(MENTOR), &packet, t(now));
                settle(&mut rooms[i], &mut pages[i], i, now);
            }
        }
        assert_eq!(pages[i].acknowledged, drawn[i], "all of the right room's ink arrived");
        assert!(pages[i].refused.is_empty());
    }
    assert!(wrong > SWITCHES / 2, "{wrong} packets went the wrong way");
    println!("{SWITCHES} switches, {} strokes, {wrong} packets on the wrong connection, none taken there", drawn[0] + drawn[1]);
}

/// Everything that leaves a room is of that room, for its own pages.
fn settle(room: &mut InkRoom, page: &mut Page, number: usize, now: u64) {
    for effect in crate::kit::settle(room, t(now)) {
        match effect {
            InkEffect::Store(ops) => {
                for stroke in ops.iter().filter_map(|o| o.op.as_ref()) {
                    if let Some(Body::Stroke(s)) = &stroke.body {
                        assert_eq!(s.frame.as_ref().map(|f| f.feed.clone()), Some(feed_of(number)), "ink of the other room");
                    }
                }
            }
            InkEffect::Send { page: to, packet } => {
                let told = InkPacket::decode(packet.clone()).expect("ours");
                let feeds = told.live.iter().filter_map(|l| l.frame.as_ref()).map(|f| f.feed.clone());
                assert!(feeds.into_iter().all(|feed| feed == feed_of(number)), "wet ink of the other room");
                if to == page_of(MENTOR) {
                    page.handle_packet(&packet);
                }
            }
            _ => {}
        }
    }
}

fn feed_of(room: usize) -> String {
    format!("field-{}", room + 1)
}
