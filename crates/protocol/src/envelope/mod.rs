//! Envelopes: the encrypted form in which a view travels.
