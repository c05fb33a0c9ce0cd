//! The demo case: a rehearsal on sample or generated pictures. All people, places and numbers are invented.

use annotation::id::Author;
use link::id::CaseId;

use crate::case::{CaseSheet, Profile};
use crate::claims::{PersonKey, Role};

/// Keys of the people of the demo case.
pub const ROOM: &str = "room";
pub const MENTOR: &str = "mentor";
pub const DESK: &str = "desk";
pub const VENDOR: &str = "vendor";
/// Stand in media tokens, which belong to no person.
pub const PUBLISHER: &str = "publisher";
pub const VIEWER: &str = "viewer";
pub const ENGINE: &str = "engine";

pub fn sheet(id: CaseId) -> CaseSheet {
    CaseSheet {
        id,
        title_ja: "手術室1 訓練症例（サンプル画像）".into(),
        title_en: "OR 1 · rehearsal on sample pictures".into(),
        telephone: "099-000-0123".into(),
        telephone_name_ja: "南島病院 手術室1".into(),
        telephone_name_en: "Minamishima Hospital, OR 1".into(),
        patient_awake: true,
        rehearsal: true,
        people: people(),
    }
}

fn people() -> Vec<Profile> {
    let key = |text: &str| PersonKey::parse(text);
    let room = key(ROOM).map(|key| Profile {
        key,
        author: Author(1),
        role: Role::Room,
        name_ja: "高橋 健一".into(),
        name_en: "Kenichi Takahashi".into(),
        family_ja: "高橋".into(),
        family_en: "Takahashi".into(),
        institution_ja: "南島病院".into(),
        institution_en: "Minamishima Hospital".into(),
        lead: false,
    });
    let mentor = key(MENTOR).map(|key| Profile {
        key,
        author: Author(2),
        role: Role::Mentor,
        name_ja: "佐藤 美咲".into(),
        name_en: "Misaki Sato".into(),
        family_ja: "佐藤".into(),
        family_en: "Sato".into(),
        institution_ja: "中央大学病院".into(),
        institution_en: "Chuo Univ. Hospital".into(),
        lead: true,
    });
    let desk = key(DESK).map(|key| Profile {
        key,
        author: Author(3),
        role: Role::Desk,
        name_ja: "渡辺 直子".into(),
        name_en: "Naoko Watanabe".into(),
        family_ja: "渡辺".into(),
        family_en: "Watanabe".into(),
        institution_ja: "南島病院 戦略デスク".into(),
        institution_en: "Minamishima Hospital, strategy desk".into(),
        lead: false,
    });
    let vendor = key(VENDOR).map(|key| Profile {
        key,
        author: Author(4),
        role: Role::Vendor,
        name_ja: "中村 陽介".into(),
        name_en: "Yosuke Nakamura".into(),
        family_ja: "中村".into(),
        family_en: "Nakamura".into(),
        institution_ja: "東都医療システム".into(),
        institution_en: "Toto Medical Systems".into(),
        lead: false,
    });
    [room, mentor, desk, vendor].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_people_of_the_demo_case_have_numbers_of_their_own_and_one_mentor_leads() {
        let sheet = sheet(CaseId::parse("demo").expect("an id"));
        let roles: Vec<_> = sheet.people.iter().map(|p| (p.role, p.author.0, p.lead)).collect();
        let expected = [(Role::Room, 1, false), (Role::Mentor, 2, true), (Role::Desk, 3, false), (Role::Vendor, 4, false)];
        assert_eq!(roles, expected);
    }
}
