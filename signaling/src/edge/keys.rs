//! Signatures under tokens and resume keys: Ed25519, the key kept in the data directory.
//!
//! A token is base64url(claims ‖ signature). Each kind of signed thing has a prefix of its own under the signature, so
//! that one never passes for another.

use annotation::id::{Author, Epoch};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use link::id::CaseId;

use crate::claims::{Claims, TOKEN_ID_BYTES, TokenId};

const TOKEN_PREFIX: &[u8] = b"shirube token 1\0";
const RESUME_PREFIX: &[u8] = b"shirube resume 1\0";
const SIGNATURE_BYTES: usize = 64;
/// Longest token text looked at: 254 feeds of 32 characters stay well under it.
const TOKEN_TEXT_MAX: usize = 16 * 1024;

/// The machine has no randomness, or the stored key is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFault {
    #[error("the stored signing key is not an Ed25519 key")]
    NotAKey,
    #[error("the system gives no random numbers")]
    NoRandomness,
}

/// A text that is not a token of this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a token of this server")]
pub struct BadToken;

/// What a page shows to go on after a break as the same page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    pub case: CaseId,
    pub author: Author,
    pub epoch: Epoch,
}

/// Signs and verifies.
pub struct Keys {
    pair: Ed25519KeyPair,
    random: SystemRandom,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(…)")
    }
}

impl Keys {
    /// A new key, as PKCS #8, to be kept.
    pub fn generate() -> Result<Vec<u8>, KeyFault> {
        let random = SystemRandom::new();
        Ed25519KeyPair::generate_pkcs8(&random).map(|doc| doc.as_ref().to_vec()).map_err(|_| KeyFault::NoRandomness)
    }

    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, KeyFault> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| KeyFault::NotAKey)?;
        Ok(Keys { pair, random: SystemRandom::new() })
    }

    pub fn random<const N: usize>(&self) -> Result<[u8; N], KeyFault> {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes).map_err(|_| KeyFault::NoRandomness)?;
        Ok(bytes)
    }

    pub fn token_id(&self) -> Result<TokenId, KeyFault> {
        self.random::<TOKEN_ID_BYTES>().map(TokenId)
    }

    pub fn sign_token(&self, claims: &Claims) -> String {
        self.seal(TOKEN_PREFIX, claims.encode())
    }

    /// The claims of a token that this server signed. Says nothing of expiry: that is `authorize`'s.
    pub fn open_token(&self, text: &str) -> Result<Claims, BadToken> {
        let body = self.open(TOKEN_PREFIX, text)?;
        Claims::decode(&body).map_err(|_| BadToken)
    }

    pub fn sign_resume(&self, resume: &Resume) -> String {
        let mut body = Vec::with_capacity(40);
        body.extend_from_slice(&resume.author.0.to_be_bytes());
        body.extend_from_slice(&resume.epoch.0.to_be_bytes());
        body.extend_from_slice(resume.case.as_str().as_bytes());
        self.seal(RESUME_PREFIX, body)
    }

    pub fn open_resume(&self, text: &str) -> Result<Resume, BadToken> {
        let body = self.open(RESUME_PREFIX, text)?;
        let (author, rest) = body.split_first_chunk::<4>().ok_or(BadToken)?;
        let (epoch, case) = rest.split_first_chunk::<4>().ok_or(BadToken)?;
        let case = std::str::from_utf8(case).ok().and_then(|text| CaseId::parse(text).ok()).ok_or(BadToken)?;
        Ok(Resume { case, author: Author(u32::from_be_bytes(*author)), epoch: Epoch(u32::from_be_bytes(*epoch)) })
    }

    fn seal(&self, prefix: &[u8], mut body: Vec<u8>) -> String {
        let signature = self.pair.sign(&[prefix, &body].concat());
        body.extend_from_slice(signature.as_ref());
        URL_SAFE_NO_PAD.encode(body)
    }

    fn open(&self, prefix: &[u8], text: &str) -> Result<Vec<u8>, BadToken> {
        if text.len() > TOKEN_TEXT_MAX {
            return Err(BadToken);
        }
        let mut bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadToken)?;
        let cut = bytes.len().checked_sub(SIGNATURE_BYTES).ok_or(BadToken)?;
        let signature = bytes.split_off(cut);
        let public = UnparsedPublicKey::new(&ED25519, self.pair.public_key());
        public.verify(&[prefix, &bytes].concat(), &signature).map_err(|_| BadToken)?;
        Ok(bytes)
    }
}

/// Whose token this says it is, without looking at the signature: good for withdrawing, which opens nothing.
pub fn unsigned_token_id(text: &str) -> Option<TokenId> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok().filter(|_| text.len() <= TOKEN_TEXT_MAX)?;
    let claims = bytes.get(..bytes.len().checked_sub(SIGNATURE_BYTES)?)?;
    Claims::decode(claims).ok().map(|claims| claims.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::{FeedScope, PersonKey, Role};

    fn keys() -> Keys {
        Keys::from_pkcs8(&Keys::generate().expect("random")).expect("a key")
    }

    fn claims(keys: &Keys) -> Claims {
        Claims {
            id: keys.token_id().expect("random"),
            case: CaseId::parse("demo").expect("an id"),
            person: PersonKey::parse("mentor").expect("an id"),
            role: Role::Mentor,
            feeds: FeedScope::All,
            expires_unix_s: 1_790_000_000,
        }
    }

    #[test]
    fn sg1_a_token_opens_with_the_key_that_signed_it_and_with_no_other() {
        let keys = keys();
        let claims = claims(&keys);
        let token = keys.sign_token(&claims);
        assert_eq!(unsigned_token_id(&token), Some(claims.id));
        assert_eq!(keys.open_token(&token), Ok(claims));
        let other = self::keys();
        assert_eq!(other.open_token(&token), Err(BadToken));
    }

    #[test]
    fn sg1_a_token_with_any_bit_changed_is_refused() {
        let keys = keys();
        let token = keys.sign_token(&claims(&keys));
        let bytes = URL_SAFE_NO_PAD.decode(&token).expect("our own");
        for i in 0..bytes.len() {
            let mut bent = bytes.clone();
            bent[i] ^= 0x10;
            assert_eq!(keys.open_token(&URL_SAFE_NO_PAD.encode(bent)), Err(BadToken), "byte {i}");
        }
        for cut in 0..token.len() {
            assert_eq!(keys.open_token(&token[..cut]), Err(BadToken), "cut at {cut}");
        }
    }

    #[test]
    fn sg1_a_resume_key_is_no_token_and_a_token_no_resume_key() {
        let keys = keys();
        let resume = Resume { case: CaseId::parse("demo").expect("an id"), author: Author(2), epoch: Epoch(7) };
        let text = keys.sign_resume(&resume);
        assert_eq!(keys.open_resume(&text), Ok(resume));
        assert_eq!(keys.open_token(&text), Err(BadToken));
        assert_eq!(keys.open_resume(&keys.sign_token(&claims(&keys))), Err(BadToken));
    }
}
