//! Products, and how the cache writes them down.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

/// How many products the shop has; their ids are 1 to this.
pub(super) const PRODUCTS: u32 = 200;

/// Something to buy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Product {
    pub(super) id: u32,
    pub(super) name: String,
    /// In hundredths.
    pub(super) price_cents: u32,
}

/// All products by id. Three of eight cost 10.00 or more.
pub(super) fn catalogue() -> BTreeMap<u32, Product> {
    const THINGS: [&str; 5] = ["lamp", "teapot", "notebook", "umbrella", "bicycle bell"];
    (1..=PRODUCTS)
        .zip(THINGS.iter().cycle())
        .map(|(id, thing)| {
            let price_cents = if id % 8 < 3 { 1_000 + id * 41 } else { 100 + id * 4 };
            (id, Product { id, name: format!("{thing} no. {id}"), price_cents })
        })
        .collect()
}

/// Writes products for the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Serializer {
    /// As JSON.
    Good,
    /// That of the bad deploy: it writes numbers for people, `1,234`, which is not JSON.
    Bad,
}

impl Serializer {
    /// The text of a cache entry.
    pub(super) fn encode(self, product: &Product) -> String {
        let price = match self {
            Self::Good => product.price_cents.to_string(),
            Self::Bad => with_separators(product.price_cents),
        };
        let name = serde_json::Value::from(product.name.as_str());
        format!(r#"{{"id":{},"name":{name},"price_cents":{price}}}"#, product.id)
    }
}

/// Reads a cache entry.
pub(super) fn decode(text: &str) -> Result<Product, serde_json::Error> {
    serde_json::from_str(text)
}

/// `1234567` as `1,234,567`.
fn with_separators(number: u32) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_good_serializer_writes_what_can_be_read_back() {
        for product in catalogue().values() {
            let back = decode(&Serializer::Good.encode(product)).expect("readable");
            assert_eq!(back, *product);
        }
    }

    #[test]
    fn the_bad_serializer_breaks_three_of_eight_products() {
        let broken = catalogue()
            .values()
            .filter(|product| decode(&Serializer::Bad.encode(product)).is_err())
            .count();
        assert_eq!(broken, 75, "of {PRODUCTS}");
    }

    #[test]
    fn thousands_are_separated() {
        for (number, text) in
            [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345, "12,345"), (1_234_567, "1,234,567")]
        {
            assert_eq!(with_separators(number), text);
        }
    }
}
