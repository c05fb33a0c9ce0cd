//! The ink of a case in company: bad lines, restarts, several rooms, hostile pages, a tracker. Time is virtual, chance is seeded.

mod fuzz;
mod hostile;
mod kit;
mod page;
mod schedules;
mod switches;
mod tracked;
