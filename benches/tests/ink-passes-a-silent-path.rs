//! A page whose media path is silent says its ink on the socket, before anybody knows that the path is gone: it is taken, answered on the
//! socket, and shown; what was said on both ways is there once. When the path is back the channel is its way again.

use std::net::UdpSocket;

use annotation::wire::InkPacket;
use benches::ported::Door;
use benches::ported::strokes::{clear, packet, stroke};
use benches::talker::{Talker, Words};
use prost::Message as _;
use sfu::Channel;
use signaling::wire::{client_message as client, server_message as said};

fn acknowledges(packet: &InkPacket, seq: u32) -> bool {
    packet.acks.iter().any(|ack| ack.seq >= seq)
}

/// Numbers of the ops of `author` that `page` is told of on its socket, up to `last`.
fn ordered(page: &Talker, author: u32, last: u32) -> Vec<u32> {
    let mut seen = Vec::new();
    let told = page.until("an op", |body| {
        let said::Body::Ink(packet) = body else { return None };
        for op in packet.ordered.into_iter().filter_map(|o| o.op).filter(|op| op.author == author) {
            if !seen.contains(&op.seq) {
                seen.push(op.seq);
            }
        }
        seen.contains(&last).then_some(())
    });
    told.unwrap_or_else(|e| panic!("{e}: {last} of {author}; seen {seen:?}"));
    seen
}

#[test]
fn what_is_drawn_and_cleared_passes_by_the_socket_while_the_media_path_is_silent() {
    let door = Door::open().expect("starts");
    let tokens = &door.server.ready.tokens;
    let join = |token: &str| {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let page = Talker::join(door.runtime.handle(), &door.http(token), socket, Words::default()).expect("joins");
        page.until_up().expect("media");
        page
    };
    let (room, mentor) = (join(&tokens.room), join(&tokens.mentor));
    let on_channel = |page: &Talker, seq: u32| {
        let heard = |bytes: &[u8]| InkPacket::decode(bytes).is_ok_and(|p| acknowledges(&p, seq));
        page.until_heard(Channel::Ink, heard).unwrap_or_else(|e| panic!("op {seq} by the channel: {e}"));
    };
    let on_socket = |page: &Talker, seq: u32| {
        let told = |body| matches!(body, said::Body::Ink(packet) if acknowledges(&packet, seq)).then_some(());
        page.until("an answer on the socket", told).unwrap_or_else(|e| panic!("op {seq}: {e}"));
    };
    for page in [&room, &mentor] {
        page.send(Channel::Ink, packet(page, 1, [stroke(page, 1)]).encode_to_vec());
        on_channel(page, 1);
    }
    // The room speaks by its socket from now on, and so hears there.
    room.say(client::Body::Ink(packet(&room, 2, [stroke(&room, 2)])));
    on_socket(&room, 2);

    mentor.hold_media(true);
    // On its way when the path fell silent, and so said again.
    mentor.send(Channel::Ink, packet(&mentor, 2, [stroke(&mentor, 2)]).encode_to_vec());
    mentor.say(client::Body::Ink(packet(&mentor, 2, [stroke(&mentor, 2), stroke(&mentor, 3)])));
    on_socket(&mentor, 3);
    assert!(ordered(&room, mentor.welcome.author, 3).ends_with(&[2, 3]));
    room.say(client::Body::Ink(packet(&room, 3, [clear()])));
    ordered(&mentor, room.welcome.author, 3);

    mentor.hold_media(false);
    mentor.send(Channel::Ink, packet(&mentor, 4, [stroke(&mentor, 4)]).encode_to_vec());
    on_channel(&mentor, 4);
    drop((room, mentor));
    door.close();
}
