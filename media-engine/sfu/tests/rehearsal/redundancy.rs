//! What protects a voice on its way: Opus' own repair, and redundancy (RED).

use std::collections::BTreeSet;

use crate::world::{ALL, World, ms};

#[test]
fn an_answer_has_opus_own_repair_and_redundancy_before_opus_so_that_browsers_use_it() {
    let mut world = World::new(21);
    let page = world.page(ALL, ms(5));
    let answer = world.viewer(page).answer.clone();
    let voice_out = answer.split("m=audio").last().expect("a voice line");
    assert!(voice_out.contains("useinbandfec=1"), "{voice_out}");
    let number = |codec: &str| {
        let map = voice_out.lines().find(|l| l.starts_with("a=rtpmap:") && l.contains(codec));
        map.and_then(|l| l["a=rtpmap:".len()..].split(' ').next()).expect("agreed on").to_owned()
    };
    let (red, opus) = (number(" red/48000/2"), number(" opus/48000/2"));
    let formats: Vec<&str> = voice_out.lines().next().expect("the line").split(' ').skip(3).collect();
    let place = |number: &str| formats.iter().position(|f| *f == number).expect("on the line");
    assert!(place(&red) < place(&opus), "a sender takes the first: {formats:?}");
    assert!(voice_out.contains(&format!("a=fmtp:{red} {opus}/{opus}")), "what is in it: {voice_out}");
}

#[test]
fn what_is_lost_on_the_way_to_a_listener_comes_with_the_next_packet() {
    let mut world = World::new(22);
    let (speaker, listener) = (world.page(ALL, ms(20)), world.page(ALL, ms(20)));
    world.viewer(speaker).redundant = true;
    world.run(ms(1_000));
    world.talk(speaker, -25);
    world.run(ms(1_000));
    world.viewer(listener).forget();
    world.lose(listener, 0.1);
    world.run(ms(20_000));
    world.lose(listener, 0.0);
    world.run(ms(500));
    let voices = world.viewer(listener).voices();
    assert!(voices.iter().all(|v| v.from == speaker.0 && v.older.is_none_or(|(_, from)| from == speaker.0)));
    // Times at the listener: 20 ms are 960.
    let came: BTreeSet<u32> = voices.iter().map(|v| v.timestamp).collect();
    let healed: BTreeSet<u32> = voices.iter().filter_map(|v| v.older).map(|(at, _)| at).collect();
    let (first, last) = (*came.first().expect("heard"), *came.last().expect("heard"));
    let lost: Vec<u32> = (first..last).step_by(960).filter(|at| !came.contains(at)).collect();
    assert!((60..=150).contains(&lost.len()), "of a thousand at 10 %: {}", lost.len());
    let gone = lost.iter().filter(|at| !healed.contains(at)).count();
    // Only where the next is lost too: one in ten of those.
    assert!(gone * 5 <= lost.len(), "{gone} of {} are gone for good", lost.len());
    assert!(lost.len() - gone > 40);
}
