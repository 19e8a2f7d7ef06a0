//! The syntax of a session description (RFC 8866), as far as an offer needs it: m-lines and
//! attributes, borrowed from the text. The crate `sdp-types` reads more; with it the component was
//! 33 kB larger and a join took 180,000 more instructions (of 3.9 million). The tests hold this
//! reader against it.

/// A session description: what stands before the first m-line, and the m-lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Description<'a> {
    pub(super) attributes: Vec<Attribute<'a>>,
    pub(super) media: Vec<Media<'a>>,
}

/// One m-line with what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Media<'a> {
    pub(super) media: &'a str,
    pub(super) port: u16,
    pub(super) proto: &'a str,
    /// One or more formats, separated by single spaces.
    pub(super) formats: &'a str,
    pub(super) attributes: Vec<Attribute<'a>>,
}

/// `a=name` or `a=name:value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attribute<'a> {
    pub(super) name: &'a str,
    pub(super) value: Option<&'a str>,
}

/// A line that is not SDP: its number, from 1, and the rule that it breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadLine {
    pub(super) number: usize,
    pub(super) rule: &'static str,
}

/// Reads a description. Lines end with CRLF or LF; empty lines and types of line that an offer
/// does not need are passed over.
pub(super) fn read(text: &str) -> Result<Description<'_>, BadLine> {
    let mut description = Description::default();
    let mut has_version = false;
    for (number, line) in (1..).zip(text.split('\n')) {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let bad = |rule| BadLine { number, rule };
        if line.bytes().any(|byte| byte == b'\r' || byte == 0) {
            return Err(bad("a line holds no CR and no NUL"));
        }
        let (kind, value) = split_kind(line).ok_or(bad("a line begins with a letter and ="))?;
        match kind {
            b'v' if has_version || value != "0" => return Err(bad("the version is one v=0")),
            b'v' => has_version = true,
            _ if !has_version => return Err(bad("the first line is v=0")),
            b'm' => {
                let media = media(value).ok_or(bad("m= has media, port, protocol and formats"))?;
                description.media.push(media);
            }
            b'a' => {
                let attribute = attribute(value).ok_or(bad("a= has a name"))?;
                match description.media.last_mut() {
                    Some(media) => media.attributes.push(attribute),
                    None => description.attributes.push(attribute),
                }
            }
            _ => {}
        }
    }
    if has_version {
        Ok(description)
    } else {
        Err(BadLine {
            number: 1,
            rule: "the first line is v=0",
        })
    }
}

fn split_kind(line: &str) -> Option<(u8, &str)> {
    match line.as_bytes() {
        [kind, b'=', ..] if kind.is_ascii_lowercase() => Some((*kind, &line[2..])),
        _ => None,
    }
}

fn media(value: &str) -> Option<Media<'_>> {
    let (media, rest) = value.split_once(' ')?;
    let (port, rest) = rest.split_once(' ')?;
    let (proto, formats) = rest.split_once(' ')?;
    // `port/number` is for layered streams; the number does not matter to us.
    let port = port
        .split_once('/')
        .map_or(port, |(port, _)| port)
        .parse()
        .ok()?;
    let formats = formats.trim_end_matches(' ');
    let complete = ![media, proto, formats].contains(&"");
    complete.then_some(Media {
        media,
        port,
        proto,
        formats,
        attributes: Vec::new(),
    })
}

fn attribute(value: &str) -> Option<Attribute<'_>> {
    let (name, value) = match value.split_once(':') {
        Some((name, value)) => (name, Some(value)),
        None => (value, None),
    };
    (!name.is_empty()).then_some(Attribute { name, value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn broken_lines_are_named() {
        let fault = |text: &str| read(text).map(|_| ()).map_err(|bad| bad.number);
        assert_eq!(fault("v=0\n\r\na=x\r\nm=audio 9/2 RTP/AVP 0 \n"), Ok(()));
        for (text, line) in [
            ("", 1),
            ("hello", 1),
            ("a=x\r\nv=0", 1),
            ("v=1", 1),
            ("v=0\nv=0", 2),
            ("v=0\nM=audio 9 RTP/AVP 0", 2),
            ("v=0\nm=audio 9 RTP/AVP", 2),
            ("v=0\nm=audio 9 RTP/AVP ", 2),
            ("v=0\nm=audio 65536 RTP/AVP 0", 2),
            ("v=0\nm= 9 RTP/AVP 0", 2),
            ("v=0\r\na=", 2),
            ("v=0\r\na=:x", 2),
            ("v=0\r\na=x\ry", 2),
            ("v=0\r\na=x\0", 2),
            ("v=0\r\n\u{e9}=x", 2),
        ] {
            assert_eq!(fault(text), Err(line), "{text:?}");
        }
    }

    /// What an independent parser reads, this one reads the same.
    fn compare(text: &str) -> Result<(), TestCaseError> {
        let Ok(theirs) = sdp_types::Session::parse(text.as_bytes()) else {
            return Ok(());
        };
        let Ok(ours) = read(text) else {
            // Theirs trims, and takes an attribute without a name.
            return Ok(());
        };
        let pair = |attribute: &sdp_types::Attribute| {
            (attribute.attribute.clone(), attribute.value.clone())
        };
        let own = |attribute: &Attribute<'_>| {
            (
                attribute.name.to_owned(),
                attribute.value.map(str::to_owned),
            )
        };
        let all = |a: &[sdp_types::Attribute]| a.iter().map(pair).collect::<Vec<_>>();
        let all_own = |a: &[Attribute<'_>]| a.iter().map(own).collect::<Vec<_>>();
        prop_assert_eq!(all_own(&ours.attributes), all(&theirs.attributes));
        prop_assert_eq!(ours.media.len(), theirs.medias.len());
        for (own, their) in ours.media.iter().zip(&theirs.medias) {
            prop_assert_eq!((own.media, own.port), (their.media.as_str(), their.port));
            prop_assert_eq!(
                (own.proto, own.formats),
                (their.proto.as_str(), their.fmt.as_str())
            );
            prop_assert_eq!(all_own(&own.attributes), all(&their.attributes));
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn an_independent_parser_agrees(
            lines in proptest::collection::vec(
                "(a=[a-z]{1,8}(:[ -~]{0,20})?|[abcmostv]=[ -~]{0,20}\
                 |m=[a-z]{1,8} [0-9]{1,5}(/2)? [A-Z/]{1,9}( [0-9a-z]{1,4}){1,3})",
                0..12,
            ),
        ) {
            compare(&format!("v=0\r\n{}\r\n", lines.join("\r\n")))?;
        }
    }

    #[test]
    fn an_independent_parser_agrees_on_real_offers() {
        let offers = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/offers");
        for file in std::fs::read_dir(offers).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            assert!(read(&text).is_ok() && sdp_types::Session::parse(text.as_bytes()).is_ok());
            compare(&text).unwrap();
        }
    }
}
