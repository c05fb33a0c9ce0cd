//! The demo case: a rehearsal on sample or generated pictures. All people, places and numbers are invented.

use annotation::id::Author;
use link::id::CaseId;

use crate::case::{CaseSheet, Profile};
use crate::claims::{PersonKey, Role};

/// Keys of the people of the demo case.
pub const ROOM: &str = "room";
pub const MENTOR: &str = "mentor";
/// Stand in media tokens, which belong to no person.
pub const PUBLISHER: &str = "publisher";
pub const VIEWER: &str = "viewer";

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
    [room, mentor].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_case_has_a_room_and_a_lead_mentor_with_numbers_of_their_own() {
        let sheet = sheet(CaseId::parse("demo").expect("an id"));
        let roles: Vec<_> = sheet.people.iter().map(|p| (p.role, p.author.0, p.lead)).collect();
        assert_eq!(roles, [(Role::Room, 1, false), (Role::Mentor, 2, true)]);
    }
}
