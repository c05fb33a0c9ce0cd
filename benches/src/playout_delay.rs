//! The playout-delay header extension for a sender that lacks it: minimum and maximum 0, which tells a browser to show
//! each picture as soon as it is decoded. Source: the "playout-delay" RTP header extension of WebRTC (experimental);
//! RFC 8285 §4.2 (one-byte header).

use gstreamer as gst;
use gstreamer::prelude::*;

const URI: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";
/// Number of the extension on this connection, 1 to 14.
const ID: u8 = 5;

/// The part of a launch line that announces the extension to what follows. `caps`: of the packets.
pub fn description(caps: &str) -> String {
    let announced = format!("extmap-{ID}=(string)\"{URI}\"");
    format!(
        "identity name=playout_delay ! capssetter caps=\"application/x-rtp,{}\" ! {caps},{announced} !",
        announced.replace('"', "\\\"")
    )
}

/// Writes the extension into every packet that passes the graph's [`description`]. `None`: the graph has no such part.
pub fn write_zero(graph: &gst::Pipeline) -> Option<()> {
    let pad = graph.by_name("playout_delay")?.static_pad("src")?;
    pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST, |_, info| {
        match info.data.take() {
            Some(gst::PadProbeData::Buffer(buffer)) => {
                info.data = Some(gst::PadProbeData::Buffer(extended(&buffer).unwrap_or(buffer)))
            }
            Some(gst::PadProbeData::BufferList(list)) => {
                let new: gst::BufferList = list.iter_owned().map(|b| extended(&b).unwrap_or(b)).collect();
                info.data = Some(gst::PadProbeData::BufferList(new));
            }
            other => info.data = other,
        }
        gst::PadProbeReturn::Ok
    });
    Some(())
}

/// The packet with the extension; `None` for what is no RTP packet or has extensions already.
fn extended(buffer: &gst::Buffer) -> Option<gst::Buffer> {
    let bytes = extend(buffer.map_readable().ok()?.as_slice())?;
    let mut new = gst::Buffer::from_mut_slice(bytes);
    let meta = gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS;
    buffer.copy_into(new.get_mut()?, meta, ..).ok()?;
    Some(new)
}

fn extend(packet: &[u8]) -> Option<Vec<u8>> {
    let first = *packet.first()?;
    let header = 12 + 4 * usize::from(first & 0x0F);
    if first >> 6 != 2 || first & 0x10 != 0 || packet.len() < header {
        return None;
    }
    let mut out = Vec::with_capacity(packet.len() + 8);
    out.push(first | 0x10);
    out.extend_from_slice(&packet[1..header]);
    // One word of extensions: three bytes (length 2), 12 bits minimum and 12 bits maximum, in 10 ms.
    out.extend_from_slice(&[0xBE, 0xDE, 0, 1, ID << 4 | 2, 0, 0, 0]);
    out.extend_from_slice(&packet[header..]);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_stands_between_header_and_payload() {
        let packet = [&[0x80, 0xE0, 0, 7, 0, 0, 1, 0, 0, 0, 0, 9][..], &[1, 2, 3]].concat();
        let out = extend(&packet).expect("plain RTP");
        assert_eq!(out[0], 0x90);
        assert_eq!(out[12..20], [0xBE, 0xDE, 0, 1, 0x52, 0, 0, 0]);
        assert_eq!(out[20..], [1, 2, 3]);
    }

    #[test]
    fn what_is_no_plain_rtp_is_left_alone() {
        assert_eq!(extend(&[]), None);
        assert_eq!(extend(&[0x40; 20]), None);
        assert_eq!(extend(&[0x90; 20]), None);
        assert_eq!(extend(&[0x8F; 20]), None);
    }
}
