//! CTI objects: markings, units, the attribute tree and the views that it lets travel (`protocol-spec/04-object.md`).
//!
//! Order of work at the origin: a format makes a [`cti::CtiObject`], [`attribute_tree::AttributeTree`] commits to it,
//! one [`view::ViewPayload`] per audience discloses a part, and a [`publish_share::PublishShare`] names it in the log.
//! A recipient goes the other way through [`view::verify`].

pub mod attribute_tree;
pub mod cti;
pub mod layout;
pub mod marking;
pub mod publish_share;
pub mod redact;
mod tree_leaf;
pub mod view;

#[cfg(test)]
mod tests;
