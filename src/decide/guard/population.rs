//! What is known of a population (G3): empty, failed or shrunken is unknown, and unknown never acts.

use crate::decide::guard::Subject;
use crate::model::decision::Counted;
use crate::model::decision::Population;

/// Members, of which this many are not well; or why nobody knows.
pub(super) fn known(subject: &Subject, population: &Population) -> Result<(u64, u64), String> {
    let count = |what: &str, counted: &Counted| match counted {
        Counted::Known(count) => Ok(*count),
        Counted::Unknown(why) => Err(format!("{what} cannot be counted: {why}")),
    };
    let total = count("the population", &population.total)?;
    if total == 0 {
        return Err("the population is empty: an empty list is a broken list".to_owned());
    }
    let drop = &subject.limits.max_drop;
    if let Some(was) = population.was
        && u128::from(total) * 100 < u128::from(was) * u128::from(100 - drop.value.min(100))
    {
        return Err(format!(
            "the population shrank from {was} to {total}, by more than {} % (max_drop, {})",
            drop.value, drop.place
        ));
    }
    let unhealthy = count("what is not well", &population.unhealthy)?;
    if unhealthy > total {
        return Err(format!("{unhealthy} of {total} cannot be unwell: the two counts disagree"));
    }
    Ok((total, unhealthy))
}

/// `2 of 12 (17 %)`
pub(super) fn share(part: u64, total: u64) -> String {
    let percent = (part.saturating_mul(100) + total / 2).checked_div(total).unwrap_or_default();
    format!("{part} of {total} ({percent} %)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::guard::tests::group;
    use crate::decide::guard::tests::subject;

    #[test]
    fn g03_empty_failed_shrunken_and_contradictory_populations_are_unknown() {
        let check = |population: &Population, expected: Result<(u64, u64), &str>| {
            assert_eq!(known(&subject(), population), expected.map_err(str::to_owned));
        };
        check(&group(12, 2), Ok((12, 2)));
        check(&group(0, 0), Err("the population is empty: an empty list is a broken list"));
        let failed = Counted::Unknown("no sample".into());
        let blind = Population { total: failed.clone(), ..group(12, 2) };
        check(&blind, Err("the population cannot be counted: no sample"));
        let blind = Population { unhealthy: failed, ..group(12, 2) };
        check(&blind, Err("what is not well cannot be counted: no sample"));
        check(&group(3, 4), Err("4 of 3 cannot be unwell: the two counts disagree"));
    }

    #[test]
    fn g03_a_population_may_shrink_to_the_limit_and_no_further() {
        let shrunk = |total| known(&subject(), &Population { was: Some(10), ..group(total, 1) });
        assert_eq!(shrunk(7), Ok((7, 1)));
        let words = "the population shrank from 10 to 6, by more than 30 % (max_drop, default)";
        assert_eq!(shrunk(6), Err(words.to_owned()));
        assert_eq!(shrunk(20), Ok((20, 1)), "it may grow");
    }

    #[test]
    fn a_share_is_shown_in_whole_percent() {
        assert_eq!(share(2, 12), "2 of 12 (17 %)");
        assert_eq!(share(0, 0), "0 of 0 (0 %)");
    }
}
