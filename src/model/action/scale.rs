//! How many replicas `kubernetes.scale` means.

use super::Whole;
use super::kubernetes::Scale;

impl Scale {
    /// How many replicas there will be when there are `from`. More never becomes fewer because there are more than `max` already,
    /// nor fewer more; and nothing is taken away whole by a difference. The error says which text is no number, or that nothing is
    /// within the bounds.
    pub fn target(&self, from: u32) -> Result<u32, String> {
        let bound = |bound: &Option<Whole>, name: &str| {
            bound.as_ref().map(Whole::read).transpose().map_err(|error| format!("{name}: {error}"))
        };
        let (min, max) = (bound(&self.min, "min")?, bound(&self.max, "max")?);
        if let (Some(min), Some(max)) = (min, max)
            && min > max
        {
            return Err(format!("min is {min}, and max is {max}: expected min to be at most max"));
        }
        match (&self.replicas, self.by) {
            (Some(replicas), None) => {
                let number = replicas.read().map_err(|error| format!("replicas: {error}"))?;
                Ok(number.max(min.unwrap_or(0)).min(max.unwrap_or(u32::MAX)))
            }
            (None, Some(by)) if by >= 0 => {
                let more = from.saturating_add_signed(by).min(max.unwrap_or(u32::MAX));
                Ok(more.max(from))
            }
            (None, Some(by)) => {
                let fewer = from.saturating_add_signed(by).max(min.unwrap_or(1));
                Ok(fewer.min(from))
            }
            _ => Err("expected either `replicas` or `by`".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::action::kubernetes::Workload;
    use crate::model::action::kubernetes::WorkloadKind;

    fn by(by: i32, min: Option<u32>, max: Option<u32>) -> Scale {
        Scale {
            cluster: "prod".into(),
            namespace: "shop".into(),
            workload: Workload { kind: WorkloadKind::Deployment, name: "api".into() },
            replicas: None,
            by: Some(by),
            min: min.map(Whole::from),
            max: max.map(Whole::from),
            to: None,
            from: None,
        }
    }

    #[test]
    fn a_difference_goes_one_way_only_and_stays_within_its_bounds() {
        for (scale, from, expected) in [
            (by(2, None, None), 3, 5),
            (by(2, None, Some(4)), 3, 4),
            // there are more than it would ever make: none is taken away
            (by(2, None, Some(4)), 9, 9),
            (by(-2, Some(2), None), 3, 2),
            (by(-2, Some(5), None), 3, 3),
            // never none, unless that is written
            (by(-5, None, None), 3, 1),
            (by(-5, Some(0), None), 3, 0),
            (by(-1, None, None), 0, 0),
            (by(2, Some(6), None), 3, 5),
        ] {
            assert_eq!(scale.target(from), Ok(expected), "{scale:?} from {from}");
        }
    }

    #[test]
    fn a_number_is_kept_within_its_bounds_and_bad_bounds_are_said() {
        let to = |number: &str, min, max| Scale {
            replicas: Some(Whole(number.into())),
            by: None,
            ..by(0, min, max)
        };
        assert_eq!(to("7", Some(2), Some(5)).target(3), Ok(5));
        assert_eq!(to("1", Some(2), Some(5)).target(3), Ok(2));
        assert_eq!(to("0", None, None).target(3), Ok(0));
        assert!(to("many", None, None).target(3).unwrap_err().starts_with("replicas: "));
        assert!(to("3", Some(5), Some(2)).target(3).unwrap_err().contains("at most max"));
    }
}
