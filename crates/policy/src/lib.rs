//! Placeholder while the dependency set is fixed.
