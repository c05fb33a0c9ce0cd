//! The ICE session of a WHIP or WHEP resource: which one a PATCH speaks of, and the offer that restarts it. Pure.
//! Source: RFC 9725 §4.3 (entity-tags), RFC 8840 §9 (`application/trickle-ice-sdpfrag`), RFC 8839 §4.4.1.1.1 (restart).

use crate::texts::Code;

/// Candidates taken from one PATCH. Policy: drop newest; a peer is found where its packets come from anyway.
const CANDIDATES_MAX: usize = 32;
/// RFC 8839 §5.4: a user fragment has 4 to 256 characters, a password 22 to 256.
const UFRAG: std::ops::RangeInclusive<usize> = 4..=256;
const PWD: std::ops::RangeInclusive<usize> = 22..=256;

/// What a client says in one PATCH.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fragment {
    ufrag: Option<String>,
    pwd: Option<String>,
    /// As in `candidate:…`, without `a=`.
    candidates: Vec<String>,
}

/// The `If-Match` of a PATCH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfMatch {
    Missing,
    Any,
    /// With their quotation marks.
    Tags(Vec<String>),
}

/// What a PATCH comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Patch {
    /// For the session that runs.
    Trickle(Vec<String>),
    /// The offer that restarts ICE; what its answer carries goes back as a fragment.
    Restart { offer: String, candidates: Vec<String> },
}

/// The session of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IceSession {
    offer: String,
    ufrag: String,
    generation: u32,
}

impl Fragment {
    /// Reads a fragment. Lines it has no use for are passed over; wrong credentials are `request.malformed`.
    pub fn parse(text: &str) -> Result<Fragment, Code> {
        let mut fragment = Fragment::default();
        for line in text.lines().map(str::trim) {
            if let Some(ufrag) = line.strip_prefix("a=ice-ufrag:") {
                fragment.ufrag.get_or_insert(credential(ufrag, UFRAG)?);
            } else if let Some(pwd) = line.strip_prefix("a=ice-pwd:") {
                fragment.pwd.get_or_insert(credential(pwd, PWD)?);
            } else if line.starts_with("a=candidate:") && fragment.candidates.len() < CANDIDATES_MAX {
                fragment.candidates.push(line["a=".len()..].to_owned());
            }
        }
        Ok(fragment)
    }
}

impl IfMatch {
    pub fn parse(value: Option<&str>) -> IfMatch {
        match value.map(str::trim) {
            None => IfMatch::Missing,
            Some("*") => IfMatch::Any,
            Some(tags) => IfMatch::Tags(tags.split(',').map(|tag| tag.trim().to_owned()).collect()),
        }
    }

    fn names(&self, tag: &str) -> Result<bool, Code> {
        match self {
            IfMatch::Missing => Err(Code::PreconditionMissing),
            IfMatch::Any => Ok(true),
            IfMatch::Tags(tags) => Ok(tags.iter().any(|t| t == tag)),
        }
    }
}

impl IceSession {
    pub fn new(offer: String) -> IceSession {
        let ufrag = value(&offer, "a=ice-ufrag:").unwrap_or_default().to_owned();
        IceSession { offer, ufrag, generation: 1 }
    }

    /// The entity-tag of this ICE session: another one after each restart.
    pub fn tag(&self) -> String {
        format!("\"ice-{}\"", self.generation)
    }

    /// What to do with a PATCH. A fragment with other credentials restarts; `*` names whatever session runs, for either.
    pub fn judge(&self, if_match: &IfMatch, fragment: Fragment) -> Result<Patch, Code> {
        if !if_match.names(&self.tag())? {
            return Err(Code::PreconditionFailed);
        }
        let Some(ufrag) = fragment.ufrag.filter(|ufrag| *ufrag != self.ufrag) else {
            return Ok(Patch::Trickle(fragment.candidates));
        };
        let pwd = fragment.pwd.ok_or(Code::RequestMalformed)?;
        let mut offer = String::with_capacity(self.offer.len());
        for line in self.offer.lines() {
            if line.starts_with("a=ice-ufrag:") {
                offer.push_str(&format!("a=ice-ufrag:{ufrag}\r\n"));
            } else if line.starts_with("a=ice-pwd:") {
                offer.push_str(&format!("a=ice-pwd:{pwd}\r\n"));
            } else if !line.starts_with("a=candidate:") && !line.starts_with("a=end-of-candidates") {
                offer.push_str(line.trim_end());
                offer.push_str("\r\n");
            }
        }
        Ok(Patch::Restart { offer, candidates: fragment.candidates })
    }

    /// The restart has been answered.
    pub fn handle_restarted(&mut self, offer: String) {
        let generation = self.generation + 1;
        *self = IceSession { generation, ..IceSession::new(offer) };
    }
}

/// What a restart's answer says of ICE, as a fragment.
pub fn fragment_of(answer: &str) -> String {
    let mut out = String::new();
    // RFC 9725 §4.3.3: with the same options as the answer had.
    for prefix in ["a=ice-lite", "a=ice-options:", "a=ice-pacing:", "a=ice-ufrag:", "a=ice-pwd:"] {
        if let Some(line) = answer.lines().find(|line| line.starts_with(prefix)) {
            out.push_str(line.trim_end());
            out.push_str("\r\n");
        }
    }
    let Some(media) = answer.find("\nm=").map(|at| &answer[at + 1..]) else { return out };
    let section = media[2..].find("\nm=").map_or(media, |end| &media[..end + 2]);
    for line in section.lines() {
        let told = ["m=", "a=mid:", "a=candidate:", "a=end-of-candidates"].iter().any(|prefix| line.starts_with(prefix));
        if told {
            out.push_str(line.trim_end());
            out.push_str("\r\n");
        }
    }
    out
}

fn value<'a>(sdp: &'a str, prefix: &str) -> Option<&'a str> {
    sdp.lines().find_map(|line| line.strip_prefix(prefix)).map(str::trim)
}

fn credential(text: &str, length: std::ops::RangeInclusive<usize>) -> Result<String, Code> {
    let ice_char = |b: u8| b.is_ascii_alphanumeric() || b == b'+' || b == b'/';
    if length.contains(&text.len()) && text.bytes().all(ice_char) { Ok(text.to_owned()) } else { Err(Code::RequestMalformed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "P2uYro0UCOQ4zxjKXaWCBui1";

    fn session() -> IceSession {
        let offer = "v=0\r\na=group:BUNDLE 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=ice-ufrag:EsAw\r\na=ice-pwd:";
        IceSession::new(format!("{offer}{PASSWORD}\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\n"))
    }

    fn fragment(ufrag: &str) -> Fragment {
        let text = format!(
            "a=ice-ufrag:{ufrag}\r\na=ice-pwd:{PASSWORD}\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n\
             a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0\r\na=end-of-candidates\r\n"
        );
        Fragment::parse(&text).expect("well formed")
    }

    #[test]
    fn candidates_go_to_the_session_named_and_to_no_other() {
        let session = session();
        let here = IfMatch::parse(Some("\"ice-1\""));
        let found = ["candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0".to_owned()];
        assert_eq!(session.judge(&here, fragment("EsAw")), Ok(Patch::Trickle(found.to_vec())));
        assert!(matches!(session.judge(&IfMatch::Any, fragment("EsAw")), Ok(Patch::Trickle(_))), "as some players do");
        assert_eq!(session.judge(&IfMatch::parse(None), fragment("EsAw")), Err(Code::PreconditionMissing));
        assert_eq!(session.judge(&IfMatch::parse(Some("\"ice-0\"")), fragment("EsAw")), Err(Code::PreconditionFailed));
    }

    #[test]
    fn other_credentials_restart_and_the_tag_changes() {
        let mut session = session();
        let Ok(Patch::Restart { offer, candidates }) = session.judge(&IfMatch::Any, fragment("NewOne")) else {
            panic!("a restart");
        };
        assert!(offer.contains("a=ice-ufrag:NewOne\r\n") && !offer.contains("EsAw") && !offer.contains("a=candidate"));
        assert_eq!(candidates.len(), 1);
        session.handle_restarted(offer);
        assert_eq!(session.tag(), "\"ice-2\"");
        let old = IfMatch::parse(Some("\"ice-1\""));
        assert_eq!(session.judge(&old, fragment("NewOne")), Err(Code::PreconditionFailed), "of the session before");
        assert!(matches!(session.judge(&IfMatch::Any, fragment("NewOne")), Ok(Patch::Trickle(_))));
    }

    #[test]
    fn credentials_that_no_ice_has_are_refused() {
        for text in ["a=ice-ufrag:abc", "a=ice-ufrag:ab cd", "a=ice-pwd:short", "a=ice-ufrag:abcd\u{e9}"] {
            assert_eq!(Fragment::parse(text), Err(Code::RequestMalformed), "{text}");
        }
        let without_pwd = Fragment::parse("a=ice-ufrag:abcd").expect("well formed");
        assert_eq!(session().judge(&IfMatch::Any, without_pwd), Err(Code::RequestMalformed));
    }

    #[test]
    fn a_restarts_answer_becomes_a_fragment() {
        let answer = "v=0\r\na=ice-lite\r\na=ice-options:trickle\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\na=ice-ufrag:abcd\r\na=ice-pwd:xyz\r\n\
                      a=candidate:1 1 udp 1 192.0.2.7 8444 typ host\r\na=end-of-candidates\r\nm=audio 9 x 1\r\na=mid:1\r\n";
        assert_eq!(
            fragment_of(answer),
            "a=ice-lite\r\na=ice-options:trickle\r\na=ice-ufrag:abcd\r\na=ice-pwd:xyz\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n\
             a=candidate:1 1 udp 1 192.0.2.7 8444 typ host\r\na=end-of-candidates\r\n"
        );
    }
}
