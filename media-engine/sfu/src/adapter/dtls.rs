//! DTLS 1.2 by OpenSSL, for players and publishers: other people's programs, some of which have an RSA certificate (GStreamer's
//! `webrtcbin` makes one by itself). str0m's own DTLS, which pages keep, asks for ECDSA alone. Handshake only: the packets of
//! pictures go through the same SRTP as everybody's.
//!
//! Given datagrams and polled, as str0m wants it; but OpenSSL keeps the times of its own handshake (1 s, doubled) by the
//! system's clock. Here it is only asked, ten times a second until the handshake is over.
//! Source: RFC 5764 (keys for SRTP), RFC 8827 §6.5 (certificates).

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::srtp::SrtpProfileId;
use openssl::ssl::{
    self, ErrorCode, Ssl, SslContext, SslMethod, SslOptions, SslSessionCacheMode, SslStream, SslVerifyMode, SslVersion,
};
use openssl::x509::X509;
use str0m::crypto::CryptoError;
use str0m::crypto::dtls::{
    DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, KeyingMaterial, ProtocolVersion, SrtpProfile,
};
use tracing::debug;

const ASK_EVERY: Duration = Duration::from_millis(100);
/// Nothing to do until something arrives.
const IDLE: Duration = Duration::from_secs(3_600);
/// Ours is an ECDSA certificate, which settles the first half.
const CIPHERS: &str = "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES256:ECDHE+AES128";
/// In str0m's order.
const PROFILES: &str = "SRTP_AEAD_AES_256_GCM:SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80";
const KEY_LABEL: &str = "EXTRACTOR-dtls_srtp";
/// As large as a record may be: what one datagram brings is read whole.
const RECORD_BYTES_MAX: usize = 16 * 1024;
/// Where str0m does not say.
const MTU: usize = 1_200;

/// Makes the instances. Certificates come from str0m's own provider.
#[derive(Debug)]
pub(super) struct ForeignDtls;

impl DtlsProvider for ForeignDtls {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        None
    }

    fn new_dtls(
        &self,
        certificate: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        if version != DtlsVersion::Dtls12 {
            return Err(CryptoError::Other(format!("{version} is not spoken here")));
        }
        let made = Handshake::new(certificate, now, mtu.unwrap_or(MTU));
        made.map(|h| Box::new(h) as Box<dyn DtlsInstance>).map_err(|e| CryptoError::Other(e.to_string()))
    }
}

/// One datagram in at a time, those that leave in order. OpenSSL bounds what leaves: a flight, or what was written.
#[derive(Debug, Default)]
struct Datagrams {
    incoming: Option<Vec<u8>>,
    outgoing: VecDeque<Vec<u8>>,
}

impl Read for Datagrams {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(datagram) = self.incoming.take() else { return Err(io::ErrorKind::WouldBlock.into()) };
        // As of a socket: what does not fit is gone.
        let length = datagram.len().min(buffer.len());
        buffer[..length].copy_from_slice(&datagram[..length]);
        Ok(length)
    }
}

impl Write for Datagrams {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        self.outgoing.push_back(datagram.to_vec());
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What str0m is to hear, in this order.
enum News {
    Connected,
    PeerCert(Vec<u8>),
    Keys(Vec<u8>, SrtpProfile),
    Data(Vec<u8>),
    Closed,
}

struct Handshake {
    stream: SslStream<Datagrams>,
    active: bool,
    over: bool,
    closing: bool,
    news: VecDeque<News>,
    /// OpenSSL is asked then whether it wants to send something again.
    due: Instant,
}

/// After a panic the peer is dropped with all that is in here.
impl UnwindSafe for Handshake {}
impl RefUnwindSafe for Handshake {}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").field("active", &self.active).field("over", &self.over).finish_non_exhaustive()
    }
}

fn context(certificate: &DtlsCert) -> Result<SslContext, ErrorStack> {
    let mut context = SslContext::builder(SslMethod::dtls())?;
    context.set_min_proto_version(Some(SslVersion::DTLS1_2))?;
    context.set_cipher_list(CIPHERS)?;
    context.set_tlsext_use_srtp(PROFILES)?;
    // Signed by nobody: str0m compares the fingerprint with that of the offer (RFC 8827 §6.5).
    context.set_verify_callback(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT, |_, _| true);
    context.set_options(SslOptions::NO_QUERY_MTU | SslOptions::NO_RENEGOTIATION | SslOptions::NO_TICKET);
    context.set_session_cache_mode(SslSessionCacheMode::OFF);
    let (x509, key) = (X509::from_der(&certificate.certificate)?, PKey::private_key_from_der(&certificate.private_key)?);
    context.set_certificate(&x509)?;
    context.set_private_key(&key)?;
    context.check_private_key()?;
    Ok(context.build())
}

impl Handshake {
    fn new(certificate: &DtlsCert, now: Instant, mtu: usize) -> Result<Self, ErrorStack> {
        let mut ssl = Ssl::new(&*context(certificate)?)?;
        ssl.set_mtu(u32::try_from(mtu).unwrap_or(u32::MAX))?;
        let stream = SslStream::new(ssl, Datagrams::default())?;
        Ok(Handshake { stream, active: false, over: false, closing: false, news: VecDeque::new(), due: now })
    }

    /// Goes on until it waits for the peer.
    fn go_on(&mut self) -> Result<(), DtlsImplError> {
        if !self.over {
            match if self.active { self.stream.connect() } else { self.stream.accept() } {
                Ok(()) => self.finish()?,
                Err(error) if waits(&error) => return Ok(()),
                Err(error) => return Err(failed("handshake", &error)),
            }
        }
        let mut buffer = [0; RECORD_BYTES_MAX];
        loop {
            match self.stream.ssl_read(&mut buffer) {
                Ok(length) => self.news.push_back(News::Data(buffer[..length].to_vec())),
                Err(error) if waits(&error) => return Ok(()),
                Err(error) if error.code() == ErrorCode::ZERO_RETURN => {
                    if !self.closing {
                        self.shut();
                        self.news.push_back(News::Closed);
                    }
                    return Ok(());
                }
                Err(error) => return Err(failed("record", &error)),
            }
        }
    }

    fn finish(&mut self) -> Result<(), DtlsImplError> {
        let ssl = self.stream.ssl();
        let profile = ssl.selected_srtp_profile().and_then(|profile| match profile.id() {
            SrtpProfileId::SRTP_AEAD_AES_256_GCM => Some(SrtpProfile::AEAD_AES_256_GCM),
            SrtpProfileId::SRTP_AEAD_AES_128_GCM => Some(SrtpProfile::AEAD_AES_128_GCM),
            SrtpProfileId::SRTP_AES128_CM_SHA1_80 => Some(SrtpProfile::AES128_CM_SHA1_80),
            _ => None,
        });
        let certificate = ssl.peer_certificate().and_then(|certificate| certificate.to_der().ok());
        let (Some(profile), Some(certificate)) = (profile, certificate) else {
            debug!("a handshake without SRTP or without a certificate");
            return Err(DtlsImplError::ConnectionClosed);
        };
        let mut keys = vec![0; profile.keying_material_len()];
        ssl.export_keying_material(&mut keys, KEY_LABEL, None).map_err(|error| {
            debug!(%error, "no keys");
            DtlsImplError::ConnectionClosed
        })?;
        self.over = true;
        self.news.extend([News::PeerCert(certificate), News::Keys(keys, profile), News::Connected]);
        Ok(())
    }

    fn shut(&mut self) {
        self.closing = true;
        if self.over {
            let _ = self.stream.shutdown();
        }
    }
}

fn waits(error: &ssl::Error) -> bool {
    matches!(error.code(), ErrorCode::WANT_READ | ErrorCode::WANT_WRITE)
}

/// str0m ends the connection, whatever the reason; which it was is for whoever looks for it.
fn failed(what: &'static str, error: &ssl::Error) -> DtlsImplError {
    debug!(%error, what, "DTLS failed");
    DtlsImplError::ConnectionClosed
}

impl DtlsInstance for Handshake {
    fn set_active(&mut self, active: bool) {
        self.active = active;
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.stream.get_mut().incoming = Some(packet.to_vec());
        self.go_on()
    }

    fn poll_output<'a>(&mut self, buffer: &'a mut [u8]) -> DtlsOutput<'a> {
        let next = self.stream.get_ref().outgoing.front();
        let needed = match (next, self.news.front()) {
            (Some(packet), _) => packet.len(),
            (None, Some(News::PeerCert(bytes) | News::Data(bytes))) => bytes.len(),
            (None, Some(_)) => 0,
            (None, None) => return DtlsOutput::Timeout(if self.over { self.due + IDLE } else { self.due }),
        };
        if needed > buffer.len() {
            return DtlsOutput::BufferTooSmall { needed };
        }
        if let Some(packet) = self.stream.get_mut().outgoing.pop_front() {
            return DtlsOutput::Packet(filled(buffer, &packet));
        }
        match self.news.pop_front() {
            Some(News::PeerCert(der)) => DtlsOutput::PeerCert(filled(buffer, &der)),
            Some(News::Data(data)) => DtlsOutput::ApplicationData(filled(buffer, &data)),
            Some(News::Keys(keys, profile)) => DtlsOutput::KeyingMaterial(KeyingMaterial::new(&keys), profile),
            Some(News::Connected) => DtlsOutput::Connected,
            Some(News::Closed) | None => DtlsOutput::CloseNotify,
        }
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        if now < self.due {
            return Ok(());
        }
        self.due = now + ASK_EVERY;
        if self.over { Ok(()) } else { self.go_on() }
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        if self.closing {
            return Err(DtlsImplError::ConnectionClosed);
        }
        if !self.over || data.is_empty() {
            return Ok(0);
        }
        self.stream.ssl_write(data).map_err(|error| failed("write", &error))
    }

    fn is_active(&self) -> bool {
        self.active
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.over.then_some(ProtocolVersion::DTLS1_2)
    }

    fn is_closing(&self) -> bool {
        self.closing
    }

    fn is_closed(&self) -> bool {
        self.closing && self.stream.get_ref().outgoing.is_empty()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.shut();
        Ok(())
    }
}

fn filled<'a>(buffer: &'a mut [u8], bytes: &[u8]) -> &'a [u8] {
    let (used, _) = buffer.split_at_mut(bytes.len());
    used.copy_from_slice(bytes);
    used
}

#[cfg(test)]
mod tests {
    use super::*;
    use openssl::asn1::Asn1Time;
    use openssl::hash::MessageDigest;
    use openssl::rsa::Rsa;
    use openssl::x509::X509Name;

    fn rsa() -> DtlsCert {
        let key = PKey::from_rsa(Rsa::generate(2_048).expect("a key")).expect("a key");
        let mut name = X509Name::builder().expect("a name");
        name.append_entry_by_text("CN", "WebRTC").expect("a name");
        let name = name.build();
        let mut x509 = X509::builder().expect("a certificate");
        x509.set_subject_name(&name).expect("a name");
        x509.set_issuer_name(&name).expect("a name");
        x509.set_not_before(&Asn1Time::days_from_now(0).expect("today")).expect("a day");
        x509.set_not_after(&Asn1Time::days_from_now(9).expect("later")).expect("a day");
        x509.set_pubkey(&key).expect("a key");
        x509.sign(&key, MessageDigest::sha256()).expect("signed");
        DtlsCert { certificate: x509.build().to_der().expect("bytes"), private_key: key.private_key_to_der().expect("bytes") }
    }

    fn ecdsa() -> DtlsCert {
        str0m::crypto::from_feature_flags().dtls_provider.generate_certificate().expect("a certificate")
    }

    #[derive(Default)]
    struct Heard {
        peer: Vec<u8>,
        keys: Vec<u8>,
        connected: bool,
        data: Vec<u8>,
        closed: bool,
    }

    /// All that one has to say; its datagrams go to the other.
    fn drain(from: &mut dyn DtlsInstance, to: &mut dyn DtlsInstance, heard: &mut Heard) -> Result<usize, DtlsImplError> {
        let mut sent = 0;
        let mut buffer = [0; 2_048];
        loop {
            match from.poll_output(&mut buffer) {
                DtlsOutput::Packet(packet) => {
                    assert!(packet.len() <= MTU, "{}", packet.len());
                    sent += 1;
                    to.handle_packet(packet)?;
                }
                DtlsOutput::PeerCert(der) => heard.peer = der.to_vec(),
                DtlsOutput::KeyingMaterial(keys, _) => heard.keys = keys.to_vec(),
                DtlsOutput::Connected => heard.connected = true,
                DtlsOutput::ApplicationData(data) => heard.data = data.to_vec(),
                DtlsOutput::CloseNotify => heard.closed = true,
                DtlsOutput::Timeout(_) => return Ok(sent),
                other => panic!("{other:?}"),
            }
        }
    }

    fn meet(mut client: Box<dyn DtlsInstance>, mut server: Box<dyn DtlsInstance>, now: Instant) -> [Heard; 2] {
        let (mut of_client, mut of_server) = (Heard::default(), Heard::default());
        client.set_active(true);
        server.set_active(false);
        client.handle_timeout(now).expect("begins");
        server.handle_timeout(now).expect("begins");
        let mut round = |client: &mut Box<dyn DtlsInstance>, server: &mut Box<dyn DtlsInstance>| {
            let there = drain(&mut **client, &mut **server, &mut of_client).expect("goes on");
            there + drain(&mut **server, &mut **client, &mut of_server).expect("goes on")
        };
        while round(&mut client, &mut server) > 0 {}
        assert_eq!(client.send_application_data(b"hello").expect("sent"), 5);
        round(&mut client, &mut server);
        client.close().expect("closes");
        round(&mut client, &mut server);
        round(&mut client, &mut server);
        assert!(client.is_closed());
        [of_client, of_server]
    }

    #[test]
    fn a_client_with_an_rsa_certificate_is_taken_and_both_hold_the_same_keys() {
        let (now, theirs, ours) = (Instant::now(), rsa(), ecdsa());
        let client = Handshake::new(&theirs, now, MTU).expect("made");
        let server = ForeignDtls.new_dtls(&ours, now, DtlsVersion::Dtls12, None).expect("made");
        let [client, server] = meet(Box::new(client), server, now);
        assert!(client.connected && server.connected);
        assert_eq!((client.peer, server.peer), (ours.certificate, theirs.certificate));
        assert_eq!(client.keys, server.keys);
        assert_eq!(client.keys.len(), 2 * (32 + 12), "AES-256-GCM is the first choice");
        assert_eq!(server.data, b"hello");
        assert!(server.closed);
    }

    #[test]
    fn a_client_with_an_ecdsa_certificate_is_taken_as_before() {
        let (now, theirs, ours) = (Instant::now(), ecdsa(), ecdsa());
        let provider = str0m::crypto::from_feature_flags().dtls_provider;
        let client = provider.new_dtls(&theirs, now, DtlsVersion::Dtls12, None).expect("made");
        let server = ForeignDtls.new_dtls(&ours, now, DtlsVersion::Dtls12, None).expect("made");
        let [client, server] = meet(client, server, now);
        assert!(client.connected && server.connected);
        assert_eq!(server.peer, theirs.certificate);
        assert_eq!(client.keys, server.keys);
    }

    #[test]
    fn nonsense_ends_nothing_but_its_own_connection() {
        let now = Instant::now();
        let mut hello = Handshake::new(&rsa(), now, MTU).expect("made");
        hello.set_active(true);
        hello.handle_timeout(now).expect("begins");
        let first = hello.stream.get_mut().outgoing.pop_front().expect("a hello");
        for n in 0..first.len() {
            let mut server = ForeignDtls.new_dtls(&ecdsa(), now, DtlsVersion::Dtls12, None).expect("made");
            server.set_active(false);
            let mut broken = first.clone();
            broken[n] ^= 0xFF;
            let _ = server.handle_packet(&broken);
            let _ = server.handle_packet(&first[..n]);
            let _ = server.handle_packet(&[]);
            let mut buffer = [0; 2_048];
            for _ in 0..50 {
                if matches!(server.poll_output(&mut buffer), DtlsOutput::Timeout(_)) {
                    break;
                }
            }
        }
    }
}
