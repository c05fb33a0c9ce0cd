//! Floods from addresses that nobody let in: a running case goes on as if nothing were, and nothing of them is remembered.

use std::net::SocketAddr;

use sfu::{Grants, PeerKind, SfuEvent};

use crate::world::{ALL, World, feed, ms};

/// A binding request to this user fragment, with a proof that proves nothing.
fn binding_request(ufrag: &str, n: u32) -> Vec<u8> {
    let user = format!("{ufrag}:peer");
    let padded = user.len().next_multiple_of(4);
    let mut request = vec![0, 1, 0, (4 + padded + 24) as u8, 0x21, 0x12, 0xA4, 0x42];
    request.extend([7; 8]);
    request.extend(n.to_be_bytes());
    request.extend([0, 6, 0, user.len() as u8]);
    request.extend(user.as_bytes());
    request.resize(24 + padded, 0);
    request.extend([0, 8, 0, 20]);
    request.extend([n as u8; 20]);
    request
}

#[test]
fn a_flood_of_strangers_does_not_disturb_a_running_case() {
    let mut world = World::new(41);
    let page = world.page(ALL, ms(10));
    let talker = world.page(ALL, ms(10));
    world.show(page, 0, "program");
    world.source("program");
    world.run(ms(2_000));
    world.talk(talker, -25);
    let ufrag = world.ufrag(page);
    let (before, voices) = (world.engine.counters(), world.viewer(page).voices().len());
    let addresses = world.engine.n_addresses();
    let hello = [&[22u8, 254, 253][..], &[0; 200]].concat();
    for n in 0..20_000u32 {
        let source = SocketAddr::from(([203, 0, (n >> 8) as u8, n as u8], 1_024 + (n % 60_000) as u16));
        let bytes = match n % 4 {
            0 => binding_request("nobody", n),
            // Even who knows a name proves nothing.
            1 => binding_request(&ufrag, n),
            2 => hello.clone(),
            _ => vec![0x80; 200],
        };
        world.stranger(source, &bytes);
        if n % 10 == 0 {
            world.run(ms(1));
        }
    }
    let after = world.engine.counters();
    assert_eq!(after.strangers - before.strangers, 20_000);
    assert_eq!((after.faults, world.closed(page), world.engine.n_peers()), (0, None, 2));
    assert_eq!(world.engine.n_addresses(), addresses, "nobody's address is remembered");
    world.viewer(page).assert_unbroken(0);
    assert!(world.viewer(page).pictures(0).last().is_some_and(|p| world.now.duration_since(p.at) < ms(50)));
    let heard = world.viewer(page).voices().len() - voices;
    assert!(heard >= 95, "{heard} voice packets in 2 s");
}

#[test]
fn no_datagram_is_larger_than_a_path_of_1300_bytes_takes() {
    let mut world = World::new(42);
    let page = world.page(ALL, ms(10));
    world.show(page, 0, "program");
    // As the engine makes them: 1,120 bytes with their header.
    world.layered_of("program", 1_108);
    world.run(ms(3_000));
    world.send(page, sfu::Channel::Ctl, &[7; 40_000]);
    for _ in 0..20 {
        world.send(page, sfu::Channel::Ink, &[7; 8_000]);
    }
    world.rate(page, Some(1_000_000));
    world.run(ms(10_000));
    assert!(world.viewer(page).pictures(0).len() > 100);
    // UDP and IPv6 headers are 48 bytes.
    assert!(world.largest <= 1_300 - 48, "{} bytes", world.largest);
}

#[test]
fn garbage_under_a_pages_address_makes_nobody_heard_who_is_cut_off() {
    let mut world = World::new(43);
    let page = world.page(ALL, ms(10));
    world.source("program");
    world.show(page, 0, "program");
    world.run(ms(3_000));
    let asked = world.keyframes_asked("program");
    world.lose(page, 1.0);
    let silent = |world: &World| -> Vec<bool> {
        let told = |e: &SfuEvent| match e {
            SfuEvent::Silent { peer, silent } if *peer == page => Some(*silent),
            _ => None,
        };
        world.events.iter().filter_map(told).collect()
    };
    for n in 0..300 {
        world.garbage(page, 20 + n % 200);
        // A request for its name with a wrong password, as from its own address.
        let request = binding_request(&world.ufrag(page), n as u32);
        let own = world.viewer(page).address;
        world.stranger(own, &request);
        world.run(ms(10));
    }
    let returned = |e: &SfuEvent| matches!(e, SfuEvent::Returned { .. });
    assert_eq!(silent(&world), [true], "it is silent, whatever is sent in its name");
    assert!(!world.events.iter().any(returned));
    assert_eq!(world.keyframes_asked("program"), asked, "and costs nobody a keyframe");
    world.lose(page, 0.0);
    world.run(ms(1_000));
    assert_eq!(silent(&world), [true, false]);
    assert_eq!(world.events.iter().filter(|e| returned(e)).count(), 1);
    assert!(world.viewer(page).pictures(0).last().is_some_and(|p| world.now - p.at < ms(60)));
}

#[test]
fn who_guesses_a_password_is_looked_at_fifty_times_a_second_and_the_page_can_move_all_the_same() {
    let mut world = World::new(44);
    let page = world.page(ALL, ms(10));
    world.source("program");
    world.show(page, 0, "program");
    world.run(ms(2_000));
    let request = binding_request(&world.ufrag(page), 7);
    let (addresses, before) = (world.engine.n_addresses(), world.engine.counters());
    for n in 0..2_000u32 {
        world.stranger(SocketAddr::from(([203, 0, 113, (n % 250) as u8], 5_000)), &request);
        if n % 500 == 499 {
            world.run(ms(250));
        }
    }
    let after = world.engine.counters();
    assert_eq!(after.strangers - before.strangers, 2_000);
    let looked_at = 2_000 - (after.guesses_denied - before.guesses_denied);
    assert!((50..=100).contains(&looked_at), "{looked_at}");
    assert_eq!((world.engine.n_addresses(), world.closed(page)), (addresses, None));
    world.restart_ice(page, PeerKind::Client);
    world.run(ms(2_500));
    assert_eq!(world.engine.n_addresses(), addresses + 1);
    assert!(world.viewer(page).pictures(0).last().is_some_and(|p| world.now - p.at < ms(60)), "it is shown where it is now");
}

#[test]
fn a_player_that_restarts_its_ice_elsewhere_and_names_no_candidate_is_shown_there() {
    let mut world = World::new(45);
    world.source("program");
    let kind = PeerKind::Whep { feed: feed("program"), layer: Some(link::id::LayerId::High) };
    let player = world.player(kind.clone(), Grants { see: true, ..Grants::default() }, ms(10));
    world.run(ms(2_000));
    assert!(world.viewer(player).pictures(0).len() > 50);
    for _ in 0..3 {
        world.restart_ice(player, kind.clone());
        world.run(ms(3_000));
        let newest = world.viewer(player).pictures(0).last().map(|p| p.at).expect("pictures");
        assert!(world.now - newest < ms(60), "none for {:?}", world.now - newest);
    }
}
