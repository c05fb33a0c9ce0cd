//! The catalogue of what the server says to people: a stable code, and one sentence each in Japanese and English.
//! *What happened, what it means now, the next step.* Codes are never renamed; sentences may be. Listed in `README.md`.

use std::fmt;

use crate::wire::Refused;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $ja:literal, $en:literal;)*) => {
        /// Every code the server can answer with.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $code,)* }
            }

            pub fn ja(self) -> &'static str {
                match self { $(Code::$name => $ja,)* }
            }

            pub fn en(self) -> &'static str {
                match self { $(Code::$name => $en,)* }
            }
        }
    };
}

codes! {
    LinkExpired = "auth.link.expired",
        "このリンクは期限が切れています。入室できません。症例の担当者に新しいリンクを依頼してください。",
        "This link has expired. It no longer opens the case. Ask the person in charge of the case for a new one.";
    LinkInvalid = "auth.link.invalid",
        "このリンクは正しくありません。途中で切れているか、別のサーバのものです。リンク全体をもう一度開いてください。",
        "This link is not valid. It may be cut short or belong to another server. Open the whole link again.";
    LinkRevoked = "auth.link.revoked",
        "このリンクは取り消されました。症例の担当者に確認してください。",
        "This link has been withdrawn. Ask the person in charge of the case.";
    LinkOtherCase = "auth.link.other-case",
        "このリンクは別の症例のものです。この症例には入れません。この症例のリンクを開いてください。",
        "This link belongs to another case. It does not open this one. Open the link of this case.";
    SessionMissing = "auth.session.missing",
        "サインインが確認できません。リンクをもう一度開いてください。",
        "You are not signed in here. Open your link again.";
    OriginRefused = "auth.origin.refused",
        "この接続は別のサイトから開かれたため、受け付けません。リンクを直接開いてください。",
        "This connection was opened from another site and is not accepted. Open your link directly.";
    DeniedRole = "denied.role",
        "あなたの役割ではこの操作はできません。必要な場合は手術室に依頼してください。",
        "Your role does not allow this. If it is needed, ask the operating room.";
    DeniedFeed = "denied.feed",
        "この映像を見る権限がありません。必要な場合は手術室に依頼してください。",
        "You may not see this picture. If it is needed, ask the operating room.";
    CaseUnknown = "case.unknown",
        "この症例は見つかりません。リンクを確認してください。",
        "There is no such case here. Check the link.";
    CaseEnded = "case.ended",
        "この症例は終了しました。映像と音声は閉じられています。",
        "This case has ended. Pictures and voice are closed.";
    CaseFull = "case.full",
        "この症例は接続数の上限に達しています。使っていない画面を閉じてから、もう一度開いてください。",
        "This case has as many connections as it takes. Close pages that are not in use, then open this one again.";
    VersionUnsupported = "version.unsupported",
        "この画面の版はサーバの版と合いません。ページを再読み込みしてください。",
        "This page's version does not match the server's. Reload the page.";
    MessageMalformed = "message.malformed",
        "読み取れない通信を受けたため、接続を閉じました。ページを再読み込みしてください。",
        "The server could not read what this page sent, and closed the connection. Reload the page.";
    PageSlow = "page.slow",
        "この画面の受信が追いつかないため、接続を閉じました。自動で接続し直します。",
        "This page could not keep up, and its connection was closed. It connects again by itself.";
    PageSilent = "page.silent",
        "この画面からの応答が途絶えたため、接続を閉じました。自動で接続し直します。",
        "Nothing was heard from this page, and its connection was closed. It connects again by itself.";
    PageReplaced = "page.replaced",
        "この画面は別の接続で開き直されました。こちらの接続は閉じられています。",
        "This page was opened again on another connection. This connection is closed.";
    ServerStopping = "server.stopping",
        "サーバを停止しています。再開後、自動で接続し直します。お急ぎの場合は電話してください。",
        "The server is stopping. This page connects again by itself afterwards. If urgent, telephone.";
    ServerBusy = "server.busy",
        "サーバが混み合っています。少し待ってから、もう一度お試しください。",
        "The server is busy. Wait a moment and try again.";
    ServerFault = "server.fault",
        "サーバで問題が起きました。もう一度お試しください。続く場合はシステムベンダに連絡してください。",
        "Something went wrong in the server. Try again. If it goes on, tell the system vendor.";
    RequestMalformed = "request.malformed",
        "要求の形式が正しくありません。",
        "The request is not well formed.";
    RequestMediaType = "request.media-type",
        "要求の内容の種類（Content-Type）が違います。接続の要求は application/sdp、続きは application/trickle-ice-sdpfrag で送ってください。",
        "The request's Content-Type is not the right one. Send an offer as application/sdp, and what follows as application/trickle-ice-sdpfrag.";
    PreconditionMissing = "request.precondition.missing",
        "どの接続への要求かが示されていません。If-Match に ETag の値を入れてください。",
        "The request does not say which session it is for. Put the value of ETag into If-Match.";
    PreconditionFailed = "request.precondition.failed",
        "この要求は、もう続いていない接続へのものです。接続し直してください。",
        "The request is for a session that no longer runs. Connect again.";
    RequestTooLarge = "request.too-large",
        "要求が大きすぎます。",
        "The request is too large.";
    RequestTimeout = "request.timeout",
        "時間内に要求が届きませんでした。もう一度お試しください。",
        "The request did not arrive in time. Try again.";
    RequestTooOften = "request.too-often",
        "要求が多すぎます。少し待ってから、もう一度お試しください。",
        "There are too many requests. Wait a moment and try again.";
    StoreFull = "store.full",
        "サーバの保存領域がいっぱいです。書き込みは表示されますが、まだ保存されていません。空きができると自動で保存します。システムベンダに連絡してください。",
        "The server's disk is full. Ink is shown but not kept yet; it is kept by itself once there is room. Tell the system vendor.";
    StoreFailing = "store.failing",
        "サーバが保存できない状態です。書き込みは表示されますが、まだ保存されていません。自動で再試行します。システムベンダに連絡してください。",
        "The server cannot keep anything at present. Ink is shown but not kept yet; it goes on trying. Tell the system vendor.";
    NotFound = "request.not-found",
        "見つかりません。アドレスを確認してください。",
        "There is nothing at this address. Check it.";
    MethodNotAllowed = "request.method",
        "このアドレスではこの操作はできません。",
        "This address does not take that method.";
    WebMissing = "web.missing",
        "画面のファイルが見つかりません。サーバの設定を確認してください。",
        "The files of the pages are missing. Check how the server is installed.";
    MediaOffer = "media.offer.invalid",
        "映像・音声の接続要求を受け付けられません。対応しているブラウザで開いてください。",
        "The request for pictures and voice is not acceptable. Use a supported browser.";
    MediaUnsupported = "media.unsupported",
        "この種類の映像接続にはまだ対応していません。",
        "This kind of media connection is not supported yet.";
    MediaFull = "media.full",
        "映像の接続数が上限に達しています。使っていない画面を閉じてください。",
        "There are as many media connections as the server takes. Close pages that are not in use.";
    MediaBusy = "media.busy",
        "映像の処理が混み合っています。自動でもう一度試みます。",
        "The media part of the server is busy. The page tries again by itself.";
    MediaStopped = "media.stopped",
        "映像と音声の処理が止まっています。電話に切り替え、システムベンダに連絡してください。",
        "Pictures and voice have stopped in the server. Use the telephone and tell the system vendor.";
    MediaMismatch = "media.mismatch",
        "映像の接続が合いません。ページを再読み込みしてください。",
        "The media connection does not match. Reload the page.";
    MediaUnknown = "media.unknown",
        "この映像接続はもうありません。",
        "This media connection is no longer there.";
    FeedUnknown = "feed.unknown",
        "この映像はこの症例にありません。",
        "This case has no such picture.";
    FeedTaken = "feed.taken",
        "この名前の映像はすでにあります。別の名前で送ってください。",
        "There is a picture of this name already. Publish under another name.";
    FeedCovered = "feed.covered",
        "手術室がプライバシー保護中です。この映像は、手術室が解除するまで見られません。",
        "The room has drawn the privacy curtain. This picture is back when the room lifts it.";
    FeedMasked = "feed.masked",
        "このカメラの映像には隠す部分があるため、単独では見られません。合成映像をご覧ください。",
        "Part of this camera's picture is masked, so it is not given alone. Watch the program.";
    CameraNotAllowed = "ptz.not-allowed",
        "手術室がカメラ操作を許可していません。必要な場合は手術室に依頼してください。",
        "The room does not let its camera be turned. If it is needed, ask the operating room.";
    CameraTaken = "ptz.taken",
        "ほかの人がカメラを操作しています。終わるまで待ってください。",
        "Somebody else is turning the camera. Wait until they have finished.";
    CameraCovered = "ptz.covered",
        "プライバシー保護中のため、カメラは操作できません。手術室が解除するまで待ってください。",
        "The privacy curtain is drawn, and the camera stands still. Wait until the room lifts it.";
    LayerUnknown = "layer.unknown",
        "この映像にその画質はありません。high、mid、low、auto のうち、あるものを選んでください。",
        "This picture has no such layer. Choose one that it has of high, mid, low, or auto.";
    StillUnknown = "still.unknown",
        "この静止画はもうありません。画面を静止し直してください。",
        "This still is no longer there. Freeze the picture again.";
    InkOtherCase = "ink.other-case",
        "このペンは別の手術室につながっています。書き込みは届いていません。使う手術室でペンを取り直してください。",
        "This pen is bound to another room. What it drew did not arrive. Take the pen again in the room you mean.";
    InkTooFast = "ink.too-fast",
        "書き込みが多すぎるため、一部を待たせています。自動で送られます。",
        "There is more ink than can be taken at once. The rest waits and is sent by itself.";
    InkMalformed = "ink.malformed",
        "この画面の書き込みを読み取れません。書き込みは届いていません。ページを再読み込みしてください。",
        "The server cannot read this page's ink, and it does not arrive. Reload the page.";
}

impl Code {
    /// As a message on the socket. `last`: the page shall not try again by itself.
    pub fn refused(self, last: bool) -> Refused {
        Refused { code: self.as_str().into(), message_ja: self.ja().into(), message_en: self.en().into(), r#final: last }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_is_told_once_and_in_both_languages() {
        let codes: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(codes.len(), Code::ALL.len());
        for code in Code::ALL {
            let is_code = code.as_str().bytes().all(|b| b.is_ascii_lowercase() || b == b'.' || b == b'-');
            assert!(is_code, "{code}");
            assert!(code.ja().ends_with('。') && code.en().ends_with('.'), "{code}: whole sentences");
            assert!(code.en().is_ascii(), "{code}");
        }
    }

    #[test]
    fn every_code_is_in_the_readme() {
        let readme = include_str!("../README.md");
        for code in Code::ALL {
            assert!(readme.contains(&format!("`{code}`")), "{code} is missing from README.md");
        }
    }
}
