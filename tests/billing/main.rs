//! The priced side and the report, tested from outside: a hand-worked table, malformed price lists, properties, corrections, purity,
//! and the report in every form and language.

mod corrections;
mod hand_worked;
mod properties;
mod purity;
mod report_data;
mod report_hostile;
mod report_mail;
mod report_support;
mod speed;
mod support;
mod tariff_files;
