//! Tokens that services show each other.

use std::fmt;

use crate::auth::bearer;
use crate::error::ApiError;

/// The token that callers of a group of internal routes must show. It is compared in constant time and never printed.
#[derive(Clone)]
pub struct BearerToken(Box<[u8]>);

impl BearerToken {
    /// Callers must show `token`.
    pub fn new(token: &str) -> Self {
        Self(token.as_bytes().into())
    }

    /// Whether the value of an `Authorization` header shows this token.
    pub(crate) fn admits(&self, header: Option<&str>) -> Result<(), ApiError> {
        let shown = header.and_then(bearer).ok_or(ApiError::Unauthorized)?;
        if rend_token::ct_eq(&self.0, shown.as_bytes()) { Ok(()) } else { Err(ApiError::Unauthorized) }
    }

    /// The value of an `Authorization` header that shows this token.
    pub(crate) fn header(&self) -> String {
        format!("Bearer {}", String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_admitted() {
        let token = BearerToken::new("secret-of-the-edges");
        assert!(token.admits(Some(&token.header())).is_ok());
        assert!(token.admits(Some("bearer secret-of-the-edges")).is_ok());
        for header in
            [None, Some(""), Some("Bearer"), Some("Bearer secret-of-the-edge"), Some("Basic secret-of-the-edges")]
        {
            assert!(matches!(token.admits(header), Err(ApiError::Unauthorized)), "{header:?}");
        }
        assert_eq!(format!("{token:?}"), "BearerToken");
    }
}
