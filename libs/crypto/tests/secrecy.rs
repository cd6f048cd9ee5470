//! Key bytes are in one place, show themselves to nobody, and are overwritten when dropped (KEY-07, KEY-08). The last is
//! seen and not believed: Linux lets a process read its own memory as a file, also where nothing lives any more.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use causeway_crypto::{AccessTokenKeys, Associated, DataKey, LocalRing, ServiceTokenKeys, open, seal, token};
use uuid::Uuid;
use zeroize::Zeroizing;

/// Does not compile if the type has the trait: then two impls would fit, and the compiler could not choose.
macro_rules! assert_lacks {
    ($type:ty: $($bound:path),+) => {$(
        const _: fn() = || {
            trait Ambiguous<A> {
                fn choose() {}
            }
            struct HasIt;
            impl<T: ?Sized> Ambiguous<()> for T {}
            impl<T: ?Sized + $bound> Ambiguous<HasIt> for T {}
            <$type as Ambiguous<_>>::choose();
        };
    )+};
}

assert_lacks!(DataKey: std::fmt::Debug, std::fmt::Display, Clone, Copy, Default, PartialEq, serde::Serialize, serde::de::DeserializeOwned);
assert_lacks!(DataKey: AsRef<[u8]>, std::ops::Deref, Into<Vec<u8>>, Into<[u8; 32]>);
assert_lacks!(LocalRing: std::fmt::Debug, Clone, serde::Serialize);
assert_lacks!(AccessTokenKeys: Clone, serde::Serialize);
assert_lacks!(ServiceTokenKeys: Clone, serde::Serialize);
assert_lacks!(token::RefreshTokenKey: std::fmt::Debug, Clone, serde::Serialize);
assert_lacks!(token::Minted: std::fmt::Debug, Clone, serde::Serialize);

fn own_memory() -> File {
    File::open("/proc/self/mem").expect("Linux")
}

fn address(bytes: &[u8]) -> u64 {
    bytes.as_ptr().expose_provenance() as u64
}

/// What lies at an address now, whoever owns it.
fn read<const N: usize>(memory: &File, address: u64) -> [u8; N] {
    let mut bytes = [0; N];
    memory.read_exact_at(&mut bytes, address).expect("a mapped page");
    bytes
}

/// The allocator writes its own notes into the first bytes of what it gets back; the rest stays as it was left.
const NOTES: usize = 16;

#[test]
fn the_probe_sees_what_a_key_without_care_leaves_behind() {
    let memory = own_memory();
    let careless = Box::new([0xa5_u8; 32]);
    let at = address(&*careless);
    drop(careless);
    assert_eq!(read::<32>(&memory, at)[NOTES..], [0xa5; 16]);
}

#[test]
fn a_dropped_key_leaves_nothing_behind() {
    let memory = own_memory();
    let key = DataKey::from_bytes(&[0xa5; 32]).expect("32 bytes");
    let at = address(key.expose_bytes());
    assert_eq!(read::<32>(&memory, at), [0xa5; 32]);
    drop(key);
    assert_eq!(read::<32>(&memory, at)[NOTES..], [0; 16]);

    let key = DataKey::generate().expect("random bytes");
    let at = address(key.expose_bytes());
    assert_ne!(read::<32>(&memory, at)[NOTES..], [0; 16]);
    drop(key);
    assert_eq!(read::<32>(&memory, at)[NOTES..], [0; 16]);
}

#[test]
fn a_moved_key_stays_where_it_was_made() {
    let key = DataKey::from_bytes(&[0xa5; 32]).expect("32 bytes");
    let at = address(key.expose_bytes());
    let holder = vec![Some(key)];
    let moved = holder.into_iter().next().flatten().expect("a key");
    assert_eq!(
        address(moved.expose_bytes()),
        at,
        "a move copies the address and not the bytes"
    );
}

#[test]
fn an_opened_value_leaves_nothing_behind_either() {
    let memory = own_memory();
    let key = DataKey::generate().expect("random bytes");
    let place = Associated {
        workspace: Uuid::from_u128(1),
        table: "t",
        column: "c",
        row: "r",
        version: 1,
        purpose: "p",
    };
    let envelope = seal(&key, 1, &[0xa5; 64], &place).expect("seals");
    let opened: Zeroizing<Vec<u8>> = open(&key, &envelope, &place).expect("opens");
    let at = address(&opened);
    assert_eq!(read::<64>(&memory, at), [0xa5; 64]);
    drop(opened);
    assert_eq!(read::<64>(&memory, at)[NOTES..], [0; 48]);
}
