//! The pages themselves, from the folder of the built web client.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::{App, Problem};
use crate::texts::Code;

/// Files under here have a hash of their content in their name.
const HASHED: &str = "assets/";
/// What the build leaves beside a file, made smaller once and for all: name of the coding (RFC 9110 §8.4.1) and ending, best first.
const CODINGS: [(&str, &str); 2] = [("br", "br"), ("gzip", "gz")];

pub(super) async fn serve(State(app): State<App>, method: Method, uri: Uri, asked: HeaderMap) -> Result<Response, Problem> {
    if method != Method::GET && method != Method::HEAD {
        return Err(Problem(Code::MethodNotAllowed));
    }
    let root = &app.web_root;
    let relative = relative(uri.path()).ok_or(Code::NotFound)?;
    let page = relative.extension().is_none();
    if !page {
        for (coding, ending) in CODINGS {
            if !relative.starts_with(HASHED) || !takes(&asked, coding) {
                continue;
            }
            let mut smaller = root.join(&relative).into_os_string();
            smaller.extend([".", ending].map(OsStr::new));
            if let Ok(bytes) = tokio::fs::read(&smaller).await {
                let mut answer = answer(&relative, bytes);
                answer.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
                answer.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
                return Ok(answer);
            }
        }
        return match tokio::fs::read(root.join(&relative)).await {
            Ok(bytes) => Ok(answer(&relative, bytes)),
            Err(_) => Err(Problem(Code::NotFound)),
        };
    }
    // Every address without an ending is a page of the one application.
    let index = Path::new("index.html");
    let bytes = tokio::fs::read(root.join(index)).await.map_err(|_| Code::WebMissing)?;
    Ok(answer(index, bytes))
}

/// Whether whoever asks names this coding, and does not rule it out. Source: RFC 9110 §12.5.3.
fn takes(asked: &HeaderMap, coding: &str) -> bool {
    let named = asked.get_all(header::ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    named.flat_map(|value| value.split(',')).any(|one| {
        let mut parts = one.split(';').map(str::trim);
        let name = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(coding));
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Ok(1.0), str::parse::<f32>);
        name && weight.is_ok_and(|weight| weight > 0.0)
    })
}

/// A path inside the folder, or nothing: no `..`, no hidden file, nothing that needs decoding, no source map: these are for
/// whoever builds the pages.
fn relative(path: &str) -> Option<PathBuf> {
    let path = path.strip_prefix('/')?;
    let plain = path.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_' | b'.'));
    let path = PathBuf::from(path);
    let inside = path.components().all(|part| match part {
        Component::Normal(name) => !name.as_encoded_bytes().starts_with(b"."),
        _ => false,
    });
    let map = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("map"));
    (plain && inside && !map).then_some(path)
}

fn answer(path: &Path, bytes: Vec<u8>) -> Response {
    let cache = if path.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-store" };
    let headers = [(header::CONTENT_TYPE, media_type(path)), (header::CACHE_CONTROL, cache)];
    (StatusCode::OK, headers, bytes).into_response()
}

fn media_type(path: &Path) -> &'static str {
    match path.extension().and_then(|ending| ending.to_str()).unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coding_is_used_where_it_is_named() {
        let takes = |value: &'static str, coding| {
            takes(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))]), coding)
        };
        assert!(takes("gzip, deflate, br, zstd", "br") && takes("gzip, deflate, br, zstd", "gzip"));
        assert!(takes("GZIP;q=0.5, *;q=0", "gzip") && !takes("gzip, identity", "br") && !takes("", "br"));
        assert!(!takes("br;q=0, gzip", "br") && !takes("br; q=0.000", "br") && !takes("br;q=x", "br"));
    }

    #[test]
    fn nothing_outside_the_folder_is_served() {
        assert_eq!(relative("/assets/main-1a2b.js"), Some(PathBuf::from("assets/main-1a2b.js")));
        assert_eq!(relative("/"), Some(PathBuf::new()));
        for path in [
            "/../secret",
            "/a/../../b",
            "/.git/config",
            "/%2e%2e/x",
            "//etc/passwd",
            "/a\\b",
            "relative",
            "/a/./.ssh",
            "/assets/main-1a2b.js.map",
        ] {
            assert_eq!(relative(path), None, "{path}");
        }
    }
}
