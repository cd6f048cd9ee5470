//! Conversations and answers; no IO, no clock, no wire.

use causeway_errors::{ApiError, Violation};

/// Who speaks in a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Sets the stage.
    System,
    /// Asks.
    User,
    /// Answered before.
    Assistant,
}

impl Role {
    /// The word in messages, and in the wire forms of the providers.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::System, Self::User, Self::Assistant]
            .into_iter()
            .find(|role| role.as_str() == word)
    }
}

/// One turn of a conversation.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

/// A conversation with the wishes of its caller, valid in itself.
#[derive(Clone, PartialEq)]
pub(crate) struct Conversation {
    /// At least one.
    pub turns: Vec<Turn>,
    /// The length that the caller asks for.
    pub max_tokens: Option<u32>,
    /// 0 to 2.
    pub temperature: Option<f64>,
    /// 0 to 1.
    pub top_p: Option<f64>,
    /// At most [`MAX_STOPS`], none empty.
    pub stop: Vec<String>,
}

/// The most turns of a conversation.
pub(crate) const MAX_TURNS: usize = 1000;
/// The most sequences that end an answer.
pub(crate) const MAX_STOPS: usize = 4;
const MAX_STOP_BYTES: usize = 256;

/// A conversation as it came, not yet checked.
pub(crate) struct Draft {
    /// Role and content of each turn.
    pub turns: Vec<(String, String)>,
    /// 0 means "not said".
    pub max_tokens: i32,
    /// The temperature.
    pub temperature: Option<f64>,
    /// The share of probability.
    pub top_p: Option<f64>,
    /// The stop sequences.
    pub stop: Vec<String>,
}

impl Draft {
    /// The conversation, if every field of the draft is right.
    ///
    /// # Errors
    /// Every wrong field with its path.
    pub(crate) fn check(self) -> Result<Conversation, ApiError> {
        let mut wrong = Vec::new();
        let turns = check_turns(self.turns, &mut wrong);
        let mut wrong_if = |condition: bool, field: &str, description: &str| {
            if condition {
                wrong.push(Violation {
                    field: field.to_owned(),
                    description: description.to_owned(),
                });
            }
        };
        wrong_if(self.max_tokens < 0, "max_tokens", "must not be negative");
        wrong_if(
            is_outside(self.temperature, 2.0),
            "temperature",
            "must be from 0 to 2",
        );
        wrong_if(is_outside(self.top_p, 1.0), "top_p", "must be from 0 to 1");
        wrong_if(
            self.stop.len() > MAX_STOPS,
            "stop",
            "must have at most 4 sequences",
        );
        for (index, stop) in self.stop.iter().enumerate() {
            wrong_if(stop.is_empty(), &format!("stop[{index}]"), "must not be empty");
            wrong_if(
                stop.len() > MAX_STOP_BYTES,
                &format!("stop[{index}]"),
                "must have at most 256 bytes",
            );
        }
        if !wrong.is_empty() {
            return Err(ApiError::violations(wrong));
        }
        Ok(Conversation {
            turns,
            max_tokens: u32::try_from(self.max_tokens).ok().filter(|tokens| *tokens > 0),
            temperature: self.temperature,
            top_p: self.top_p,
            stop: self.stop,
        })
    }
}

fn check_turns(drafts: Vec<(String, String)>, wrong: &mut Vec<Violation>) -> Vec<Turn> {
    let mut wrong_at = |field: String, description: &str| {
        wrong.push(Violation {
            field,
            description: description.to_owned(),
        });
    };
    if drafts.is_empty() {
        wrong_at("messages".to_owned(), "must have at least one message");
    }
    if drafts.len() > MAX_TURNS {
        wrong_at("messages".to_owned(), "must have at most 1000 messages");
        return Vec::new();
    }
    let mut turns = Vec::with_capacity(drafts.len());
    for (index, (role, content)) in drafts.into_iter().enumerate() {
        let Some(role) = Role::parse(&role) else {
            wrong_at(
                format!("messages[{index}].role"),
                "must be system, user or assistant",
            );
            continue;
        };
        // An earlier answer may have been empty; a question may not.
        if content.is_empty() && role != Role::Assistant {
            wrong_at(format!("messages[{index}].content"), "must not be empty");
        }
        turns.push(Turn { role, content });
    }
    turns
}

fn is_outside(value: Option<f64>, top: f64) -> bool {
    // Written so that NaN is outside too.
    value.is_some_and(|value| !(0.0..=top).contains(&value))
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    /// It was complete, or met a stop sequence.
    Stop,
    /// It was as long as it may be.
    Length,
    /// The provider held it back.
    ContentFilter,
}

impl Finish {
    /// The word in messages.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ContentFilter => "content_filter",
        }
    }
}

/// Tokens of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Usage {
    /// Read.
    pub input_tokens: u64,
    /// Made.
    pub output_tokens: u64,
    /// Whether the provider did not say, and the numbers follow [`tokens_in`].
    pub estimated: bool,
}

impl Usage {
    /// What a conversation and an answer to it cost by our own rule.
    pub(crate) fn estimate(turns: &[Turn], output_chars: usize) -> Self {
        Self {
            input_tokens: tokens_of(turns),
            output_tokens: tokens(output_chars),
            estimated: true,
        }
    }
}

/// Our rule where nobody counts for us: a token is four characters.
pub(crate) fn tokens_in(text: &str) -> u64 {
    tokens(text.chars().count())
}

/// The same rule over a conversation; each turn costs four tokens more, for its frame.
pub(crate) fn tokens_of(turns: &[Turn]) -> u64 {
    turns.iter().map(|turn| 4 + tokens_in(&turn.content)).sum()
}

fn tokens(chars: usize) -> u64 {
    chars.div_ceil(4) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(turns: &[(&str, &str)]) -> Draft {
        Draft {
            turns: turns
                .iter()
                .map(|(role, content)| ((*role).to_owned(), (*content).to_owned()))
                .collect(),
            max_tokens: 0,
            temperature: None,
            top_p: None,
            stop: Vec::new(),
        }
    }

    fn fields(draft: Draft) -> Vec<String> {
        match draft.check() {
            Ok(_) => Vec::new(),
            Err(error) => error
                .violations
                .into_iter()
                .map(|violation| violation.field)
                .collect(),
        }
    }

    #[test]
    fn every_wrong_field_is_named_at_once() {
        let wrong = Draft {
            max_tokens: -1,
            temperature: Some(f64::NAN),
            top_p: Some(1.1),
            stop: vec![String::new()],
            ..draft(&[("user", "hi"), ("robot", "beep"), ("user", "")])
        };
        let expected = [
            "messages[1].role",
            "messages[2].content",
            "max_tokens",
            "temperature",
            "top_p",
            "stop[0]",
        ];
        assert_eq!(fields(wrong), expected);
    }

    #[test]
    fn a_conversation_has_a_turn_and_not_too_many() {
        assert_eq!(fields(draft(&[])), ["messages"]);
        assert_eq!(fields(draft(&vec![("user", "x"); MAX_TURNS + 1])), ["messages"]);
        assert_eq!(
            fields(draft(&vec![("user", "x"); MAX_TURNS])),
            Vec::<String>::new()
        );
    }

    #[test]
    fn at_most_four_stop_sequences() {
        let with = |count: usize| Draft {
            stop: vec!["x".to_owned(); count],
            ..draft(&[("user", "hi")])
        };
        assert_eq!(fields(with(4)), Vec::<String>::new());
        assert_eq!(fields(with(5)), ["stop"]);
    }

    #[test]
    fn the_limits_themselves_are_allowed_and_zero_tokens_means_not_said() {
        let edge = Draft {
            temperature: Some(2.0),
            top_p: Some(0.0),
            ..draft(&[("user", "hi"), ("assistant", "")])
        };
        let conversation = edge.check().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((conversation.max_tokens, conversation.turns.len()), (None, 2));
    }

    #[test]
    fn four_characters_are_a_token() {
        assert_eq!([tokens_in(""), tokens_in("abcd"), tokens_in("äöüßx")], [0, 1, 2]);
        let turns = [Turn {
            role: Role::User,
            content: "abcd".to_owned(),
        }];
        assert_eq!(tokens_of(&turns), 5);
    }
}
