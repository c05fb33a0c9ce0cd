//! A generated operating room, seen by a camera that can be turned: it speaks VISCA on a socket of this machine, and its picture goes
//! where it is told to look. For trying out and tests.

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::{Prepared, Source, SourceInfo};
use crate::picture::{Geometry, Picture, PicturePool, rgb_to_yuv};
use crate::ptz::simulated::{Camera, PAN_LIMIT, TILT_LIMIT, ZOOM_LIMIT};
use crate::refusal::Refusal;
use crate::timing::pace::Period;

/// Its own picture, and of the room what it sees at its widest.
const NATIVE: (usize, usize) = (640, 360);
const WIDEST: (f32, f32) = (720.0, 405.0);
const CLOSEST: f32 = 4.0;
/// The room, px.
const ROOM: (usize, usize) = (2160, 810);
const LOOK_AROUND: Duration = Duration::from_millis(20);

type Eye = Arc<Mutex<Camera>>;

#[derive(Debug)]
pub struct PreparedRoom {
    eye: Eye,
    address: SocketAddr,
    /// Keeps listening while it, or a source made of it, is there.
    there: Arc<()>,
}

impl PreparedRoom {
    pub fn open() -> Result<Self, Refusal> {
        let cannot = |e: std::io::Error| {
            Refusal::new("feed.room.socket", format!("The simulated camera has no port on this machine ({e}); try again."))
        };
        let socket = UdpSocket::bind("127.0.0.1:0").map_err(cannot)?;
        socket.set_read_timeout(Some(LOOK_AROUND)).map_err(cannot)?;
        let address = socket.local_addr().map_err(cannot)?;
        let (eye, there) = (Eye::default(), Arc::new(()));
        let (turned, listening) = (eye.clone(), Arc::downgrade(&there));
        let body = move || listen(&socket, &turned, &listening);
        std::thread::Builder::new().name("simulated-visca".into()).spawn(body).map_err(cannot)?;
        Ok(PreparedRoom { eye, address, there })
    }
}

impl Prepared for PreparedRoom {
    fn info(&self) -> SourceInfo {
        SourceInfo { native: Some(NATIVE), period: Period::HZ_15 }
    }

    fn fit(&self, size: Geometry) -> Result<Box<dyn Source>, Refusal> {
        Ok(Box::new(Room {
            eye: self.eye.clone(),
            pool: PicturePool::new(size),
            size,
            room: Painting::of_a_room(),
            _there: self.there.clone(),
        }))
    }

    fn camera(&self) -> Option<SocketAddr> {
        Some(self.address)
    }
}

fn lock(eye: &Eye) -> MutexGuard<'_, Camera> {
    eye.lock().unwrap_or_else(PoisonError::into_inner)
}

fn listen(socket: &UdpSocket, eye: &Eye, listening: &Weak<()>) {
    let mut last = Instant::now();
    let mut bytes = [0u8; 64];
    while listening.strong_count() > 0 {
        let came = socket.recv_from(&mut bytes);
        let mut camera = lock(eye);
        let passed = last.elapsed().as_millis().min(1_000) as i32;
        if passed > 0 {
            camera.handle_time(passed);
            last = Instant::now();
        }
        if let Ok((n, from)) = came {
            for answer in camera.handle_datagram(&bytes[..n]) {
                // Who asked and is gone asks again.
                let _ = socket.send_to(&answer, from);
            }
        }
    }
}

struct Room {
    eye: Eye,
    pool: PicturePool,
    size: Geometry,
    room: Painting,
    _there: Arc<()>,
}

impl Source for Room {
    fn picture(&mut self, k: u64) -> Result<Arc<Picture>, String> {
        let (pan, tilt, zoom) = {
            let camera = lock(&self.eye);
            (camera.pan, camera.tilt, camera.zoom)
        };
        let part = |at: i32, limit: i32| at as f32 / (limit * 1_000) as f32;
        let closer = 1.0 + (CLOSEST - 1.0) * part(zoom, ZOOM_LIMIT);
        let (w, h) = (WIDEST.0 / closer, WIDEST.1 / closer);
        let (rw, rh) = (ROOM.0 as f32, ROOM.1 as f32);
        let x = rw / 2.0 + part(pan, PAN_LIMIT) * (rw - WIDEST.0) / 2.0 - w / 2.0;
        let y = rh / 2.0 - part(tilt, TILT_LIMIT) * (rh - WIDEST.1) / 2.0 - h / 2.0;
        // The monitor's trace runs, so that the picture is not a still.
        self.room.trace(k);
        let (room, size) = (&self.room, self.size);
        Ok(self.pool.draw(|out| room.show(out, size, [x, y, w, h])))
    }
}

/// The whole room: luma and both chromas, each at full size.
struct Painting {
    planes: [Vec<u8>; 3],
}

const WALL: [u8; 3] = [164, 182, 180];
const TILE: [u8; 3] = [150, 170, 168];
const FLOOR: [u8; 3] = [96, 104, 112];
const STEEL: [u8; 3] = [176, 180, 186];
const DRAPE: [u8; 3] = [44, 116, 104];
const GOWN: [u8; 3] = [58, 108, 160];
const SKIN: [u8; 3] = [214, 170, 144];
const LIGHT: [u8; 3] = [250, 248, 226];
const DARK: [u8; 3] = [22, 26, 32];
const GREEN: [u8; 3] = [70, 220, 120];
/// The bedside monitor's screen: x, y, width, height.
const SCREEN: [usize; 4] = [1420, 300, 150, 90];

impl Painting {
    fn of_a_room() -> Self {
        let mut p = Painting { planes: [vec![16; ROOM.0 * ROOM.1], vec![128; ROOM.0 * ROOM.1], vec![128; ROOM.0 * ROOM.1]] };
        p.rect([0, 0, ROOM.0, 520], WALL);
        (0..ROOM.0).step_by(90).for_each(|x| p.rect([x, 0, 4, 520], TILE));
        (0..520).step_by(90).for_each(|y| p.rect([0, y, ROOM.0, 4], TILE));
        p.rect([0, 520, ROOM.0, ROOM.1 - 520], FLOOR);
        // Door with its window, shelves, a clock.
        p.rect([120, 180, 240, 340], STEEL);
        p.rect([180, 230, 120, 90], DARK);
        for y in [200, 290, 380] {
            p.rect([1820, y, 260, 14], STEEL);
            (0..5).for_each(|n| p.rect([1830 + 50 * n, y - 44, 34, 44], [[200, 120, 70], GOWN, DRAPE, LIGHT, [190, 80, 84]][n]));
        }
        p.ellipse([720, 110, 46, 46], DARK);
        p.ellipse([720, 110, 40, 40], LIGHT);
        p.rect([718, 78, 5, 34], DARK);
        p.rect([720, 108, 24, 5], DARK);
        // Lamps over the table.
        p.rect([1000, 0, 10, 150], STEEL);
        p.rect([1190, 0, 10, 120], STEEL);
        p.ellipse([1005, 170, 96, 34], STEEL);
        p.ellipse([1005, 178, 76, 22], LIGHT);
        p.ellipse([1195, 140, 80, 28], STEEL);
        p.ellipse([1195, 147, 62, 18], LIGHT);
        // Monitor and anaesthesia machine, two people behind the table, the table, one before it.
        p.rect([1490, 390, 12, 250], STEEL);
        p.rect([SCREEN[0] - 10, SCREEN[1] - 10, SCREEN[2] + 20, SCREEN[3] + 20], STEEL);
        p.rect([1600, 420, 150, 240], [206, 208, 200]);
        p.rect([1616, 436, 118, 70], DARK);
        for x in [960, 1180] {
            p.ellipse([x, 330, 34, 40], SKIN);
            p.ellipse([x, 306, 36, 22], GOWN);
            p.rect([x - 34, 334, 68, 26], [226, 232, 236]);
            p.ellipse([x, 470, 80, 120], GOWN);
        }
        p.rect([800, 500, 560, 90], DRAPE);
        p.ellipse([1080, 500, 250, 44], DRAPE);
        p.ellipse([1070, 490, 60, 18], [150, 40, 36]);
        p.rect([1040, 590, 80, 130], STEEL);
        p.rect([960, 710, 240, 24], STEEL);
        p.ellipse([690, 330, 34, 40], SKIN);
        p.ellipse([690, 306, 36, 22], DRAPE);
        p.ellipse([690, 520, 76, 170], DRAPE);
        p
    }

    fn rect(&mut self, [x, y, w, h]: [usize; 4], rgb: [u8; 3]) {
        let (luma, u, v) = rgb_to_yuv(rgb);
        for (plane, ink) in self.planes.iter_mut().zip([luma, u, v]) {
            for row in plane.chunks_mut(ROOM.0).skip(y).take(h) {
                row[x.min(ROOM.0)..(x + w).min(ROOM.0)].fill(ink);
            }
        }
    }

    /// Centre and half axes; it lies inside the room.
    fn ellipse(&mut self, [cx, cy, rx, ry]: [usize; 4], rgb: [u8; 3]) {
        for y in cy - ry..cy + ry {
            let part = (y as f32 + 0.5 - cy as f32) / ry as f32;
            let half = (rx as f32 * (1.0 - part * part).max(0.0).sqrt()) as usize;
            self.rect([cx - half, y, 2 * half, 1], rgb);
        }
    }

    fn trace(&mut self, k: u64) {
        let [x, y, w, h] = SCREEN;
        self.rect(SCREEN, DARK);
        for n in 0..w {
            let phase = (n as u64 + 6 * k) % 50;
            let up = if (20..24).contains(&phase) { 50 } else { 12 };
            self.rect([x + n, y + h - 14 - up, 1, 4], GREEN);
        }
    }

    /// What lies in (x, y, w, h) of the room, px, over all of `out`.
    fn show(&self, out: &mut Picture, size: Geometry, [x, y, w, h]: [f32; 4]) {
        let Some(planes) = out.planes_mut() else { return };
        for (n, ((to, stride), from)) in planes.into_iter().zip(&self.planes).enumerate() {
            let (columns, rows) = if n == 0 { (size.width, size.height) } else { (size.width / 2, size.height / 2) };
            let at = |from: f32, span: f32, n: usize, of: usize, end: usize| {
                ((from + span * (n as f32 + 0.5) / of as f32).max(0.0) as usize).min(end - 1)
            };
            let across: Vec<usize> = (0..columns).map(|c| at(x, w, c, columns, ROOM.0)).collect();
            for (r, row) in to.chunks_mut(stride).take(rows).enumerate() {
                let line = &from[at(y, h, r, rows, ROOM.1) * ROOM.0..][..ROOM.0];
                row.iter_mut().zip(&across).for_each(|(p, &from)| *p = line[from]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptz::visca::{Motion, Say, encode};

    fn differ(a: &Picture, b: &Picture) -> usize {
        let (a, b) = (a.plane(0), b.plane(0));
        a.data.iter().zip(b.data).filter(|(a, b)| a.abs_diff(**b) > 20).count() * 100 / a.data.len()
    }

    #[test]
    fn the_picture_goes_where_the_camera_is_told_to_look() {
        let room = PreparedRoom::open().expect("a port");
        let size = Geometry::new(320, 180).expect("even");
        let mut source = room.fit(size).expect("fits");
        let still = [source.picture(0).expect("a picture"), source.picture(40).expect("a picture")];
        let alone = differ(&still[0], &still[1]);
        assert!(alone < 3, "only the monitor moves: {alone} %");
        let device = UdpSocket::bind("127.0.0.1:0").expect("a port");
        device.connect(room.camera().expect("its address")).expect("there");
        device.send(&encode(Say::PanTilt(Motion { pan: 100, tilt: 0, zoom: 0 }), 1)).expect("sent");
        let began = Instant::now();
        while lock(&room.eye).pan < 500_000 {
            std::thread::yield_now();
            assert!(began.elapsed() < Duration::from_secs(60), "it is not turned");
        }
        let turned = source.picture(41).expect("a picture");
        assert!(differ(&still[1], &turned) > 8, "to the right");
        lock(&room.eye).zoom = ZOOM_LIMIT * 1_000;
        assert!(differ(&turned, &source.picture(42).expect("a picture")) > 20, "closer");
        for (pan, tilt, zoom) in [(1, 1, 0), (-1, -1, 0), (1, -1, 1)] {
            {
                let mut eye = lock(&room.eye);
                (eye.pan, eye.tilt, eye.zoom) = (pan * PAN_LIMIT * 1_000, tilt * TILT_LIMIT * 1_000, zoom * ZOOM_LIMIT * 1_000);
            }
            source.picture(43).expect("a picture at its limits");
        }
    }
}
