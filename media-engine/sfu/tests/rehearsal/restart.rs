//! An ICE restart whose answer goes down with the socket that it was sent on.

use std::net::SocketAddr;

use sfu::{Channel, PeerKind, SfuEvent};

use crate::world::{ALL, World, case, ms};

#[test]
fn a_restart_whose_answer_was_lost_is_answered_again_with_the_same_credentials() {
    let mut world = World::new(22);
    let page = world.page(ALL, ms(10));
    world.show(page, 0, "program");
    world.source("program");
    world.run(ms(1_000));
    let old = world.viewer(page).address;
    let offer = world.viewer(page).restart_ice(SocketAddr::new(old.ip(), old.port() + 7));
    let lost = world.engine.handle_offer(world.now, page, case(), PeerKind::Client, ALL, &offer).expect("an answer");
    world.run(ms(400));
    let answer = world.engine.handle_offer(world.now, page, case(), PeerKind::Client, ALL, &offer).expect("an answer");
    let of = |sdp: &str, name: &str| sdp.lines().find(|l| l.starts_with(name)).map(str::to_owned).expect("credentials");
    for name in ["a=ice-ufrag:", "a=ice-pwd:"] {
        assert_eq!(of(&lost, name), of(&answer, name));
    }
    world.viewer(page).accept(&answer);
    let before = world.viewer(page).pictures(0).len();
    world.run(ms(2_000));
    world.send(page, Channel::Ctl, b"still here");
    world.run(ms(500));
    assert!(world.viewer(page).pictures(0).len() > before + 100);
    assert!(world.viewer(page).data().contains(&(Channel::Ctl, b"still here".to_vec())));
    assert_eq!((world.closed(page), world.watchers("program")), (None, 1));
    let connected = world.events.iter().filter(|e| matches!(e, SfuEvent::Connected { .. })).count();
    assert_eq!(connected, 1, "the same connection");
}
