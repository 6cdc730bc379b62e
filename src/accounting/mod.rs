//! Work on the ledger's charges: the price lists in force, rating afterwards, and the hand-over to the billing system.
//!
//! What a charge is and how it is computed is decided in `billing`; here rows are read, and what follows is written.

mod batch_files;
mod export;
mod prices;
mod rerating;

pub use batch_files::{FORMAT, FileSum, Manifest, Sums};
pub use export::{ExportError, Exported, Exporter, MOST_CHARGES};
pub use prices::{Mark, Prices};
pub use rerating::{Outcome, RerateError, Rerating};
