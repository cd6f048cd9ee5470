use proptest::prelude::*;

use super::*;

fn one(text: &str) -> String {
    let mut entries = parse(text).unwrap();
    assert_eq!(entries.len(), 1, "{text:?}");
    entries.remove(0).value
}

fn message(text: &str) -> (usize, &'static str) {
    let bad = parse(text).unwrap_err();
    (bad[0].line, bad[0].message)
}

#[test]
fn bare_values_are_trimmed_and_lose_their_comment() {
    assert_eq!(one("A=b"), "b");
    assert_eq!(one("  export A = b c  # why"), "b c");
    assert_eq!(one("A=b#c"), "b#c");
    assert_eq!(one("A="), "");
    assert_eq!(one("A= # nothing"), "");
    assert_eq!(one("A=b==\r\n"), "b==");
    assert_eq!(one("\u{feff}A=b"), "b");
    assert_eq!(one("export=1"), "1");
}

#[test]
fn quoted_values_keep_spaces_hashes_and_line_ends() {
    assert_eq!(one("A=' b # c '"), " b # c ");
    assert_eq!(one("A=\"b\\nc\\\"d\\\\\" # why"), "b\nc\"d\\");
    assert_eq!(one("A='x\r\ny'"), "x\ny");
    assert_eq!(one("A='${B}'"), "${B}");
    assert_eq!(one("A=\"\\${B}\""), "${B}");
    let entries = parse("A=\"-----\nkey\n-----\"\nB=2\n").unwrap();
    assert_eq!((entries[1].line, entries[1].value.as_str()), (4, "2"));
}

#[test]
fn every_wrong_line_is_named_without_its_value() {
    let bad = parse("A=1\nhunter2\nB C=hunter2\n1A=x\nD=#x\n").unwrap_err();
    assert_eq!(bad.iter().map(|bad| bad.line).collect::<Vec<_>>(), [2, 3, 4, 5]);
    assert!(!format!("{bad:?}").contains("hunter2"));
}

#[test]
fn what_readers_disagree_about_is_refused() {
    assert_eq!(message("\nA='open").0, 2);
    assert_eq!(message("A=\"open\\\"").1, "the quote is not closed");
    assert_eq!(message("A='b'c").1, "there is text after the closing quote");
    assert!(message("A=\"\\q\"").1.contains("escape"));
    assert!(message("A=pre${B}").1.contains("expanded"));
    assert!(message("A=\"${B}\"").1.contains("expanded"));
    assert!(message("A=b\0").1.contains("NUL"));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_without_panic(text in "\\PC*|[A-Z='\"#\\\\$\\{\\}\r\n \t]*") {
        drop(parse(&text));
    }

    #[test]
    fn a_value_in_single_quotes_comes_back(value in "[^'\r\0]*") {
        prop_assert_eq!(one(&format!("KEY='{value}'")), value);
    }

    #[test]
    fn an_escaped_value_in_double_quotes_comes_back(value in "[^\0]*") {
        let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$").replace('\r', "\\r");
        prop_assert_eq!(one(&format!("KEY=\"{escaped}\"")), value);
    }
}
