//! What the token endpoint answers, as far as it counts.

use std::time::Duration;

use openidconnect::core::{
    CoreGenderClaim, CoreIdToken, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm,
    CoreTokenType,
};
use openidconnect::{
    AccessToken, EmptyAdditionalClaims, OAuth2TokenResponse, RefreshToken, Scope, TokenResponse,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An answer of the token endpoint. Only the ID token is used, so what belongs to the access token
/// may be written in any way: some providers write `expires_in` as text, or `scope` as a list.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TokenAnswer {
    id_token: Option<CoreIdToken>,
    /// Some providers answer with an error and the status 200.
    error: Option<Value>,
    #[serde(skip, default = "no_access_token")]
    access_token: AccessToken,
    #[serde(skip, default = "bearer")]
    token_type: CoreTokenType,
}

fn no_access_token() -> AccessToken {
    AccessToken::new(String::new())
}

fn bearer() -> CoreTokenType {
    CoreTokenType::Bearer
}

impl TokenAnswer {
    /// The error that it is instead of an answer with tokens.
    pub(super) fn error(&self) -> Option<&str> {
        self.error.as_ref().and_then(Value::as_str)
    }
}

impl OAuth2TokenResponse for TokenAnswer {
    type TokenType = CoreTokenType;

    /// Empty: it is not read.
    fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &CoreTokenType {
        &self.token_type
    }

    fn expires_in(&self) -> Option<Duration> {
        None
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        None
    }

    fn scopes(&self) -> Option<&Vec<Scope>> {
        None
    }
}

impl
    TokenResponse<
        EmptyAdditionalClaims,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    > for TokenAnswer
{
    fn id_token(&self) -> Option<&CoreIdToken> {
        self.id_token.as_ref()
    }
}
