//! Vital signs from a device over HL7, as data beside the picture; and those that are replayed.

mod sender;
mod server;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use annotation::time::CaptureTime;
use link::frame::FeedState;
use link::vitals::Vitals;
use pipeline::vitals::mllp::framed;
use sender::free_port;
use server::{CONFIG, Server, timeline};

fn message(id: &str, kind: &str, observations: &str) -> Vec<u8> {
    let head = "MSH|^~\\&|MON^1^EUI-64||SHIRUBE||20260401093000.000+0900||";
    framed(format!("{head}{kind}|{id}|P|2.6|||AL|NE||UNICODE UTF-8\rOBR|1||A1^MON|1^m^SCT\r{observations}").as_bytes())
}

fn hl7(listen: &str) -> String {
    CONFIG.replace("\"synthetic-vitals\" }", &format!("\"hl7\", listen = \"{listen}\", alarms = true }}"))
}

/// Sends and waits for the answer to it.
fn tell(device: &mut TcpStream, bytes: &[u8]) -> String {
    device.write_all(bytes).expect("the engine listens");
    let (mut answer, mut byte) = (Vec::new(), [0]);
    while byte != [0x1C] {
        device.read_exact(&mut byte).expect("an answer");
        answer.extend(byte);
    }
    String::from_utf8(answer).expect("ASCII")
}

fn number(vitals: &[Vitals], name: &str) -> Option<Option<f32>> {
    vitals.iter().rev().flat_map(|v| &v.numerics).find(|n| n.name == name).map(|n| n.value)
}

#[test]
fn a_device_is_answered_and_what_it_says_comes_as_data_with_its_time() {
    let listen = format!("127.0.0.1:{}", free_port());
    let mut server = Server::start(&hl7(&listen));
    server.accept();
    server.want(true);
    server.until("pictures", |s| s.frames() > 5);
    let mut device = TcpStream::connect(&listen).expect("the engine listens");
    device.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
    let answer = tell(
        &mut device,
        &message("1", "ORU^R01^ORU_R01", "OBX|1|NM|147842^^MDC|1|72||||||R\rOBX|2|NM|150456^^MDC|1|99||||||R\r"),
    );
    assert!(answer.contains("MSA|AA|1\r"), "{answer}");
    server.until("the heart rate", |s| number(&s.vitals, "HR") == Some(Some(72.0)));
    let sent = server.vitals.iter().find(|v| !v.numerics.is_empty()).expect("just seen");
    assert_eq!((sent.feed.as_str(), sent.synchronised), ("vitals", false), "nobody said that its clock is right");
    let age = timeline().minus_ns(CaptureTime(sent.numerics[0].at));
    // Of another clock it would be an hour off.
    assert!(age.abs() < 300_000_000_000, "{age}");

    // A sentinel: missing, never a number.
    tell(&mut device, &message("2", "ORU^R01^ORU_R01", "OBX|1|NM|147842^^MDC|1|-999||||||R\r"));
    server.until("the missing heart rate", |s| number(&s.vitals, "HR") == Some(None));

    let wave: Vec<String> = (0..250).map(|n| (n % 50).to_string()).collect();
    let wave = format!("OBX|1|NA|131330^^MDC|1.1|{}|266419^^MDC\rOBX|2|NM|67981^^MDC|1.1.1|250|264608^^MDC\r", wave.join("^"));
    assert!(tell(&mut device, &message("3", "ORU^W01^ORU_W01", &wave)).contains("MSA|AA|3"));
    server.until("the wave", |s| s.vitals.iter().any(|v| v.waves.iter().any(|w| w.name == "II" && w.samples.len() == 250)));

    let alarm = "OBX|1|ST|196670^LO^MDC|1|SpO2 low|||L~PH~SP\rOBX|3|ST|68481^^MDC|3|start\r";
    assert!(tell(&mut device, &message("4", "ORU^R40^ORU_R40", alarm)).contains("MSA|AA|4"));
    server.until("the alarm", |s| s.vitals.iter().any(|v| v.alarms.iter().any(|a| a.active && a.priority == 3)));

    assert!(tell(&mut device, &message("5", "ADT^A01", "")).contains("MSA|AR|5"), "not for us");
    assert!(tell(&mut device, &message("6", "ORU^R01", "OBX|2|NM\r")).contains("MSA|AE|6"), "broken");
    drop(device);
    let lives =
        |s: &Server| s.newest().is_some_and(|i| i.entries.iter().any(|e| e.feed == "vitals" && e.state() == FeedState::Live));
    let frames = server.frames();
    server.until("the picture goes on", |s| s.frames() > frames + 10 && lives(s));
    server.stop();
}

#[test]
fn replayed_vital_signs_come_as_data_piece_by_piece() {
    let mut server = Server::start(CONFIG);
    server.accept();
    let samples =
        |s: &Server| s.vitals.iter().flat_map(|v| &v.waves).filter(|w| w.name == "II").map(|w| w.samples.len()).sum::<usize>();
    server.until("three seconds of the ECG", |s| samples(s) >= 750);
    let ecg: Vec<_> = server.vitals.iter().flat_map(|v| &v.waves).filter(|w| w.name == "II").collect();
    let mut adjoin = 0;
    for pair in ecg.windows(2) {
        let apart = CaptureTime(pair[1].start).minus_ns(CaptureTime(pair[0].start)) as f64 / 1e9;
        let long = pair[0].samples.len() as f64 / f64::from(pair[0].rate_hz);
        // Pieces of 0.2 s: after a pause of this machine only what is new is said, so whole ones may be missing. None overlap.
        let missing = (apart - long) / 0.2;
        assert!((missing - missing.round().max(0.0)).abs() < 0.225, "{apart} s apart, {long} s long: within one picture");
        adjoin += usize::from(missing < 0.5);
    }
    assert!(adjoin > 0, "no two pieces without a gap between them");
    server.until("a heart rate", |s| number(&s.vitals, "HR").flatten().is_some_and(|hr| (60.0..90.0).contains(&hr)));
    server.stop();
}
