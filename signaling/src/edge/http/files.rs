//! The pages themselves, from the folder of the built web client.

use std::path::{Component, Path, PathBuf};

use axum::extract::State;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::{App, Problem};
use crate::texts::Code;

/// Files under here have a hash of their content in their name.
const HASHED: &str = "assets/";

pub(super) async fn serve(State(app): State<App>, method: Method, uri: Uri) -> Result<Response, Problem> {
    if method != Method::GET && method != Method::HEAD {
        return Err(Problem(Code::MethodNotAllowed));
    }
    let root = &app.web_root;
    let relative = relative(uri.path()).ok_or(Code::NotFound)?;
    let page = relative.extension().is_none();
    if !page {
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
