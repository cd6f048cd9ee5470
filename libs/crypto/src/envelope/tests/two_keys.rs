//! AES-GCM does not commit to its key: who knows two keys can make one ciphertext that opens under both. The
//! commitment is what stops such an envelope (KEY-02).

use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;

use super::*;

/// A block as an element of GCM's field: the first bit of the first byte is the coefficient of x^0.
type Element = u128;

fn multiply(x: Element, y: Element) -> Element {
    let (mut product, mut shifted) = (0, x);
    for bit in (0..128).rev() {
        if y >> bit & 1 == 1 {
            product ^= shifted;
        }
        shifted = (shifted >> 1) ^ if shifted & 1 == 1 { 0xe1 << 120 } else { 0 };
    }
    product
}

/// x^(2^128 - 2).
fn invert(x: Element) -> Element {
    let mut result = 1 << 127;
    for _ in 0..127 {
        result = multiply(multiply(result, result), x);
    }
    multiply(result, result)
}

fn aes_block(key: &[u8; 32], block: u128) -> u128 {
    let mut zeros = [0; 16];
    let key = EncryptingKey::ctr(UnboundCipherKey::new(&AES_256, key).expect("32 bytes")).expect("a key");
    let iv = EncryptionContext::Iv128(FixedLength::from(&block.to_be_bytes()));
    key.less_safe_encrypt(&mut zeros, iv).expect("encrypts");
    u128::from_be_bytes(zeros)
}

fn ghash(key: Element, blocks: &[Element]) -> Element {
    blocks.iter().fold(0, |hash, block| multiply(hash ^ block, key))
}

/// Ciphertext of one block and its tag, valid under both keys for the nonce 0 and `aad`.
fn valid_under_both(keys: &[[u8; 32]; 2], aad: &[u8]) -> Vec<u8> {
    let mut blocks: Vec<Element> = aad
        .chunks(16)
        .map(|chunk| {
            let mut block = [0; 16];
            block[..chunk.len()].copy_from_slice(chunk);
            u128::from_be_bytes(block)
        })
        .collect();
    let ciphertext = blocks.len();
    blocks.extend([0, (aad.len() as u128 * 8) << 64 | 128]);

    let [one, two] = keys.map(|key| (aes_block(&key, 0), aes_block(&key, 1)));
    let tag = |(hash_key, mask): (Element, Element), blocks: &[Element]| mask ^ ghash(hash_key, blocks);
    // With a zero block the tags differ by this much; the block counts with the square of the hash key.
    let difference = tag(one, &blocks) ^ tag(two, &blocks);
    blocks[ciphertext] = multiply(
        difference,
        invert(multiply(one.0, one.0) ^ multiply(two.0, two.0)),
    );
    [blocks[ciphertext].to_be_bytes(), tag(one, &blocks).to_be_bytes()].concat()
}

#[test]
fn a_ciphertext_made_for_two_keys_opens_under_one_at_most() {
    let (id, aad) = ([7; MESSAGE_ID_BYTES], place().encode().expect("complete"));
    let derived = [1_u8, 2].map(|byte| {
        let mut derived = [0; 64];
        expand(&[byte; 32], &[Domain::Value.label(), &id], &mut derived).expect("derives");
        derived
    });
    let ciphers = derived.map(|derived| *derived.first_chunk::<32>().expect("64 bytes"));
    let prefix = prefix(1);
    let aad = aad.after(&prefix);
    let sealed = valid_under_both(&ciphers, &aad);

    for cipher in ciphers {
        let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &cipher).expect("32 bytes"));
        let opened = cipher
            .open_in_place(nonce(), Aad::from(&aad), &mut sealed.clone())
            .is_ok();
        assert!(opened, "AES-GCM alone takes it under both keys");
    }
    for (position, derived) in derived.iter().enumerate() {
        let envelope = [&prefix[..], &id, &derived[32..], &sealed].concat();
        let opened = [1, 2].map(|byte| open(&key(byte), &envelope, &place()).map(|_| ()));
        assert_eq!(opened[position], Ok(()));
        assert_eq!(opened[1 - position], Err(CryptoError::WrongKey));
    }
}
