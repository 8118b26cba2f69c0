//! Public vectors (`$CRESSET_TEST_DATA/vectors/wycheproof`) through the calls that the product makes.
//!
//! Not applicable, and why: ML-DSA signatures with a context (the product has none; such signatures must be refused);
//! ML-KEM encapsulation through aws-lc (no way to inject randomness; it runs through `hpke`'s implementation, and
//! refused keys run through both); P-384 points in DER with explicit parameters or compressed (TLS and HPKE carry only
//! uncompressed points, which is all that the product parses); AES-GCM with keys or nonces of other sizes.

#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::convert::Infallible;
use std::io::Read;
use std::path::PathBuf;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P384, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::hkdf::{HKDF_SHA384, KeyType, Salt};
use aws_lc_rs::kem::{DecapsulationKey, EncapsulationKey, ML_KEM_1024};
use cresset_crypto::{Verifier, normalise_p384};
use cresset_protocol::signing::{
    MlDsa65PublicKey, MlDsa65Signature, MlDsa87PublicKey, MlDsa87Signature, P384PublicKey, P384Signature,
    SignatureVerifier,
};
use hpke::kem::MlKem1024;
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable, Kem, Serializable};
use serde_json::Value;

#[test]
fn ml_dsa_65_verification() {
    let verify = |key: &[u8], message: &[u8], signature: &[u8]| {
        let parsed = (MlDsa65PublicKey::try_from(key), MlDsa65Signature::try_from(signature));
        matches!(parsed, (Ok(key), Ok(signature)) if Verifier.verify_ml_dsa_65(&key, message, &signature))
    };
    ml_dsa::<ml_dsa::MlDsa65>("mldsa_65_verify", 107, verify);
}

#[test]
fn ml_dsa_87_verification() {
    let verify = |key: &[u8], message: &[u8], signature: &[u8]| {
        let parsed = (MlDsa87PublicKey::try_from(key), MlDsa87Signature::try_from(signature));
        matches!(parsed, (Ok(key), Ok(signature)) if Verifier.verify_ml_dsa_87(&key, message, &signature))
    };
    ml_dsa::<ml_dsa::MlDsa87>("mldsa_87_verify", 0, verify);
}

/// Also the cross-check with the second implementation.
fn ml_dsa<P: ml_dsa::MlDsaParams>(file: &str, at_least: usize, verify: impl Fn(&[u8], &[u8], &[u8]) -> bool) {
    let Some(cases) = cases(file) else { return };
    let mut with_context = 0;
    for case in &cases {
        let key = hex(&case.group["publicKey"]);
        let (message, signature, context) = (hex(&case.test["msg"]), hex(&case.test["sig"]), hex(&case.test["ctx"]));
        let valid = case.result() == "valid";
        with_context += usize::from(!context.is_empty());
        assert_eq!(verify(&key, &message, &signature), valid && context.is_empty(), "{case}");
        assert_eq!(second_ml_dsa::<P>(&key, &message, &context, &signature), valid, "{case} (second implementation)");
    }
    assert!(cases.len() >= at_least && with_context < cases.len());
}

fn second_ml_dsa<P: ml_dsa::MlDsaParams>(key: &[u8], message: &[u8], context: &[u8], signature: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) =
        (ml_dsa::EncodedVerifyingKey::<P>::try_from(key), ml_dsa::Signature::<P>::try_from(signature))
    else {
        return false;
    };
    ml_dsa::VerifyingKey::<P>::decode(&key).verify_with_context(message, context, &signature)
}

#[test]
fn ecdsa_p384_from_der() {
    let Some(cases) = cases("ecdsa_secp384r1_sha384") else { return };
    for case in &cases {
        check_p384(case, der_to_raw(&hex(&case.test["sig"])));
    }
    assert_eq!(cases.len(), 249);
}

#[test]
fn ecdsa_p384_raw() {
    let Some(cases) = cases("ecdsa_secp384r1_sha384_p1363") else { return };
    for case in &cases {
        check_p384(case, hex(&case.test["sig"]).try_into().ok());
    }
    assert_eq!(cases.len(), 148);
}

/// Valid signatures verify after normalisation, and unnormalised exactly if they are low; invalid ones never.
fn check_p384(case: &Case, raw: Option<[u8; 96]>) {
    let key = P384PublicKey::try_from(hex(&case.group["publicKey"]["uncompressed"]).as_slice()).unwrap();
    let message = hex(&case.test["msg"]);
    let verify = |signature: &P384Signature| Verifier.verify_p384(&key, &message, signature);
    let Some(raw) = raw else {
        assert_eq!(case.result(), "invalid", "{case}");
        return;
    };
    let normalised = normalise_p384(raw);
    let as_it_came = P384Signature::from(raw);
    assert_eq!(verify(&normalised), case.result() == "valid", "{case}");
    assert_eq!(verify(&as_it_came), case.result() == "valid" && as_it_came == normalised, "{case}");
}

#[test]
fn ml_kem_1024_decapsulation() {
    let (Some(cases), Some(keys)) = (cases("mlkem_1024"), cases("mlkem_1024_keygen_seed")) else { return };
    let mut through_aws_lc = 0;
    for case in &cases {
        let (seed, ciphertext) = (hex(&case.test["seed"]), hex(&case.test["c"]));
        let valid = case.result() == "valid";
        // The implementation below HPKE.
        let secret = decapsulate_hpke(&seed, &ciphertext);
        assert_eq!(secret.is_some(), valid, "{case}");
        assert!(secret.is_none_or(|secret| secret == hex(&case.test["K"])), "{case}");
        // The implementation below TLS takes expanded keys only; some of them are in the key generation file.
        if let Some(key) = keys.iter().find(|key| key.test["seed"] == case.test["seed"]) {
            let pair = DecapsulationKey::new(&ML_KEM_1024, &hex(&key.test["dk"])).unwrap();
            let secret = pair.decapsulate(ciphertext.as_slice().into()).ok().map(|secret| secret.as_ref().to_vec());
            assert_eq!(secret.is_some(), valid, "{case} (aws-lc)");
            assert!(secret.is_none_or(|secret| secret == hex(&case.test["K"])), "{case} (aws-lc)");
            through_aws_lc += 1;
        }
    }
    assert!(cases.len() == 98 && through_aws_lc >= 26, "{through_aws_lc}");
}

fn decapsulate_hpke(seed: &[u8], ciphertext: &[u8]) -> Option<Vec<u8>> {
    let private = <MlKem1024 as Kem>::PrivateKey::from_bytes(seed).ok()?;
    let encapped = <MlKem1024 as Kem>::EncappedKey::from_bytes(ciphertext).ok()?;
    MlKem1024::decap(&private, None, &encapped).ok().map(|secret| secret.0.to_vec())
}

#[test]
fn ml_kem_1024_key_generation() {
    let Some(cases) = cases("mlkem_1024_keygen_seed") else { return };
    for case in &cases {
        let private = <MlKem1024 as Kem>::PrivateKey::from_bytes(&hex(&case.test["seed"])).unwrap();
        assert_eq!(MlKem1024::sk_to_pk(&private).to_bytes().as_slice(), hex(&case.test["ek"]), "{case}");
    }
    assert_eq!(cases.len(), 48);
}

#[test]
fn ml_kem_1024_encapsulation() {
    let Some(cases) = cases("mlkem_1024_encaps") else { return };
    for case in &cases {
        let key = hex(&case.test["ek"]);
        let public = <MlKem1024 as Kem>::PublicKey::from_bytes(&key);
        let aws_lc = EncapsulationKey::new(&ML_KEM_1024, &key).ok().and_then(|key| key.encapsulate().ok());
        assert_eq!(aws_lc.is_some(), case.result() == "valid", "{case} (aws-lc)");
        let Ok(public) = public else {
            assert_eq!(case.result(), "invalid", "{case}");
            continue;
        };
        let mut rng = Fixed(hex(&case.test["m"]));
        let (secret, encapped) = MlKem1024::encap_with_rng(&public, None, &mut rng).unwrap();
        assert_eq!(case.result(), "valid", "{case}");
        assert_eq!(encapped.to_bytes().as_slice(), hex(&case.test["c"]), "{case}");
        assert_eq!(secret.0.as_slice(), hex(&case.test["K"]), "{case}");
    }
    assert_eq!(cases.len(), 131);
}

#[test]
fn ecdh_p384() {
    let Some(cases) = cases("ecdh_secp384r1") else { return };
    let (mut run, mut not_applicable) = (0, 0);
    for case in &cases {
        // SubjectPublicKeyInfo of an uncompressed point on the named curve.
        let prefix = "3076301006072a8648ce3d020106052b81040022036200";
        let Some(point) = case.test["public"].as_str().unwrap().strip_prefix(prefix) else {
            not_applicable += 1;
            continue;
        };
        let peer = UnparsedPublicKey::new(&ECDH_P384, hex_str(point));
        let private = fixed_scalar(&hex(&case.test["private"]));
        let private = PrivateKey::from_private_key(&ECDH_P384, &private).unwrap();
        let shared = agree(&private, peer, (), |secret| Ok(secret.to_vec())).ok();
        assert_eq!(shared.is_some(), case.result() == "valid", "{case}");
        assert!(shared.is_none_or(|shared| shared == hex(&case.test["shared"])), "{case}");
        run += 1;
    }
    assert!(run >= 378 && run + not_applicable == 521, "{run} run, {not_applicable} not applicable");
}

#[test]
fn aes_256_gcm() {
    let Some(cases) = cases("aes_gcm") else { return };
    let mut run = 0;
    for case in &cases {
        if case.group["keySize"] != 256 || case.group["ivSize"] != 96 || case.group["tagSize"] != 128 {
            continue;
        }
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &hex(&case.test["key"])).unwrap());
        let nonce = || Nonce::try_assume_unique_for_key(&hex(&case.test["iv"])).unwrap();
        let aad = hex(&case.test["aad"]);
        let (message, ciphertext, tag) = (hex(&case.test["msg"]), hex(&case.test["ct"]), hex(&case.test["tag"]));
        let mut opened = vec![0; ciphertext.len()];
        let result = key.open_separate_gather(nonce(), Aad::from(&aad), &ciphertext, &tag, &mut opened);
        assert_eq!(result.is_ok(), case.result() == "valid", "{case}");
        if result.is_ok() {
            assert_eq!(opened, message, "{case}");
            let mut sealed = (vec![0; message.len()], [0; 16]);
            key.seal_out_of_place_scatter(nonce(), Aad::from(&aad), &message, &mut sealed.0, &[], &mut sealed.1)
                .unwrap();
            assert_eq!((sealed.0, sealed.1.to_vec()), (ciphertext, tag), "{case}");
        }
        run += 1;
    }
    assert!(run >= 30, "{run}");
}

#[test]
fn hkdf_sha_384() {
    struct Length(usize);
    impl KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let Some(cases) = cases("hkdf_sha384") else { return };
    for case in &cases {
        let size = usize::try_from(case.test["size"].as_u64().unwrap()).unwrap();
        let key = Salt::new(HKDF_SHA384, &hex(&case.test["salt"])).extract(&hex(&case.test["ikm"]));
        let info = hex(&case.test["info"]);
        let mut out = vec![0; size];
        let info = [info.as_slice()];
        let result = key.expand(&info, Length(size)).and_then(|okm| okm.fill(&mut out));
        assert_eq!(result.is_ok(), case.result() == "valid", "{case}");
        assert!(result.is_err() || out == hex(&case.test["okm"]), "{case}");
    }
}

struct Case {
    group: Value,
    test: Value,
}

impl Case {
    fn result(&self) -> &str {
        self.test["result"].as_str().unwrap()
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "case {} ({}): {}", self.test["tcId"], self.test["comment"], self.test["result"])
    }
}

/// All cases of a file with their groups; `None` after printing why, unless `CRESSET_REQUIRE` names `data`.
fn cases(name: &str) -> Option<Vec<Case>> {
    let root = std::env::var_os("CRESSET_TEST_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let path = root.join("vectors/wycheproof").join(format!("{name}_test.json.gz"));
    let Ok(file) = std::fs::File::open(&path) else {
        let required = std::env::var("CRESSET_REQUIRE").is_ok_and(|required| required.contains("data"));
        assert!(!required, "test data is required: {} is missing", path.display());
        println!("SKIPPED: {} is missing", path.display());
        return None;
    };
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    let mut root: Value = serde_json::from_str(&text).unwrap();
    let mut out = Vec::new();
    for group in root["testGroups"].as_array_mut().unwrap() {
        let tests = group["tests"].take();
        out.extend(tests.as_array().unwrap().iter().map(|test| Case { group: group.clone(), test: test.clone() }));
    }
    Some(out)
}

/// Absent fields are empty.
fn hex(value: &Value) -> Vec<u8> {
    hex_str(value.as_str().unwrap_or_default())
}

fn hex_str(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).unwrap()
}

/// Strict DER of SEQUENCE { INTEGER r, INTEGER s } to 96 bytes; what does not fit is no signature.
fn der_to_raw(der: &[u8]) -> Option<[u8; 96]> {
    let body = der.strip_prefix(&[0x30])?;
    let (&len, body) = body.split_first()?;
    if len >= 0x80 || usize::from(len) != body.len() {
        return None;
    }
    let (r, rest) = der_integer(body)?;
    let (s, rest) = der_integer(rest)?;
    rest.is_empty().then(|| [r, s].concat().try_into().unwrap())
}

fn der_integer(bytes: &[u8]) -> Option<([u8; 48], &[u8])> {
    let (&len, rest) = bytes.strip_prefix(&[0x02])?.split_first()?;
    let (digits, rest) = rest.split_at_checked(usize::from(len))?;
    let magnitude = match digits {
        [] => return None,
        [0, next, ..] if *next < 0x80 => return None,
        [0, rest @ ..] if !rest.is_empty() => rest,
        [first, ..] if *first >= 0x80 => return None,
        all => all,
    };
    let mut out = [0; 48];
    out.get_mut(48usize.checked_sub(magnitude.len())?..)?.copy_from_slice(magnitude);
    Some((out, rest))
}

/// Big-endian scalars in the file lack leading zeros or have one too many.
fn fixed_scalar(bytes: &[u8]) -> [u8; 48] {
    let significant = bytes.iter().position(|byte| *byte != 0).map_or(&[][..], |first| &bytes[first..]);
    let mut out = [0; 48];
    out[48 - significant.len()..].copy_from_slice(significant);
    out
}

/// Hands out fixed bytes as randomness.
struct Fixed(Vec<u8>);

impl TryRng for Fixed {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("encapsulation draws bytes")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("encapsulation draws bytes")
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        let rest = self.0.split_off(out.len());
        out.copy_from_slice(&self.0);
        self.0 = rest;
        Ok(())
    }
}

impl TryCryptoRng for Fixed {}
