//! How sizes and limits are spelt in JSON: `"2Mi"`; `"max"` or bytes.

pub mod page_size {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::units::PageSize;

    pub fn serialize<S: Serializer>(size: &PageSize, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(size)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PageSize, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

pub mod limit {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    use crate::snapshot::Limit;
    use crate::units::Bytes;

    const UNLIMITED: &str = "max";

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Spelt {
        Bytes(u64),
        Word(String),
    }

    pub fn serialize<S: Serializer>(limit: &Limit, to: S) -> Result<S::Ok, S::Error> {
        let spelt = match limit {
            Limit::At(Bytes(bytes)) => Spelt::Bytes(*bytes),
            Limit::Unlimited => Spelt::Word(UNLIMITED.to_owned()),
        };
        spelt.serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Limit, D::Error> {
        match Spelt::deserialize(from) {
            Ok(Spelt::Bytes(bytes)) => Ok(Limit::from_bytes(bytes)),
            Ok(Spelt::Word(word)) if word == UNLIMITED => Ok(Limit::Unlimited),
            _ => Err(de::Error::custom("a limit is a number of bytes or \"max\"")),
        }
    }
}
