//! Whose identifier a MISP attribute holds, from its category and type alone: free text decides nothing.

use cresset_protocol::object::marking::IdentifierRole;

/// Role of an attribute's identifier.
pub(super) fn role_of(category: &str, type_name: &str) -> IdentifierRole {
    if category == "Targeting data" || type_name.starts_with("target-") {
        return IdentifierRole::Victim;
    }
    if !could_be_personal(type_name) {
        return IdentifierRole::Attacker;
    }
    if ATTACKER_CATEGORIES.contains(&category) && !names_a_recipient(type_name) {
        return IdentifierRole::Attacker;
    }
    IdentifierRole::Unknown
}

/// Categories that describe what the attacker uses.
const ATTACKER_CATEGORIES: [&str; 9] = [
    "Network activity",
    "Payload delivery",
    "Payload installation",
    "Payload type",
    "Artifacts dropped",
    "Persistence mechanism",
    "Antivirus detection",
    "External analysis",
    "Attribution",
];

/// Types that may identify a person.
const PERSONAL: [&str; 22] = [
    "ip-src",
    "ip-dst",
    "ip-src|port",
    "ip-dst|port",
    "phone-number",
    "iban",
    "bic",
    "cc-number",
    "bank-account-nr",
    "aba-rtn",
    "prtn",
    "xmr",
    "btc",
    "jabber-id",
    "github-username",
    "twitter-id",
    "dns-soa-email",
    "email",
    "user-agent",
    "mac-address",
    "hostname",
    "chrome-extension-id",
];

/// MISP types of the category `Person`, by their beginning.
const PERSONAL_PREFIXES: [&str; 22] = [
    "email",
    "whois-registrant",
    "first-name",
    "middle-name",
    "last-name",
    "full-name",
    "date-of-birth",
    "place-of-birth",
    "gender",
    "passport-",
    "visa-number",
    "redress-number",
    "nationality",
    "issue-date-of-the-visa",
    "primary-residence",
    "country-of-residence",
    "special-service-request",
    "frequent-flyer-number",
    "travel-details",
    "payment-details",
    "passenger-name-record",
    "identity-card-number",
];

fn could_be_personal(type_name: &str) -> bool {
    PERSONAL.contains(&type_name) || PERSONAL_PREFIXES.iter().any(|prefix| type_name.starts_with(prefix))
}

/// Whoever receives a message is rarely its author.
fn names_a_recipient(type_name: &str) -> bool {
    matches!(type_name, "email-dst" | "email-dst-display-name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn category_and_type_decide_the_role() {
        let check =
            |category, type_name, role| assert_eq!(role_of(category, type_name), role, "{category} {type_name}");
        check("Network activity", "ip-dst", IdentifierRole::Attacker);
        check("Payload delivery", "email-src", IdentifierRole::Attacker);
        check("Payload delivery", "sha256", IdentifierRole::Attacker);
        check("Other", "comment", IdentifierRole::Attacker);
        check("Targeting data", "ip-dst", IdentifierRole::Victim);
        check("Targeting data", "target-machine", IdentifierRole::Victim);
        check("Other", "target-user", IdentifierRole::Victim);
        check("Payload delivery", "email-dst", IdentifierRole::Unknown);
        check("Person", "full-name", IdentifierRole::Unknown);
        check("Social network", "email-src", IdentifierRole::Unknown);
        check("Financial fraud", "iban", IdentifierRole::Unknown);
        check("", "ip-src", IdentifierRole::Unknown);
    }
}
