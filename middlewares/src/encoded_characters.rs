//! `encodedCharacters` refuses paths that hold escapes of characters which servers read differently.

use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::path::{self, EncodedCharacter};
use crate::{Build, Defect, Exchange, Filter, Flow, Request, Response, Settings, Step};

/// Refuses requests whose path holds escapes of characters that servers read differently, unless
/// they are allowed here, with `400 Bad Request` and no body. The query may hold any.
///
/// ```yaml
/// http:
///   middlewares:
///     strict-paths:
///       encodedCharacters:
///         allowEncodedSlash: true # only this one
/// ```
///
/// An entry point has an option of the same name, in which all characters are allowed to begin with.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EncodedCharacters {
    /// Whether a path may hold an escaped slash, `%2F`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_encoded_slash: bool,
    /// Whether a path may hold an escaped backslash, `%5C`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_encoded_back_slash: bool,
    /// Whether a path may hold an escaped NUL, `%00`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_encoded_null_character: bool,
    /// Whether a path may hold an escaped semicolon, `%3B`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_encoded_semicolon: bool,
    /// Whether a path may hold an escaped percent sign, `%25`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_encoded_percent: bool,
    /// Whether a path may hold an escaped question mark, `%3F`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_encoded_question_mark: bool,
    /// Whether a path may hold an escaped hash, `%23`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_encoded_hash: bool,
}

impl Settings for EncodedCharacters {
    const KIND: &'static str = "encodedCharacters";

    fn compile(self, _: &mut dyn Build) -> Result<Vec<Step>, Defect> {
        let denied = [
            (self.allow_encoded_slash, EncodedCharacter::Slash),
            (self.allow_encoded_back_slash, EncodedCharacter::BackSlash),
            (self.allow_encoded_null_character, EncodedCharacter::NullCharacter),
            (self.allow_encoded_semicolon, EncodedCharacter::Semicolon),
            (self.allow_encoded_percent, EncodedCharacter::Percent),
            (self.allow_encoded_question_mark, EncodedCharacter::QuestionMark),
            (self.allow_encoded_hash, EncodedCharacter::Hash),
        ]
        .into_iter()
        .filter_map(|(is_allowed, character)| (!is_allowed).then_some(character))
        .collect();
        Ok(vec![Step::filter(Refuse { denied })])
    }
}

struct Refuse {
    denied: path::EncodedCharacters,
}

impl Filter for Refuse {
    fn request(&self, request: &mut Request, _: &Exchange) -> Flow {
        match path::find_encoded(request.target.path(), self.denied) {
            None => Flow::Next,
            Some(_) => Flow::Stop(Box::new(Response::new(StatusCode::BAD_REQUEST, ""))),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{TestBuild, request, run, settings, text};

    async fn status(yaml: &str, target: &str) -> u16 {
        let chain = TestBuild::new().compile("encodedCharacters", &settings(yaml)).unwrap();
        run(&chain, request("GET", "a.example", target, &[])).await.status.as_u16()
    }

    const ALL: [(&str, &str); 7] = [
        ("allowEncodedSlash", "/a%2Fb"),
        ("allowEncodedBackSlash", "/a%5Cb"),
        ("allowEncodedNullCharacter", "/a%00b"),
        ("allowEncodedSemicolon", "/a%3Bb"),
        ("allowEncodedPercent", "/a%252Fb"),
        ("allowEncodedQuestionMark", "/a%3Fb"),
        ("allowEncodedHash", "/a%23b"),
    ];

    #[tokio::test]
    async fn each_option_allows_one_character() {
        for (option, _) in ALL {
            for (other, target) in ALL {
                let expected = if option == other { 200 } else { 400 };
                let yaml = format!("{option}: true");
                assert_eq!(status(&yaml, target).await, expected, "{option} {target}");
            }
        }
    }

    #[tokio::test]
    async fn all_are_refused_without_options() {
        for (_, target) in ALL {
            assert_eq!(status("{}", target).await, 400, "{target}");
        }
    }

    #[tokio::test]
    async fn other_escapes_and_queries_pass() {
        assert_eq!(status("{}", "/a%20b?x=%2F").await, 200);
    }

    #[tokio::test]
    async fn refusal_is_empty() {
        let chain = TestBuild::new().compile("encodedCharacters", &settings("{}")).unwrap();
        let response = run(&chain, request("GET", "a.example", "/%2F", &[])).await;
        assert!(response.headers.is_empty());
        assert_eq!(text(response).await, "");
    }
}
