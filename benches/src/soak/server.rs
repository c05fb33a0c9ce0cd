//! A server that only listens to one engine: clocks, wishes, frame indexes, health; packets are counted and let go.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use annotation::time::CaptureTime;
use bytes::{Bytes, BytesMut};
use link::control::{take_message, write_message};
use link::frame::FrameIndex;
use link::record::take_record;
use link::wire::{ClockPong, Health, HelloAck, LayerRef, SetLayout, ToEngine, ToServer, WantLayers, to_engine, to_server};

/// What came.
#[derive(Debug)]
pub enum Heard {
    /// The engine is up; say what is wanted.
    Up,
    Frame(FrameIndex),
    Health(Health),
}

#[derive(Debug)]
pub struct Listener {
    control: UnixListener,
    media: UnixListener,
    sockets: [Option<UnixStream>; 2],
    incoming: BytesMut,
    records: BytesMut,
    pub packets: u64,
    /// RTP time of the last frames that were complete here, and when.
    complete: VecDeque<(u32, CaptureTime)>,
    /// Packets as they came, where somebody asked for them.
    kept: Option<Vec<Bytes>>,
}

/// Frames whose completion is remembered. Policy: drop_oldest.
const COMPLETE_MAX: usize = 64;

/// The timeline: this machine's clock.
pub fn now() -> CaptureTime {
    CaptureTime::from_unix(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

impl Listener {
    pub fn bind(folder: &Path) -> anyhow::Result<Self> {
        let [control, media] = Self::paths(folder).map(UnixListener::bind);
        let (control, media) = (control?, media?);
        control.set_nonblocking(true)?;
        media.set_nonblocking(true)?;
        let (incoming, records) = (BytesMut::new(), BytesMut::new());
        let sockets = [None, None];
        Ok(Listener { control, media, sockets, incoming, records, packets: 0, complete: VecDeque::new(), kept: None })
    }

    pub fn paths(folder: &Path) -> [PathBuf; 2] {
        ["control", "media"].map(|name| folder.join(name))
    }

    /// Waits a little and returns what came.
    pub fn turn(&mut self) -> anyhow::Result<Vec<Heard>> {
        for (socket, listener) in self.sockets.iter_mut().zip([&self.control, &self.media]) {
            if socket.is_none()
                && let Ok((new, _)) = listener.accept()
            {
                new.set_nonblocking(false)?;
                new.set_read_timeout(Some(Duration::from_millis(2)))?;
                *socket = Some(new);
            }
        }
        if self.sockets[0].is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let [control, media] = &mut self.sockets;
        read(control.as_mut(), &mut self.incoming)?;
        read(media.as_mut(), &mut self.records)?;
        while let Some(record) = take_record(&mut self.records) {
            self.packets += 1;
            self.hear_packet(record);
        }
        let mut heard = Vec::new();
        while let Some(message) = take_message::<ToServer>(&mut self.incoming)? {
            match message.body {
                Some(to_server::Body::Hello(hello)) => {
                    let ack = HelloAck { version: link::LINK_VERSION, link_id: "soak".into(), layers: hello.layers };
                    self.say(to_engine::Body::Hello(ack))?;
                    heard.push(Heard::Up);
                }
                Some(to_server::Body::Clock(ping)) => {
                    let t = now().0;
                    self.say(to_engine::Body::Clock(ClockPong { t1: ping.t1, t2: t, t3: t }))?;
                }
                Some(to_server::Body::Frame(index)) => heard.push(Heard::Frame(index)),
                Some(to_server::Body::Health(health)) => heard.push(Heard::Health(health)),
                _ => {}
            }
        }
        Ok(heard)
    }

    /// From now on packets are kept for [`Listener::take_packets`].
    pub fn keep_packets(&mut self) {
        self.kept = Some(Vec::new());
    }

    pub fn take_packets(&mut self) -> Vec<Bytes> {
        self.kept.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// When the frame of this RTP time was complete here, of whichever layer first.
    pub fn complete_at(&self, rtp_ts: u32) -> Option<CaptureTime> {
        self.complete.iter().find(|(ts, _)| *ts == rtp_ts).map(|(_, at)| *at)
    }

    fn hear_packet(&mut self, packet: Bytes) {
        // The first record is the link's id. Source: RFC 3550, 5.1.
        let [version, marker, _, _, ts @ ..] = packet.get(..8).and_then(|h| h.first_chunk::<8>()).copied().unwrap_or_default();
        if version >> 6 != 2 {
            return;
        }
        if marker & 0x80 != 0 {
            if self.complete.len() == COMPLETE_MAX {
                self.complete.pop_front();
            }
            self.complete.push_back((u32::from_be_bytes(ts), now()));
        }
        if let Some(kept) = &mut self.kept {
            kept.push(packet);
        }
    }

    pub fn layout(&mut self, name: &str) -> anyhow::Result<()> {
        self.say(to_engine::Body::Layout(SetLayout { layout: name.into() }))
    }

    pub fn want(&mut self, layers: &[(&str, &str)]) -> anyhow::Result<()> {
        let layers = layers.iter().map(|(feed, layer)| LayerRef { feed: (*feed).into(), layer: (*layer).into() }).collect();
        self.say(to_engine::Body::Want(WantLayers { layers }))
    }

    fn say(&mut self, body: to_engine::Body) -> anyhow::Result<()> {
        let mut out = BytesMut::new();
        write_message(&mut out, &ToEngine { body: Some(body) });
        if let [Some(control), _] = &mut self.sockets {
            control.write_all(&out)?;
        }
        Ok(())
    }
}

fn read(socket: Option<&mut UnixStream>, buffer: &mut BytesMut) -> anyhow::Result<()> {
    let Some(socket) = socket else { return Ok(()) };
    let mut bytes = [0u8; 64 * 1024];
    match socket.read(&mut bytes) {
        Ok(0) => anyhow::bail!("the engine closed the link"),
        Ok(n) => buffer.extend_from_slice(&bytes[..n]),
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {}
        Err(e) => return Err(e.into()),
    }
    Ok(())
}
