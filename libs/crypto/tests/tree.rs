//! B-TEN-26: no file of this repository holds a key that anything real could lie under.

use std::fs;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The files that are committed; none outside of a checkout.
fn committed() -> Vec<String> {
    let listed = Command::new("git").args(["-C", ROOT, "ls-files", "-z"]).output();
    let Some(listed) = listed.ok().filter(|listed| listed.status.success()) else {
        println!("skipped: not a checkout");
        return Vec::new();
    };
    let names = String::from_utf8(listed.stdout).expect("names are UTF-8");
    names.split_terminator('\0').map(str::to_owned).collect()
}

/// Every piece of `text` that is as long as a master key and reads as one.
fn master_keys(text: &str) -> Vec<[u8; 32]> {
    let in_base64 = |letter: char| letter.is_ascii_alphanumeric() || "+/".contains(letter);
    text.split_inclusive(|letter| !in_base64(letter))
        .filter(|piece| piece.len() == 44 && piece.ends_with('='))
        .filter_map(|piece| STANDARD.decode(piece).ok()?.try_into().ok())
        .collect()
}

/// Counts up, or says one number only: nobody drew it.
fn is_made_up(key: &[u8; 32]) -> bool {
    let step = key[1].wrapping_sub(key[0]);
    step <= 1 && key.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == step)
}

#[test]
fn no_master_key_is_committed() {
    for name in committed() {
        let Ok(text) = fs::read_to_string(Path::new(ROOT).join(&name)) else {
            continue;
        };
        for key in master_keys(&text) {
            assert!(is_made_up(&key), "{name} holds what reads as a master key");
        }
    }
}

#[test]
fn of_files_with_settings_only_the_example_is_committed() {
    let settings: Vec<String> = committed()
        .into_iter()
        .filter(|name| {
            let file = name.rsplit('/').next().unwrap_or_default();
            file.starts_with(".env") && file != ".env.example"
        })
        .collect();
    assert_eq!(settings, [""; 0]);
}

#[test]
fn a_drawn_key_would_be_found_wherever_it_stands() {
    let drawn: [u8; 32] = std::array::from_fn(|at| (at as u8).wrapping_mul(37) ^ 0x5b);
    let text = STANDARD.encode(drawn);
    for line in [
        format!("CAUSELOOP_MASTER_KEY={text}\n"),
        format!("key: \"{text}\""),
        text.clone(),
    ] {
        assert_eq!(master_keys(&line), [drawn], "{line}");
    }
    assert!(!is_made_up(&drawn));
    assert!(is_made_up(&[7; 32]) && is_made_up(&std::array::from_fn(|at| at as u8)));
}
