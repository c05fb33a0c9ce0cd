use super::*;

/// A voice of this pitch: harmonics under syllables of a quarter of a second.
struct Voice {
    encoder: Encoder,
    pitch: f32,
    seq: u64,
}

impl Voice {
    fn new(pitch: f32) -> Self {
        let mut encoder = Encoder::new(RATE_HZ, Channels::Mono, Application::Voip).expect("an encoder");
        encoder.set_bitrate(Bitrate::Bits(32_000)).expect("set");
        encoder.set_inband_fec(true).expect("set");
        encoder.set_packet_loss_perc(20).expect("set");
        Voice { encoder, pitch, seq: 0 }
    }

    /// The next 20 ms: (seq, timestamp, payload).
    fn say(&mut self) -> (u64, u32, Vec<u8>) {
        let begin = self.seq as usize * FRAME;
        let sample = |i: usize| {
            let t = i as f32 / RATE_HZ as f32;
            let syllable = 0.5 - 0.5 * (t * 4.0 * std::f32::consts::TAU).cos();
            let tone = (1..=4).map(|k| (t * self.pitch * k as f32 * std::f32::consts::TAU).sin() / k as f32).sum::<f32>();
            0.2 * syllable * tone
        };
        let frame: Vec<f32> = (begin..begin + FRAME).map(sample).collect();
        let mut payload = vec![0; 1_000];
        let n = self.encoder.encode_float(&frame, &mut payload).expect("encoded");
        payload.truncate(n);
        self.seq += 1;
        (1_000 + self.seq, (self.seq as u32).wrapping_mul(FRAME as u32).wrapping_add(u32::MAX - 9_600), payload)
    }
}

/// Somebody who takes the mix only.
struct Player {
    decoder: Decoder,
    sound: Vec<f32>,
    last: Option<u32>,
}

impl Player {
    fn new() -> Self {
        Player { decoder: Decoder::new(RATE_HZ, Channels::Mono).expect("a decoder"), sound: Vec::new(), last: None }
    }

    fn take(&mut self, mixer: &mut Mixer) {
        while let Some(packet) = mixer.poll_packet() {
            assert!(self.last.is_none_or(|last| ahead(packet.timestamp, last) >= FRAME as i64), "time runs on");
            self.last = Some(packet.timestamp);
            let mut out = [0f32; FRAME];
            assert_eq!(self.decoder.decode_float(&packet.payload, &mut out, false).expect("Opus"), FRAME);
            self.sound.extend(out);
        }
    }
}

/// Power of one frequency (Goertzel).
fn power(sound: &[f32], hz: f32) -> f32 {
    let (sin, cos) = sound.iter().enumerate().fold((0f32, 0f32), |(sin, cos), (i, s)| {
        let phase = i as f32 / RATE_HZ as f32 * hz * std::f32::consts::TAU;
        (sin + s * phase.sin(), cos + s * phase.cos())
    });
    (sin * sin + cos * cos) / sound.len().max(1) as f32
}

/// xorshift64*: the same seed, the same losses.
struct Dice(u64);

impl Dice {
    fn permille(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32 & 1_023
    }
}

#[test]
fn all_who_speak_are_in_the_mix() {
    let start = Instant::now();
    let mut mixer = Mixer::new(start).expect("a mixer");
    let (mut low, mut high, mut player) = (Voice::new(150.0), Voice::new(265.0), Player::new());
    for frame in 0..100u32 {
        let now = start + TICK * frame;
        let (seq, timestamp, payload) = low.say();
        mixer.handle_packet(now, PeerId(1), seq, timestamp, &payload);
        if frame >= 50 {
            let (seq, timestamp, payload) = high.say();
            mixer.handle_packet(now, PeerId(2), seq, timestamp, &payload);
        }
        mixer.handle_timeout(now);
        player.take(&mut mixer);
    }
    let (one, both) = player.sound.split_at(player.sound.len() / 2);
    let both = &both[RATE_HZ as usize / 4..];
    assert!(power(one, 150.0) > 100.0 * power(one, 265.0), "only one speaks");
    assert!(power(both, 150.0) > 20.0 * power(both, 205.0) && power(both, 265.0) > 20.0 * power(both, 205.0), "both speak");
    assert_eq!(mixer.counters().concealed, 0);
}

#[test]
fn one_packet_in_ten_lost_leaves_less_than_one_frame_in_twenty_concealed() {
    let start = Instant::now();
    let mut mixer = Mixer::new(start).expect("a mixer");
    let (mut voice, mut player, mut dice) = (Voice::new(150.0), Player::new(), Dice(7));
    for frame in 0..3_000u32 {
        let now = start + TICK * frame;
        let (seq, timestamp, payload) = voice.say();
        if dice.permille() >= 102 {
            mixer.handle_packet(now, PeerId(1), seq, timestamp, &payload);
        }
        mixer.handle_timeout(now);
        player.take(&mut mixer);
    }
    let MixCounters { decoded, rebuilt, concealed, .. } = mixer.counters();
    assert!(rebuilt > 200, "redundancy is used: {rebuilt}");
    assert!(concealed * 20 < decoded + rebuilt + concealed, "{concealed} of {}", decoded + rebuilt + concealed);
    assert!(player.sound.len() >= 2_950 * FRAME, "uninterrupted: {}", player.sound.len() / FRAME);
}

#[test]
fn a_speaker_whose_clock_is_fast_or_whose_line_stuttered_does_not_fall_behind() {
    let start = Instant::now();
    let mut mixer = Mixer::new(start).expect("a mixer");
    let mut voice = Voice::new(150.0);
    // 0.2 % fast: in two minutes 250 ms more than real time; and every minute the line holds everything back for 100 ms.
    let mut held = Vec::new();
    for frame in 0..6_300u32 {
        let now = start + TICK.mul_f64(f64::from(frame) / 1.002);
        held.push(voice.say());
        if frame % 3_000 > 5 {
            for (seq, timestamp, payload) in held.drain(..) {
                mixer.handle_packet(now, PeerId(1), seq, timestamp, &payload);
            }
        }
        mixer.handle_timeout(now);
        while mixer.poll_packet().is_some() {}
    }
    let speaker = &mixer.speakers[&PeerId(1)];
    assert!(speaker.waiting.len() <= START_DEPTH + 2, "{} packets wait", speaker.waiting.len());
    assert!(mixer.counters().dropped > 0);
}

#[test]
fn a_pause_ends_the_packets_and_the_next_word_begins_at_once() {
    let start = Instant::now();
    let mut mixer = Mixer::new(start).expect("a mixer");
    let (mut voice, mut player) = (Voice::new(150.0), Player::new());
    for frame in 0..50u32 {
        let (seq, timestamp, payload) = voice.say();
        mixer.handle_packet(start + TICK * frame, PeerId(1), seq, timestamp, &payload);
        mixer.handle_timeout(start + TICK * frame);
    }
    for frame in 50..200u32 {
        mixer.handle_timeout(start + TICK * frame);
    }
    assert_eq!(mixer.poll_timeout(), None, "nothing is due while nobody speaks");
    player.take(&mut mixer);
    let before = player.sound.len();
    assert!((45 * FRAME..=70 * FRAME).contains(&before), "{}", before / FRAME);
    // Five seconds later, with a gap in timestamps that discontinuous transmission leaves.
    for frame in 450..460u32 {
        let (seq, timestamp, payload) = voice.say();
        let timestamp = timestamp.wrapping_add(400 * FRAME as u32);
        mixer.handle_packet(start + TICK * frame, PeerId(1), seq, timestamp, &payload);
        mixer.handle_timeout(start + TICK * frame);
    }
    player.take(&mut mixer);
    assert!(player.sound.len() >= before + 6 * FRAME, "{} frames", (player.sound.len() - before) / FRAME);
}

#[test]
fn whatever_bytes_come_the_mix_goes_on() {
    let start = Instant::now();
    let mut mixer = Mixer::new(start).expect("a mixer");
    let (mut dice, mut made) = (Dice(99), 0);
    for frame in 0..2_000u32 {
        let now = start + TICK * frame;
        let length = dice.permille() % 40;
        let payload: Vec<u8> = (0..length).map(|_| dice.permille() as u8).collect();
        let seq = u64::from(frame) + dice.permille() % 3;
        mixer.handle_packet(now, PeerId(dice.permille() % 12), seq, dice.permille() as u32 * 4_000_000, &payload);
        mixer.handle_timeout(now);
        while mixer.poll_packet().is_some() {
            made += 1;
        }
    }
    assert!(mixer.speakers.len() <= SPEAKERS_MAX);
    assert!(made > 0 && made <= 2_000, "{made}");
}

#[test]
fn who_is_silenced_is_not_heard_to_the_end_of_his_buffer() {
    let start = Instant::now();
    let mut mixer = Mixer::new(start).expect("a mixer");
    let mut voice = Voice::new(150.0);
    for frame in 0..20u32 {
        let (seq, timestamp, payload) = voice.say();
        mixer.handle_packet(start + TICK * frame, PeerId(1), seq, timestamp, &payload);
        mixer.handle_timeout(start + TICK * frame);
    }
    while mixer.poll_packet().is_some() {}
    mixer.remove(PeerId(1));
    mixer.handle_timeout(start + TICK * 21);
    let rest: Vec<_> = std::iter::from_fn(|| mixer.poll_packet()).collect();
    assert!(rest.iter().all(|packet| packet.dbov == -127), "{rest:?}");
}
