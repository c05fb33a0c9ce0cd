//! From a link to a cookie. The cookie is named after the token's id, so that two people's pages can stand side by side
//! in one browser; a page names its id in every request.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tracing::info;

use super::{App, Problem, bearer, from_own_page};
use crate::authorize::Action;
use crate::claims::{Claims, TokenId};
use crate::edge::case_actor::CaseInput;
use crate::texts::Code;

#[derive(Deserialize)]
struct Ask {
    token: String,
}

/// Of a page: the id that it holds.
#[derive(Debug, Deserialize)]
pub(super) struct Named {
    pub(super) id: Option<String>,
}

#[derive(Serialize)]
struct Answer {
    id: String,
    role: &'static str,
    case: String,
}

pub(super) async fn open(
    State(app): State<App>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    if !from_own_page(&headers) {
        return Err(Problem(Code::OriginRefused));
    }
    let body = body.map_err(|fault| Problem(body_fault(&fault)))?;
    let ask: Ask = serde_json::from_slice(&body).map_err(|_| Code::RequestMalformed)?;
    let (claims, _) = app.admit(&ask.token, &Action::SignIn).await?;
    app.audit_entry(&claims, "sign-in")?;
    info!(case = %claims.case, role = %claims.role, token = %claims.id, "signed in");
    let left = claims.expires_unix_s.saturating_sub(app.timeline.now().to_unix().as_secs());
    let cookie =
        format!("{}={}; Max-Age={left}; Path=/; HttpOnly; Secure; SameSite=Strict", cookie_name(claims.id), ask.token.trim());
    let answer = Answer { id: claims.id.to_string(), role: claims.role.as_str(), case: claims.case.to_string() };
    let text = serde_json::to_string(&answer).map_err(|_| Code::ServerFault)?;
    let headers = [(header::CONTENT_TYPE, "application/json".to_owned()), (header::SET_COOKIE, cookie)];
    Ok((StatusCode::OK, headers, text).into_response())
}

pub(super) fn cookie_name(id: TokenId) -> String {
    format!("s_{id}")
}

/// What stands in cookies that may be tokens.
pub(super) fn tokens_of_cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(key, _)| key.starts_with("s_")).map(|(_, value)| value)
}

/// The token in the cookie of this id.
pub(super) fn token_of_cookie(headers: &HeaderMap, id: TokenId) -> Option<&str> {
    let name = cookie_name(id);
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value))
}

/// Whose request it is: of the page that names this id and has its cookie, or without a name of who shows a token.
pub(super) fn claims_of_page(app: &App, headers: &HeaderMap, id: Option<&str>) -> Result<Claims, Code> {
    let Some(id) = id else {
        return app.keys.open_token(bearer(headers)?).map_err(|_| Code::LinkInvalid);
    };
    let id = TokenId::parse(id).ok_or(Code::SessionMissing)?;
    let token = token_of_cookie(headers, id).ok_or(Code::SessionMissing)?;
    // The cookie's name is the browser's word; the id inside the token is ours.
    app.keys.open_token(token).ok().filter(|claims| claims.id == id).ok_or(Code::LinkInvalid)
}

/// The room's page, after its case has ended: opens it again. No answer has a body.
pub(super) async fn reopen(
    State(app): State<App>,
    named: Result<Query<Named>, QueryRejection>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    if !from_own_page(&headers) {
        return Err(Problem(Code::OriginRefused));
    }
    let Query(named) = named.map_err(|_| Code::RequestMalformed)?;
    let claims = claims_of_page(&app, &headers, named.id.as_deref())?;
    let case = claims.case.clone();
    let (claims, handle) = app.admit_to(claims, &case, &Action::Reopen).await?;
    let (reply, answer) = oneshot::channel();
    handle.inputs.send(CaseInput::Reopen { claims, reply }).await.map_err(|_| Code::ServerStopping)?;
    answer.await.map_err(|_| Code::ServerFault)??;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) fn body_fault(fault: &BytesRejection) -> Code {
    if fault.status() == StatusCode::PAYLOAD_TOO_LARGE { Code::RequestTooLarge } else { Code::RequestMalformed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::TOKEN_ID_BYTES;

    #[test]
    fn the_cookie_of_one_page_is_found_among_those_of_others() {
        let (mine, other) = (TokenId([1; TOKEN_ID_BYTES]), TokenId([2; TOKEN_ID_BYTES]));
        let mut headers = HeaderMap::new();
        let value = format!("{}=abc; {}=def", cookie_name(other), cookie_name(mine));
        headers.insert(header::COOKIE, value.parse().expect("a value"));
        assert_eq!(token_of_cookie(&headers, mine), Some("def"));
        assert_eq!(token_of_cookie(&headers, TokenId([3; TOKEN_ID_BYTES])), None);
    }
}
