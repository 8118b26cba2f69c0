//! Syntax of the names that a roster carries.

use std::net::IpAddr;

use crate::ids::Country;
use crate::limits::{DOMAIN_BYTES_MAX, NAME_BYTES_MAX, REASON_BYTES_MAX, ROLE_BYTES_MAX};

const LABEL_BYTES_MAX: usize = 63;

/// Lower-case DNS name of at least two labels (letters, digits, inner hyphens); the last label is not all digits.
pub fn is_domain(text: &str) -> bool {
    let labels = text.split('.').count();
    let last_is_number = text.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    text.len() <= DOMAIN_BYTES_MAX && labels >= 2 && !last_is_number && text.split('.').all(is_label)
}

/// Role id or network label: lower-case letters, digits and inner hyphens.
pub fn is_role(text: &str) -> bool {
    text.len() <= ROLE_BYTES_MAX && is_label(text)
}

/// Name for people: not empty, without control characters or surrounding space.
pub fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= NAME_BYTES_MAX && text.trim() == text && !text.chars().any(char::is_control)
}

/// Free text of an officer: as a name, longer.
pub fn is_reason(text: &str) -> bool {
    !text.is_empty() && text.len() <= REASON_BYTES_MAX && text.trim() == text && !text.chars().any(char::is_control)
}

/// IP literal (without brackets) or DNS name; a single label serves private networks.
pub fn is_host(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok() || is_domain(text) || is_label(text)
}

/// `CC: reason`, naming the country that may have more than one active hub.
pub fn exception_country(text: &str) -> Option<Country> {
    let (country, reason) = text.split_once(": ")?;
    is_reason(reason).then(|| Country::parse(country).ok())?
}

fn is_label(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=LABEL_BYTES_MAX).contains(&text.len())
        && text.bytes().all(allowed)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_lower_case_dns_names() {
        for good in ["at.hub.example", "hub-1.ee", "a.b"] {
            assert!(is_domain(good), "{good}");
        }
        let long = format!("{}.example", "a".repeat(64));
        for bad in
            ["", "hub", "Hub.ee", "hub..ee", "-hub.ee", "hub-.ee", "hub.ee.", "10.0.0.1", "hub_1.ee", "hüb.ee", &long]
        {
            assert!(!is_domain(bad), "{bad}");
        }
    }

    #[test]
    fn hosts_and_exceptions() {
        assert!(is_host("127.0.0.1") && is_host("::1") && is_host("localhost") && is_host("at.hub.example"));
        assert!(!is_host("[::1]") && !is_host("a b") && !is_host(""));
        assert_eq!(exception_country("BE: two hubs under federal law"), Country::parse("BE").ok());
        assert_eq!(exception_country("BE two hubs"), None);
    }
}
