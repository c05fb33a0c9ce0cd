//! Figures of rounds beside their budgets: a table for people, one line of JSON for programs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// One figure over all rounds. `None`: it never came, which is worse than any number.
#[derive(Debug, Clone)]
struct Figure {
    name: &'static str,
    unit: &'static str,
    at_most: Option<f64>,
    values: Vec<Option<f64>>,
}

/// One scenario: its rounds' figures, and what must hold in every round.
#[derive(Debug, Clone, Default)]
pub struct Scenario {
    pub name: &'static str,
    pub rounds: usize,
    figures: Vec<Figure>,
    /// (held, asked).
    checks: BTreeMap<&'static str, (usize, usize)>,
    /// Rounds that did not come to their end; each counts as a miss of everything.
    pub failed: Vec<String>,
}

impl Scenario {
    pub fn new(name: &'static str) -> Self {
        Scenario { name, ..Default::default() }
    }

    /// Figures stand in the order in which they are first told.
    pub fn figure(&mut self, name: &'static str, unit: &'static str, at_most: Option<f64>, value: Option<f64>) {
        match self.figures.iter_mut().find(|f| f.name == name) {
            Some(figure) => figure.values.push(value),
            None => self.figures.push(Figure { name, unit, at_most, values: vec![value] }),
        }
    }

    pub fn check(&mut self, name: &'static str, held: bool) {
        self.check_n(name, usize::from(held), 1);
    }

    pub fn check_n(&mut self, name: &'static str, held: usize, of: usize) {
        let (h, n) = self.checks.entry(name).or_default();
        *h += held;
        *n += of;
    }

    pub fn is_good(&self) -> bool {
        self.rounds > 0
            && self.failed.is_empty()
            && self.figures.iter().all(Figure::is_met)
            && self.checks.values().all(|(h, n)| h == n)
    }

    pub fn table(&self) -> String {
        let mut out = format!("\n{} — {} rounds\n", self.name, self.rounds);
        out += &format!("  {:<52}{:>9}{:>9}{:>9}{:>9}\n", "", "min", "median", "worst", "at most");
        for f in &self.figures {
            let [min, median, worst] = f.spread().map(|v| v.map_or("never".to_owned(), |v| format!("{v:.0}")));
            let budget = f.at_most.map_or(String::new(), |b| format!("{b:.0}"));
            let verdict = if f.at_most.is_none() {
                ""
            } else if f.is_met() {
                "  met"
            } else {
                "  MISSED"
            };
            out += &format!("  {:<52}{min:>9}{median:>9}{worst:>9}{budget:>9}{verdict}\n", format!("{}, {}", f.name, f.unit));
        }
        for (name, (held, n)) in &self.checks {
            out += &format!("  {name:<70}{held:>9} of {n}{}\n", if held == n { "" } else { "  MISSED" });
        }
        for why in &self.failed {
            out += &format!("  FAILED {why}\n");
        }
        out
    }

    pub fn json(&self) -> Value {
        let figures: Vec<Value> = self
            .figures
            .iter()
            .map(|f| {
                let [min, median, worst] = f.spread();
                json!({ "name": f.name, "unit": f.unit, "min": min, "median": median, "worst": worst, "n": f.values.len(), "at_most": f.at_most,
                    "met": f.at_most.map(|_| f.is_met()) })
            })
            .collect();
        let checks: Vec<Value> =
            self.checks.iter().map(|(name, (held, n))| json!({ "name": name, "held": held, "of": n })).collect();
        json!({ "name": self.name, "rounds": self.rounds, "good": self.is_good(), "figures": figures, "checks": checks, "failed": self.failed })
    }
}

impl Figure {
    fn is_met(&self) -> bool {
        let Some(most) = self.at_most else { return true };
        self.values.iter().all(|v| v.is_some_and(|v| v <= most))
    }

    /// Least, median (nearest rank), worst; what never came is the worst.
    fn spread(&self) -> [Option<f64>; 3] {
        let mut sorted = self.values.clone();
        sorted.sort_by(|a, b| a.unwrap_or(f64::INFINITY).total_cmp(&b.unwrap_or(f64::INFINITY)));
        let at = |i: usize| sorted.get(i).copied().flatten();
        [at(0), at(sorted.len().saturating_sub(1) / 2), at(sorted.len().saturating_sub(1))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_came_is_the_worst_and_misses() {
        let mut s = Scenario::new("x");
        s.rounds = 3;
        for v in [Some(5.0), None, Some(1.0)] {
            s.figure("back", "ms", Some(10.0), v);
        }
        assert!(!s.is_good());
        assert_eq!(s.figures[0].spread(), [Some(1.0), Some(5.0), None]);
        assert!(s.table().contains("never") && s.table().contains("MISSED"));
    }

    #[test]
    fn one_round_over_budget_is_a_miss_and_one_check_that_fails_too() {
        let mut s = Scenario::new("x");
        s.rounds = 2;
        s.figure("back", "ms", Some(10.0), Some(9.0));
        s.figure("told only", "ms", None, Some(99.0));
        assert!(s.is_good());
        s.check_n("ops kept", 5, 5);
        assert!(s.is_good());
        s.check("once", false);
        assert!(!s.is_good());
        let mut s = Scenario::new("y");
        s.rounds = 1;
        s.figure("back", "ms", Some(10.0), Some(11.0));
        assert!(!s.is_good());
    }
}
