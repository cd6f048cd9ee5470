//! The provider of development, tests and air-gapped sites: no network, no key, and the same conversation always gets
//! the same answer (B-LLM-2, B-LLM-18).

use async_trait::async_trait;
use futures::{StreamExt as _, stream};

use super::{Completion, ModelCall, Piece, Pieces, Provider};
use crate::domain::{Finish, Role, Turn, Usage, tokens_in, tokens_of};
use crate::error::ProviderError;

/// The name of the provider and of its one model.
pub(crate) const MOCK: &str = "mock";

const QUOTE_CHARS: usize = 120;
const WORDS_PER_PIECE: usize = 3;

/// What an answer begins with; the conversation decides which.
const OPENINGS: [&str; 4] = [
    "Here is a short answer.",
    "Let me take this step by step.",
    "There are a few things to consider.",
    "In brief:",
];

/// Answers without a model.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mock;

#[async_trait]
impl Provider for Mock {
    fn name(&self) -> &'static str {
        MOCK
    }

    async fn generate(&self, call: &ModelCall) -> Result<Completion, ProviderError> {
        Ok(answer(call))
    }

    async fn stream(&self, call: &ModelCall) -> Result<Pieces, ProviderError> {
        let Completion {
            content,
            finish,
            usage,
            ..
        } = answer(call);
        let mut pieces: Vec<Piece> = pieces_of(&content).into_iter().map(Piece::Text).collect();
        pieces.push(Piece::End { finish, usage });
        Ok(stream::iter(pieces).map(Ok).boxed())
    }
}

fn answer(call: &ModelCall) -> Completion {
    let mut content = text(&call.turns);
    let mut finish = Finish::Stop;
    if let Some(at) = call.stop.iter().filter_map(|stop| content.find(stop)).min() {
        content.truncate(at);
    }
    let longest = usize::try_from(call.max_tokens)
        .unwrap_or(usize::MAX)
        .saturating_mul(4);
    if let Some((end, _)) = content.char_indices().nth(longest) {
        content.truncate(end);
        finish = Finish::Length;
    }
    let usage = Usage {
        input_tokens: tokens_of(&call.turns),
        output_tokens: tokens_in(&content),
        estimated: false,
    };
    Completion {
        model: MOCK.to_owned(),
        content,
        finish,
        usage: Some(usage),
    }
}

fn text(turns: &[Turn]) -> String {
    let opening = OPENINGS[fingerprint(turns) % OPENINGS.len()];
    let asked = turns
        .iter()
        .rev()
        .find(|turn| turn.role == Role::User)
        .or(turns.last());
    let asked: Vec<&str> = asked
        .map(|turn| turn.content.split_whitespace().collect())
        .unwrap_or_default();
    let asked = asked.join(" ");
    let quote = match asked.char_indices().nth(QUOTE_CHARS) {
        Some((end, _)) => format!("{}...", &asked[..end]),
        None => asked,
    };
    let before = match turns.len() {
        1 => String::new(),
        count => format!(" This conversation has {count} messages so far."),
    };
    format!(
        "{opening} You asked: \"{quote}\".{before} This answer comes from the mock provider, which needs no key and \
         gives the same answer to the same conversation."
    )
}

/// FNV-1a over roles and contents: the same on every machine and in every version.
fn fingerprint(turns: &[Turn]) -> usize {
    let bytes = turns
        .iter()
        .flat_map(|turn| [turn.role.as_str().as_bytes(), turn.content.as_bytes(), &[0]])
        .flatten();
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash >> 33) as usize
}

fn pieces_of(content: &str) -> Vec<String> {
    let words: Vec<&str> = content.split_inclusive(' ').collect();
    words.chunks(WORDS_PER_PIECE).map(<[&str]>::concat).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn call(turns: &[(Role, &str)], max_tokens: u32, stop: &[&str]) -> ModelCall {
        ModelCall {
            model: MOCK.to_owned(),
            turns: turns
                .iter()
                .map(|(role, content)| Turn {
                    role: *role,
                    content: (*content).to_owned(),
                })
                .collect(),
            max_tokens,
            temperature: None,
            top_p: None,
            stop: stop.iter().map(|stop| (*stop).to_owned()).collect(),
            timeout: Duration::from_secs(1),
        }
    }

    #[tokio::test]
    async fn the_same_conversation_gets_the_same_answer_and_another_a_different_one() {
        let ask = async |text| {
            Mock.generate(&call(&[(Role::User, text)], 1024, &[]))
                .await
                .unwrap()
        };
        assert_eq!(ask("What is a mesh?").await, ask("What is a mesh?").await);
        assert_ne!(
            ask("What is a mesh?").await.content,
            ask("What is a gateway?").await.content
        );
        assert!(ask("What is a mesh?").await.content.contains("What is a mesh?"));
    }

    #[tokio::test]
    async fn streamed_and_whole_answers_are_the_same_text_in_several_pieces() {
        let call = call(
            &[(Role::System, "Be kind."), (Role::User, "Hello there")],
            1024,
            &[],
        );
        let whole = Mock.generate(&call).await.unwrap();
        let pieces: Vec<Piece> = Mock
            .stream(&call)
            .await
            .unwrap()
            .map(Result::unwrap)
            .collect()
            .await;
        let text: String = pieces
            .iter()
            .map(|piece| if let Piece::Text(text) = piece { text } else { "" })
            .collect();
        assert_eq!(text, whole.content);
        assert!(pieces.len() > 4);
        assert_eq!(
            pieces.last(),
            Some(&Piece::End {
                finish: whole.finish,
                usage: whole.usage
            })
        );
    }

    #[tokio::test]
    async fn length_and_stop_sequences_are_respected() {
        let short = Mock
            .generate(&call(&[(Role::User, "Hello")], 2, &[]))
            .await
            .unwrap();
        assert_eq!((short.content.chars().count(), short.finish), (8, Finish::Length));
        assert_eq!(short.usage.map(|usage| usage.output_tokens), Some(2));
        let stopped = Mock
            .generate(&call(&[(Role::User, "Hello")], 1024, &["You asked", "mock"]))
            .await
            .unwrap();
        assert!(!stopped.content.contains("You asked"));
        assert_eq!(stopped.finish, Finish::Stop);
    }
}
