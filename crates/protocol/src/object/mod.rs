//! CTI objects: markings, units, the attribute tree.

pub mod cti;
pub mod marking;
