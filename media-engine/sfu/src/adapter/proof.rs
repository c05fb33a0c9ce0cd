//! Which packets prove who sent them. Anybody can write a peer's address on a datagram; only the peer can encrypt one. str0m does not say
//! of each packet whether it could be decrypted, so the ciphers that decrypt SRTP and SRTCP count it. Those that encrypt, which are
//! the many, are str0m's own and cost nothing more.

use std::cell::Cell;
use std::fmt::Debug;

use str0m::crypto::{
    AeadAes128GcmCipher, AeadAes256GcmCipher, Aes128CmSha1_80Cipher, CryptoError, SrtpProvider, SupportedAeadAes128Gcm,
    SupportedAeadAes256Gcm, SupportedAes128CmSha1_80,
};

thread_local! {
    /// A connection is turned by one thread at a time.
    static OPENED: Cell<u64> = const { Cell::new(0) };
}

/// Packets that this thread has found genuine so far.
pub(super) fn opened() -> u64 {
    OPENED.get()
}

/// str0m's own SRTP, which counts what it opens.
#[derive(Debug)]
pub(super) struct CountingSrtp;

fn own() -> &'static dyn SrtpProvider {
    str0m::crypto::from_feature_flags().srtp_provider
}

impl SrtpProvider for CountingSrtp {
    fn aes_128_cm_sha1_80(&self) -> &'static dyn SupportedAes128CmSha1_80 {
        &CountingSrtp
    }

    fn aead_aes_128_gcm(&self) -> &'static dyn SupportedAeadAes128Gcm {
        &CountingSrtp
    }

    fn aead_aes_256_gcm(&self) -> &'static dyn SupportedAeadAes256Gcm {
        &CountingSrtp
    }

    fn srtp_aes_128_ecb_round(&self, key: &[u8], input: &[u8], output: &mut [u8]) {
        own().srtp_aes_128_ecb_round(key, input, output);
    }

    fn srtp_aes_256_ecb_round(&self, key: &[u8], input: &[u8], output: &mut [u8]) {
        own().srtp_aes_256_ecb_round(key, input, output);
    }
}

impl SupportedAes128CmSha1_80 for CountingSrtp {
    fn create_cipher(&self, key: [u8; 16], encrypt: bool) -> Box<dyn Aes128CmSha1_80Cipher> {
        let cipher = own().aes_128_cm_sha1_80().create_cipher(key, encrypt);
        if encrypt { cipher } else { Box::new(Counting(cipher)) }
    }
}

impl SupportedAeadAes128Gcm for CountingSrtp {
    fn create_cipher(&self, key: [u8; 16], encrypt: bool) -> Box<dyn AeadAes128GcmCipher> {
        let cipher = own().aead_aes_128_gcm().create_cipher(key, encrypt);
        if encrypt { cipher } else { Box::new(Counting(cipher)) }
    }
}

impl SupportedAeadAes256Gcm for CountingSrtp {
    fn create_cipher(&self, key: [u8; 32], encrypt: bool) -> Box<dyn AeadAes256GcmCipher> {
        let cipher = own().aead_aes_256_gcm().create_cipher(key, encrypt);
        if encrypt { cipher } else { Box::new(Counting(cipher)) }
    }
}

#[derive(Debug)]
struct Counting<C: ?Sized + Debug>(Box<C>);

fn count<T>(opened: Result<T, CryptoError>) -> Result<T, CryptoError> {
    if opened.is_ok() {
        OPENED.set(OPENED.get().wrapping_add(1));
    }
    opened
}

/// str0m asks for this only after it has checked the tag (RFC 3711 §3.3).
impl Aes128CmSha1_80Cipher for Counting<dyn Aes128CmSha1_80Cipher> {
    fn encrypt(&mut self, iv: &[u8; 16], input: &[u8], output: &mut [u8]) -> Result<(), CryptoError> {
        self.0.encrypt(iv, input, output)
    }

    fn decrypt(&mut self, iv: &[u8; 16], input: &[u8], output: &mut [u8]) -> Result<(), CryptoError> {
        count(self.0.decrypt(iv, input, output))
    }
}

/// The cipher checks the tag itself (RFC 7714 §5.2.2).
impl AeadAes128GcmCipher for Counting<dyn AeadAes128GcmCipher> {
    fn encrypt(&mut self, iv: &[u8; 12], aad: &[u8], input: &[u8], output: &mut [u8]) -> Result<(), CryptoError> {
        self.0.encrypt(iv, aad, input, output)
    }

    fn decrypt(&mut self, iv: &[u8; 12], aads: &[&[u8]], input: &[u8], output: &mut [u8]) -> Result<usize, CryptoError> {
        count(self.0.decrypt(iv, aads, input, output))
    }
}

impl AeadAes256GcmCipher for Counting<dyn AeadAes256GcmCipher> {
    fn encrypt(&mut self, iv: &[u8; 12], aad: &[u8], input: &[u8], output: &mut [u8]) -> Result<(), CryptoError> {
        self.0.encrypt(iv, aad, input, output)
    }

    fn decrypt(&mut self, iv: &[u8; 12], aads: &[&[u8]], input: &[u8], output: &mut [u8]) -> Result<usize, CryptoError> {
        count(self.0.decrypt(iv, aads, input, output))
    }
}
