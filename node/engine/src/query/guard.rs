//! What is refused before a parser sees it: a long chain of operators makes a tree so deep that walking it ends the process.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::fault::QueryFault;

/// The longest question. 64 KiB.
pub(super) const QUESTION_BYTES_MAX: usize = 64 << 10;
/// Words, numbers and signs of one question.
pub(super) const TOKENS_MAX: usize = 4_000;
/// Parentheses, brackets and CASEs within each other.
pub(super) const DEPTH_MAX: usize = 24;
/// Operators of one question: each may make the tree one deeper.
pub(super) const OPERATORS_MAX: usize = 256;

/// Words that make the tree deeper without a sign. Those that begin something are counted as deep as they nest.
const DEEPENING: [&str; 23] = [
    "AND",
    "OR",
    "NOT",
    "LIKE",
    "ILIKE",
    "SIMILAR",
    "IS",
    "IN",
    "BETWEEN",
    "JOIN",
    "UNION",
    "INTERSECT",
    "EXCEPT",
    "SELECT",
    "INTERVAL",
    "COLLATE",
    "AT",
    "OVER",
    "DIV",
    "XOR",
    "RLIKE",
    "REGEXP",
    "PRIOR",
];

/// Counts words, depth and operators.
///
/// # Errors
/// [`QueryFault::TooLong`], [`QueryFault::TooWide`], [`QueryFault::TooDeep`] or [`QueryFault::Syntax`].
pub(crate) fn check(question: &str) -> Result<(), QueryFault> {
    if question.len() > QUESTION_BYTES_MAX {
        return Err(QueryFault::TooLong { bytes_max: QUESTION_BYTES_MAX });
    }
    let tokens = Tokenizer::new(&GenericDialect {}, question).tokenize().map_err(|_| QueryFault::Syntax)?;
    let (mut words, mut depth, mut operators) = (0_usize, 0_usize, 0_usize);
    let too_deep = QueryFault::TooDeep { depth_max: DEPTH_MAX, operators_max: OPERATORS_MAX };
    for token in &tokens {
        match token {
            Token::Whitespace(_) | Token::EOF => continue,
            Token::LParen | Token::LBracket | Token::LBrace => depth += 1,
            Token::RParen | Token::RBracket | Token::RBrace => depth = depth.saturating_sub(1),
            Token::Word(word) if word.quote_style.is_none() => {
                let word = word.value.to_ascii_uppercase();
                match word.as_str() {
                    "CASE" => depth += 1,
                    "END" => depth = depth.saturating_sub(1),
                    other if DEEPENING.contains(&other) => operators += 1,
                    _ => {}
                }
            }
            plain if is_plain(plain) => {}
            // Whatever else there is, is a sign that may be an operator.
            _ => operators += 1,
        }
        words += 1;
        if depth > DEPTH_MAX || operators > OPERATORS_MAX {
            return Err(too_deep);
        }
        if words > TOKENS_MAX {
            return Err(QueryFault::TooWide { tokens_max: TOKENS_MAX });
        }
    }
    Ok(())
}

/// What is no operator: a name, a number, a text, what separates them.
fn is_plain(token: &Token) -> bool {
    matches!(
        token,
        Token::Comma
            | Token::SemiColon
            | Token::Period
            | Token::Number(..)
            | Token::Word(_)
            | Token::SingleQuotedString(_)
            | Token::DoubleQuotedString(_)
            | Token::NationalStringLiteral(_)
            | Token::EscapedStringLiteral(_)
            | Token::HexStringLiteral(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_deep_or_wide_is_refused_and_what_is_not_is_not() {
        let deep = |count| format!("SELECT {}1{}", "(".repeat(count), ")".repeat(count));
        let chain = |sign: &str, count| format!("SELECT 1{}", format!("{sign}1").repeat(count));
        let wide = |count| format!("SELECT {}", vec!["1"; count].join(","));
        let nots = |count| format!("SELECT {}true", "NOT ".repeat(count));
        let cases = |count| format!("SELECT {}1{}", "CASE WHEN true THEN ".repeat(count), " END".repeat(count));
        assert_eq!(check(&deep(DEPTH_MAX)), Ok(()));
        assert!(matches!(check(&deep(DEPTH_MAX + 1)), Err(QueryFault::TooDeep { .. })));
        // SELECT itself is one of them.
        for sign in ["+", "*", "||", " AND ", " OR ", "=", "::", "->", " IS NOT DISTINCT FROM "] {
            let each = check(&chain(sign, 1)).is_ok();
            assert!(each && matches!(check(&chain(sign, OPERATORS_MAX)), Err(QueryFault::TooDeep { .. })), "{sign}");
        }
        assert_eq!(check(&chain("+", OPERATORS_MAX - 1)), Ok(()));
        assert!(matches!(check(&nots(OPERATORS_MAX)), Err(QueryFault::TooDeep { .. })));
        assert!(matches!(check(&cases(DEPTH_MAX + 1)), Err(QueryFault::TooDeep { .. })));
        assert_eq!(check(&wide(TOKENS_MAX / 2)), Ok(()));
        assert!(matches!(check(&wide(TOKENS_MAX)), Err(QueryFault::TooWide { .. })));
        for (open, close) in [("[", "]"), ("{", "}"), ("(", ")")] {
            let deep = |count| format!("SELECT {}1{}", open.repeat(count), close.repeat(count));
            assert_eq!(check(&deep(DEPTH_MAX)), Ok(()), "{open}");
            assert!(matches!(check(&deep(DEPTH_MAX + 1)), Err(QueryFault::TooDeep { .. })), "{open}");
        }
        // Spelled out: a word that is taken off the list is missed here.
        let words = "AND OR NOT LIKE ILIKE SIMILAR IS IN BETWEEN JOIN UNION INTERSECT EXCEPT SELECT INTERVAL COLLATE AT OVER DIV \
                     XOR RLIKE REGEXP PRIOR and Union";
        for word in words.split_whitespace() {
            assert_eq!(check(&chain(&format!(" {word} "), OPERATORS_MAX - 1)), Ok(()), "{word}");
            assert!(
                matches!(check(&chain(&format!(" {word} "), OPERATORS_MAX)), Err(QueryFault::TooDeep { .. })),
                "{word}"
            );
        }
        // Quoted it is a name, and a sign within a text is none.
        assert_eq!(check(&chain(" \"AND\" ", OPERATORS_MAX)), Ok(()));
        assert_eq!(check(&format!("SELECT '{}'", "+(".repeat(OPERATORS_MAX))), Ok(()));
        let long = format!("SELECT '{}'", "x".repeat(QUESTION_BYTES_MAX));
        assert!(matches!(check(&long), Err(QueryFault::TooLong { .. })));
        assert_eq!(check("SELECT 'open"), Err(QueryFault::Syntax));
    }
}
