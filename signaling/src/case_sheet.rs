//! What is written down of a case before it begins: its head and its people.

use annotation::baton::Drawers;
use annotation::id::Author;
use link::id::CaseId;

use crate::authorize::{Action, role_may};
use crate::claims::{PersonKey, Role};
use crate::wire;

/// Media tokens have no place on a list of people.
pub fn role_on_wire(role: Role) -> wire::Role {
    match role {
        Role::Room => wire::Role::Room,
        Role::Mentor => wire::Role::Mentor,
        Role::Desk => wire::Role::Desk,
        Role::Observer => wire::Role::Observer,
        Role::Vendor => wire::Role::Vendor,
        Role::Planner => wire::Role::Planner,
        Role::Administrator => wire::Role::Administrator,
        Role::Publisher | Role::Viewer | Role::Engine => wire::Role::Unspecified,
    }
}

/// A person of a case as others see them. Names appear on screens; never in logs, URLs or metrics.
#[derive(Clone, PartialEq, Eq)]
pub struct Profile {
    pub key: PersonKey,
    /// Number of this person in this case; names their ink.
    pub author: Author,
    pub role: Role,
    pub name_ja: String,
    pub name_en: String,
    pub family_ja: String,
    pub family_en: String,
    pub institution_ja: String,
    pub institution_en: String,
    pub lead: bool,
}

impl std::fmt::Debug for Profile {
    /// Without names: a profile may pass through a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Profile({} {})", self.author.0, self.role)
    }
}

/// What is written at the head of a case. Never the patient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseSheet {
    pub id: CaseId,
    pub title_ja: String,
    pub title_en: String,
    /// The fall-back.
    pub telephone: String,
    pub telephone_name_ja: String,
    pub telephone_name_en: String,
    pub patient_awake: bool,
    /// Runs on sample or generated data: said on every screen.
    pub rehearsal: bool,
    pub people: Vec<Profile>,
}

impl CaseSheet {
    /// Who may draw here, by role, and who leads until somebody says otherwise: the first mentor marked so.
    pub fn drawers(&self) -> Drawers {
        let people = self.people.iter().filter(|p| role_may(p.role, &Action::Draw)).map(|p| p.author).collect();
        let mentors = || self.people.iter().filter(|p| p.role == Role::Mentor);
        let lead = mentors().find(|p| p.lead).or_else(|| mentors().next()).map(|p| p.author);
        Drawers { lead, people }
    }
}
