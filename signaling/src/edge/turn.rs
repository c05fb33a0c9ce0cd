//! TURN for networks that let no UDP out: which servers the pages are told of, with credentials that end by themselves.
//!
//! The relay (coturn with `use-auth-secret`) knows a secret, and so do we; nothing is said between us. A user name is the
//! second in which it expires and a pseudonym of the page in its case, its password the HMAC of that name. So the relay's quotas
//! and its log tell pages of two cases apart, and name neither case nor page. Source: draft-uberti-behave-turn-rest-00
//! §2.2.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use link::id::CaseId;

use crate::wire::IceServer;

/// A name that somebody took is worth something for so long, where nothing else is said; a page gets another at half of it.
pub const VALID: Duration = Duration::from_secs(3_600);
/// Of one that nobody gives another for: what a player or a camera was told when it came. A working day.
const VALID_UNRENEWED: Duration = Duration::from_secs(43_200);
/// A page asks its relay with a name of seconds ago; a working day is the longest that makes sense.
pub const VALID_RANGE: std::ops::RangeInclusive<u64> = 20..=86_400;
/// Of a pseudonym, in hexadecimal digits twice as many.
const PSEUDONYM_BYTES: usize = 8;
/// A secret shorter than this can be tried out.
const SECRET_BYTES_MIN: usize = 16;
const URLS_MAX: usize = 8;

/// What is needed to tell a page of the relay.
#[derive(Debug)]
pub struct Turn {
    urls: Vec<String>,
    key: hmac::Key,
    valid: Duration,
}

impl Turn {
    /// `urls` as in RFC 7065: `turn:host:3478`, `turns:host:443?transport=tcp`. Errors: sentences that say what to do.
    /// `valid`: how long a user name is worth something.
    pub fn open(urls: &[String], secret: Option<&Path>, valid: Duration) -> anyhow::Result<Option<Self>> {
        let Some(secret) = secret else {
            if urls.is_empty() {
                return Ok(None);
            }
            bail!("--turn needs --turn-secret: the file with the secret that the relay has as static-auth-secret");
        };
        if urls.is_empty() || urls.len() > URLS_MAX {
            bail!("--turn-secret needs 1 to {URLS_MAX} --turn URL, such as turns:turn.example.org:443?transport=tcp");
        }
        if let Some(wrong) = urls.iter().find(|url| !is_turn(url)) {
            bail!("--turn {wrong} is no address of a relay: write turn:HOST:PORT or turns:HOST:PORT?transport=tcp");
        }
        if !VALID_RANGE.contains(&valid.as_secs()) {
            bail!("--turn-valid takes {} to {} seconds", VALID_RANGE.start(), VALID_RANGE.end());
        }
        let text = std::fs::read_to_string(secret)
            .with_context(|| format!("the relay's secret {} cannot be read: correct --turn-secret", secret.display()))?;
        let text = text.trim();
        if text.len() < SECRET_BYTES_MIN {
            bail!("the relay's secret in {} is shorter than {SECRET_BYTES_MIN} characters: make a longer one", secret.display());
        }
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
        Ok(Some(Turn { urls: urls.to_vec(), key, valid }))
    }

    /// How long after one name a page is to have the next.
    pub fn renew_after(&self) -> Duration {
        self.valid / 2
    }

    /// For one page, from now on. `number`: its own in the case.
    pub fn server(&self, now_unix_s: u64, case: &CaseId, number: u64) -> IceServer {
        self.named(now_unix_s.saturating_add(self.valid.as_secs()), case, number)
    }

    /// For one player or camera, which is given no other: for 12 h, or until its token ends.
    pub fn server_unrenewed(&self, now_unix_s: u64, case: &CaseId, number: u64, token_ends_unix_s: u64) -> IceServer {
        self.named(now_unix_s.saturating_add(VALID_UNRENEWED.as_secs()).min(token_ends_unix_s), case, number)
    }

    fn named(&self, ends_unix_s: u64, case: &CaseId, number: u64) -> IceServer {
        // A user name begins with a digit: what is signed here is no password of any.
        let pseudonym = hmac::sign(&self.key, format!("who:{case}:{number}").as_bytes());
        let digits = |out: String, byte: &u8| out + &format!("{byte:02x}");
        let username = format!("{ends_unix_s}:{}", pseudonym.as_ref()[..PSEUDONYM_BYTES].iter().fold(String::new(), digits));
        let credential = STANDARD.encode(hmac::sign(&self.key, username.as_bytes()));
        IceServer { urls: self.urls.clone(), username, credential }
    }
}

/// For WHIP and WHEP clients: one Link header a URL. Source: RFC 9725 §4.6.
pub fn links(server: &IceServer) -> impl Iterator<Item = String> {
    // Neither a name of hexadecimal digits nor base64 nor an address that `is_turn` let through needs escaping.
    server.urls.iter().map(|url| {
        let (username, credential) = (&server.username, &server.credential);
        format!("<{url}>; rel=\"ice-server\"; username=\"{username}\"; credential=\"{credential}\"; credential-type=\"password\"")
    })
}

fn is_turn(url: &str) -> bool {
    let rest = url.strip_prefix("turn:").or_else(|| url.strip_prefix("turns:"));
    rest.is_some_and(|rest| {
        let (host, query) = rest.split_once('?').map_or((rest, None), |(host, query)| (host, Some(query)));
        let plain = host.chars().all(|c| c.is_ascii_alphanumeric() || ".-:[]".contains(c));
        !host.is_empty() && plain && query.is_none_or(|q| matches!(q, "transport=udp" | "transport=tcp"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(urls: &[&str], secret: &str) -> anyhow::Result<Option<Turn>> {
        let file = std::env::temp_dir().join(format!("turn-secret-{}-{}", std::process::id(), secret.len()));
        std::fs::write(&file, secret).expect("a temporary file");
        let urls: Vec<String> = urls.iter().map(|u| (*u).to_owned()).collect();
        let opened = Turn::open(&urls, Some(&file), VALID);
        let _ = std::fs::remove_file(file);
        opened
    }

    fn case(name: &str) -> CaseId {
        CaseId::parse(name).expect("an id")
    }

    #[test]
    fn a_page_gets_a_name_that_expires_and_the_password_that_coturn_computes() {
        let turn = turn(&["turns:relay.example.org:443?transport=tcp"], "0123456789abcdef\n").expect("sound").expect("there");
        let server = turn.server(1_790_000_000, &case("demo"), 7);
        // printf who:demo:7 | openssl dgst -sha1 -hmac 0123456789abcdef | tail -c 41 | cut -c 1-16
        assert_eq!(server.username, "1790003600:c6822b9acd08fb59");
        // printf 1790003600:c6822b9acd08fb59 | openssl dgst -sha1 -hmac 0123456789abcdef -binary | base64
        assert_eq!(server.credential, "Vp/KnjSm4qr0lIPwuJLIDjBxkIg=");
        // Nobody is named, nobody has two names, and the same number in another case is somebody else.
        assert_eq!(turn.server(1_790_000_000, &case("demo"), 7), server);
        for (name, number) in [("demo-2", 7), ("demo", 8)] {
            let other = turn.server(1_790_000_000, &case(name), number);
            assert_ne!((other.username, other.credential), (server.username.clone(), server.credential.clone()));
        }
        assert_eq!(server.urls, ["turns:relay.example.org:443?transport=tcp"]);
        let link = links(&server).next().expect("one a URL");
        assert!(
            link.starts_with(
                "<turns:relay.example.org:443?transport=tcp>; rel=\"ice-server\"; username=\"1790003600:c6822b9acd08fb59\""
            ),
            "{link}"
        );
    }

    #[test]
    fn sg45_a_player_or_camera_gets_a_name_for_as_long_as_it_may_be_there() {
        let turn = turn(&["turn:relay.example.org:3478"], "0123456789abcdefgh").expect("sound").expect("there");
        let ends = |token_ends| {
            let name = turn.server_unrenewed(1_790_000_000, &case("demo"), 7, token_ends).username;
            name.split(':').next().expect("a second").to_owned()
        };
        assert_eq!(ends(1_790_000_000 + 86_400), "1790043200", "12 h");
        assert_eq!(ends(1_790_000_600), "1790000600", "with its token");
    }

    #[test]
    fn what_is_missing_or_wrong_is_said() {
        assert!(Turn::open(&[], None, VALID).expect("nothing wanted").is_none());
        for (urls, secret, said) in [
            (&["https://relay.example.org"][..], "0123456789abcdef", "is no address of a relay"),
            (&["turn:relay.example.org:3478?transport=sctp"], "0123456789abcdef", "is no address of a relay"),
            (&["turn:relay.example.org:3478"], "short", "shorter than 16"),
            (&[], "0123456789abcdefg", "needs 1 to 8 --turn"),
        ] {
            let fault = turn(urls, secret).expect_err("wrong").to_string();
            assert!(fault.contains(said), "{fault}");
        }
        let day = Duration::from_secs(2 * 86_400);
        assert!(
            Turn::open(&["turn:a".to_owned()], Some(Path::new("no-such")), day)
                .expect_err("long")
                .to_string()
                .contains("--turn-valid")
        );
        assert!(Turn::open(&["turn:a".to_owned()], None, VALID).expect_err("no secret").to_string().contains("--turn-secret"));
    }
}
