//! Rebuilds a JSON document from paths and tokens.

use std::collections::BTreeMap;

use cresset_protocol::object::cti::PathStep;

use crate::format::RebuildError;
use crate::json::parser::{Kind, parse};

/// Gathers attributes in any grouping; members keep the order in which they first appear.
#[derive(Default)]
pub struct DocumentBuilder {
    root: Option<Node>,
}

enum Node {
    Token(String),
    Container(Container),
}

struct Container {
    is_object: bool,
    members: Vec<(PathStep, Node)>,
    index: BTreeMap<PathStep, usize>,
}

impl DocumentBuilder {
    /// Places one token.
    ///
    /// # Errors
    /// A value that is no scalar or empty container, and a path that contradicts an earlier one.
    pub fn insert(&mut self, path: &[PathStep], value: &str) -> Result<(), RebuildError> {
        let token = parse(value.as_bytes()).map_err(RebuildError::Value)?;
        let empty = match &token.kind {
            Kind::Scalar => true,
            Kind::Array(members) => members.is_empty(),
            Kind::Object(members) => members.is_empty(),
        };
        if !empty {
            return Err(RebuildError::Container);
        }
        match (path.split_first(), &mut self.root) {
            (None, None) => {
                self.root = Some(Node::Token(token.raw.to_owned()));
                Ok(())
            }
            (None, Some(_)) | (Some(_), Some(Node::Token(_))) => Err(RebuildError::Conflict),
            (Some((first, rest)), root) => {
                let node = root.get_or_insert_with(|| Node::Container(Container::for_step(first)));
                match node {
                    Node::Container(container) => container.insert(first, rest, token.raw),
                    Node::Token(_) => Err(RebuildError::Conflict),
                }
            }
        }
    }

    /// Whether something stands at the path.
    pub fn contains(&self, path: &[PathStep]) -> bool {
        let mut node = self.root.as_ref();
        for step in path {
            node = match node {
                Some(Node::Container(container)) => container.get(step),
                _ => return false,
            };
        }
        node.is_some()
    }

    /// The document, without white space; `None` when nothing was placed.
    pub fn finish(&self) -> Option<Vec<u8>> {
        let mut out = String::new();
        write_node(self.root.as_ref()?, &mut out);
        Some(out.into_bytes())
    }
}

impl Container {
    fn for_step(step: &PathStep) -> Self {
        Self { is_object: matches!(step, PathStep::Key(_)), members: Vec::new(), index: BTreeMap::new() }
    }

    fn get(&self, step: &PathStep) -> Option<&Node> {
        self.index.get(step).and_then(|at| self.members.get(*at)).map(|(_, node)| node)
    }

    fn insert(&mut self, step: &PathStep, rest: &[PathStep], token: &str) -> Result<(), RebuildError> {
        if self.is_object != matches!(step, PathStep::Key(_)) {
            return Err(RebuildError::Conflict);
        }
        let known = self.index.get(step).and_then(|at| self.members.get_mut(*at));
        match (known, rest.split_first()) {
            (Some((_, Node::Container(container))), Some((next, rest))) => container.insert(next, rest, token),
            (Some(_), _) => Err(RebuildError::Conflict),
            (None, None) => {
                self.push(step, Node::Token(token.to_owned()));
                Ok(())
            }
            (None, Some((next, rest))) => {
                let mut container = Self::for_step(next);
                container.insert(next, rest, token)?;
                self.push(step, Node::Container(container));
                Ok(())
            }
        }
    }

    fn push(&mut self, step: &PathStep, node: Node) {
        self.index.insert(step.clone(), self.members.len());
        self.members.push((step.clone(), node));
    }
}

fn write_node(node: &Node, out: &mut String) {
    match node {
        Node::Token(token) => out.push_str(token),
        Node::Container(container) => {
            let (open, close) = if container.is_object { ('{', '}') } else { ('[', ']') };
            out.push(open);
            for (i, (step, member)) in container.members.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                if let PathStep::Key(key) = step {
                    out.push_str(&serde_json::Value::from(key.as_str()).to_string());
                    out.push(':');
                }
                write_node(member, out);
            }
            out.push(close);
        }
    }
}
