//! What the display says, in the room's language; the pages' words (`web-client/src/i18n`).

use std::time::Duration;

use link::frame::{FeedState, Sync};
use serde::Deserialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    #[default]
    Ja,
    En,
}

/// Why there is no ink, as the display says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoInk {
    /// The room switched it off.
    Off,
    /// What paints it failed, or is too slow.
    Failed,
    /// Nobody says what is drawn, or clears it.
    NoServer,
}

#[derive(Debug, Clone, Copy)]
pub struct Words {
    language: Language,
}

impl Words {
    pub fn new(language: Language) -> Self {
        Words { language }
    }

    fn of(&self, ja: &'static str, en: &'static str) -> &'static str {
        if self.language == Language::Ja { ja } else { en }
    }

    pub fn name<'a>(&self, ja: &'a str, en: &'a str) -> &'a str {
        if self.language == Language::Ja { ja } else { en }
    }

    pub fn state(&self, state: FeedState, sync: Sync) -> &'static str {
        match state {
            FeedState::Live if matches!(sync, Sync::Off | Sync::Unknown) => self.of("未同期", "Not sync."),
            FeedState::Live => self.of("ライブ", "Live"),
            FeedState::XrayOff => self.of("X線オフ", "X-ray off"),
            FeedState::Looping => self.of("くり返し再生", "Looping"),
            FeedState::Stale => self.of("遅れています", "Late"),
            FeedState::Lost | FeedState::Unspecified => self.of("信号なし", "Lost at source"),
            FeedState::Curtain => self.of("プライバシー保護", "Privacy curtain"),
            FeedState::MaskUnknown => self.of("マスク未確認", "Mask unknown"),
        }
    }

    /// `None`: not known.
    pub fn age(&self, age: Option<Duration>) -> String {
        let Some(age) = age else { return "-".into() };
        let (s, ja) = (age.as_secs(), self.language == Language::Ja);
        match s {
            0..10 if ja => format!("{:.2}秒", age.as_secs_f64()),
            0..10 => format!("{:.2} s", age.as_secs_f64()),
            10..60 if ja => format!("{s}秒前"),
            10..60 => format!("{s} s ago"),
            _ if ja => format!("{}:{:02}前", s / 60, s % 60),
            _ => format!("{}:{:02} ago", s / 60, s % 60),
        }
    }

    /// Of a picture that is held: in whole seconds. `None`: not known.
    pub fn held_age(&self, age: Option<Duration>) -> String {
        let Some(age) = age else { return "-".into() };
        let (h, m, s) = super::insets::held(age);
        let text = match (h, m) {
            (0, 0) => return format!("{s}{}", self.of("秒前", " s ago")),
            (0, _) => format!("{m}:{s:02}"),
            _ => format!("{h}:{m:02}:{s:02}"),
        };
        format!("{text}{}", self.of("前", " ago"))
    }

    /// Ink whose place is not on the picture any more.
    pub fn track_lost(&self) -> &'static str {
        self.of("追従不可", "Place lost")
    }

    /// For the picture that such ink was drawn on.
    pub fn lost_picture(&self, is_coming: bool) -> &'static str {
        if is_coming {
            self.of("描いた画像を取得中", "Its picture is coming")
        } else {
            self.of("描いた画像がありません", "Its picture is not here")
        }
    }

    pub fn no_ink(&self, why: NoInk) -> &'static str {
        match why {
            NoInk::Off => self.of("書き込みオフ", "Ink off"),
            NoInk::Failed => self.of("書き込みを表示できません", "Ink cannot be shown"),
            NoInk::NoServer => self.of("書き込みなし（サーバーに接続中）", "No ink: connecting to the server"),
        }
    }

    pub fn picture_lost(&self) -> &'static str {
        self.of("映像途絶（合成装置）", "Picture lost")
    }

    pub fn waiting(&self) -> &'static str {
        self.of("映像を待っています", "Waiting for the picture")
    }

    pub fn reference_only(&self) -> &'static str {
        self.of("参考値", "reference only")
    }

    /// Every text that there can be, figures aside.
    pub fn all(&self) -> Vec<String> {
        let states = [
            FeedState::Live,
            FeedState::XrayOff,
            FeedState::Looping,
            FeedState::Stale,
            FeedState::Lost,
            FeedState::Curtain,
            FeedState::MaskUnknown,
        ];
        let ages = [None, Some(70), Some(3_400), Some(15_000), Some(150_000)];
        states
            .iter()
            .map(|state| self.state(*state, Sync::Aligned))
            .chain([
                self.state(FeedState::Live, Sync::Off),
                self.picture_lost(),
                self.waiting(),
                self.reference_only(),
                self.track_lost(),
                self.lost_picture(true),
                self.lost_picture(false),
            ])
            .chain([NoInk::Off, NoInk::Failed, NoInk::NoServer].map(|why| self.no_ink(why)))
            .map(str::to_owned)
            .chain(ages.map(|ms| self.age(ms.map(Duration::from_millis))))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_said_in_one_unit_as_the_pages_say_them() {
        let ages = |language| {
            let words = Words::new(language);
            [90, 12_400, 252_000].map(|ms| words.age(Some(Duration::from_millis(ms))))
        };
        assert_eq!(ages(Language::Ja), ["0.09秒", "12秒前", "4:12前"]);
        assert_eq!(ages(Language::En), ["0.09 s", "12 s ago", "4:12 ago"]);
        assert_eq!(Words::new(Language::En).age(None), "-");
        let held =
            |language| [400, 12_400, 252_000, 3_725_000].map(|ms| Words::new(language).held_age(Some(Duration::from_millis(ms))));
        assert_eq!(held(Language::Ja), ["0秒前", "12秒前", "4:12前", "1:02:05前"]);
        assert_eq!(held(Language::En), ["0 s ago", "12 s ago", "4:12 ago", "1:02:05 ago"]);
    }
}
