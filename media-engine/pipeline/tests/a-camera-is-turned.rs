//! The room's camera over a real socket: a simulated one that speaks the real bytes, keeps its place and stands still when it is told to.

mod server;

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use link::wire::{Curtain, MoveCamera, to_engine};
use pipeline::ptz::simulated::Camera;
use pipeline::ptz::visca::Motion;
use server::Server;

const PATIENCE: Duration = Duration::from_secs(90);

/// A camera on a port of this machine.
struct Device {
    camera: Arc<Mutex<Camera>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    port: u16,
}

impl Device {
    fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.set_read_timeout(Some(Duration::from_millis(2))).expect("a socket");
        let port = socket.local_addr().expect("bound").port();
        let (camera, stop) = (Arc::new(Mutex::new(Camera::default())), Arc::new(AtomicBool::new(false)));
        let (moved, ended) = (camera.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let mut last = Instant::now();
            let mut bytes = [0u8; 64];
            while !ended.load(Ordering::SeqCst) {
                let came = socket.recv_from(&mut bytes);
                let mut camera = moved.lock().unwrap_or_else(PoisonError::into_inner);
                let ms = last.elapsed().as_millis() as i32;
                if ms > 0 {
                    camera.handle_time(ms);
                    last += Duration::from_millis(ms as u64);
                }
                if let Ok((n, from)) = came {
                    for answer in camera.handle_datagram(&bytes[..n]) {
                        let _ = socket.send_to(&answer, from);
                    }
                }
            }
        });
        Device { camera, stop, thread: Some(thread), port }
    }

    fn camera(&self) -> MutexGuard<'_, Camera> {
        self.camera.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_still(&self) -> bool {
        self.camera().moving == Motion::STILL
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn config(port: u16) -> String {
    format!(
        r#"
        program = {{ width = 640, height = 360, layout = "full" }}

        [[feed]]
        id = "field"
        kind = "operative-field"
        name_ja = "術野"
        name_en = "Field"
        main = true
        source = {{ type = "synthetic-field" }}

        [[feed]]
        id = "camera"
        kind = "room-camera"
        name_ja = "手術室内映像"
        name_en = "Room camera"
        ptz = {{ visca = "127.0.0.1:{port}" }}
        source = {{ type = "synthetic-field" }}
        "#
    )
}

fn word(pan: i32, zoom: i32) -> to_engine::Body {
    to_engine::Body::Camera(MoveCamera { feed: "camera".into(), pan, tilt: 0, zoom })
}

/// Turns the server, saying again what is held, until the device is as asked for.
fn until(server: &mut Server, what: &str, held: Option<(i32, i32)>, done: impl Fn() -> bool) {
    let began = Instant::now();
    let mut next = began;
    while !done() {
        if let Some((pan, zoom)) = held.filter(|_| next <= Instant::now()) {
            next = Instant::now() + Duration::from_millis(100);
            server.send(word(pan, zoom));
        }
        server.turn();
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
    }
}

#[test]
fn a_camera_moves_while_a_key_is_held_and_stops_when_nobody_says_anything() {
    let device = Device::start();
    device.camera().moving = Motion { pan: -50, tilt: 0, zoom: 0 };
    let mut server = Server::start(&config(device.port));
    let hello = server.accept();
    assert_eq!(hello.feeds.iter().map(|f| f.ptz).collect::<Vec<_>>(), [false, true]);
    until(&mut server, "a stop of whatever moved it before", None, || device.is_still());

    // Behind the curtain, which is drawn until the server lifts it, nothing moves.
    for _ in 0..3 {
        server.send(word(100, 0));
    }
    server.until("a health after that", |s| s.health.is_some());
    assert!(device.is_still());
    let curtain = |drawn| to_engine::Body::Curtain(Curtain { drawn });
    server.send(curtain(false));

    let before = device.camera().pan;
    until(&mut server, "a move to the right and closer", Some((60, 100)), || {
        let camera = device.camera();
        camera.pan > before + 50_000 && camera.zoom > 20_000
    });
    until(&mut server, "its end by itself", None, || device.is_still());

    until(&mut server, "another move", Some((-60, 0)), || !device.is_still());
    server.send(word(0, 0));
    until(&mut server, "its end when the key is let go", None, || device.is_still());

    until(&mut server, "a move before the curtain", Some((60, 0)), || !device.is_still());
    server.send(curtain(true));
    until(&mut server, "its end with the curtain", Some((60, 0)), || device.is_still());
    server.send(curtain(false));

    until(&mut server, "a move before the line is cut", Some((60, 0)), || !device.is_still());
    server.hang_up();
    until(&mut server, "its end with the line", None, || device.is_still());
    server.hang_up();
    server.accept();
    server.stop();
    assert!(device.is_still());
}

#[test]
fn a_camera_that_does_not_answer_is_said_in_health() {
    // Bound and silent.
    let nobody = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let mut server = Server::start(&config(nobody.local_addr().expect("bound").port()));
    server.accept();
    server.until("the camera's silence", |s| {
        s.health.as_ref().is_some_and(|h| h.ptz.iter().any(|p| p.feed == "camera" && p.problem == "ptz.silent"))
    });
    server.stop();
}
