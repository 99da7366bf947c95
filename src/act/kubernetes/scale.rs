//! `kubernetes.scale`.

use serde_json::Value;
use serde_json::json;

use super::Ready;
use super::api::Api;
use super::api::Object;
use super::api::Write;
use super::api::called;
use super::api::workload;
use crate::model::action::Kubernetes;
use crate::model::action::kubernetes::Scale;
use crate::model::action::text::Whole;
use crate::model::run::Outcome;

/// Reads how many replicas there are, and makes of it how many there will be.
pub(super) async fn prepare(api: &Api<'_>, scale: &Scale) -> Result<Ready, Outcome> {
    let path = format!("{}/scale", workload(&scale.namespace, &scale.workload)?);
    let from = replicas(&api.get(&path).await?)?;
    let to = wanted(scale, from).map_err(super::super::failed)?;
    let ready = Scale { to: Some(to), from: Some(from), ..scale.clone() };
    // it is absolute already, and holds only while nobody else changed the number
    let back = Scale {
        replicas: Some(Whole::from(from)),
        by: None,
        to: Some(from),
        from: Some(to),
        ..scale.clone()
    };
    let previous = (to != from).then_some(Kubernetes::Scale(back));
    Ok((Kubernetes::Scale(ready), previous))
}

/// How many replicas there will be. More never becomes fewer because there are more than `max` already, nor fewer more; and nothing is
/// taken away whole by a difference.
fn wanted(scale: &Scale, from: u32) -> Result<u32, String> {
    let bound = |bound: &Option<Whole>, name: &str| {
        bound.as_ref().map(Whole::read).transpose().map_err(|error| format!("{name}: {error}"))
    };
    let (min, max) = (bound(&scale.min, "min")?, bound(&scale.max, "max")?);
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        return Err(format!("min is {min}, and max is {max}: expected min to be at most max"));
    }
    match (&scale.replicas, scale.by) {
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

/// Writes the number, unless it is so already.
pub(super) async fn perform(api: &Api<'_>, scale: &Scale) -> Result<Outcome, Outcome> {
    let (Some(to), Some(from)) = (scale.to, scale.from) else {
        return Err(super::unprepared("kubernetes.scale"));
    };
    let path = format!("{}/scale", workload(&scale.namespace, &scale.workload)?);
    let called = called(&scale.workload, &scale.namespace, &scale.cluster);
    let change = |object: &Object| {
        let now = replicas(object)?;
        if now == to {
            return Err(done(&called, from, to, " already"));
        }
        if now != from {
            return Err(super::super::failed(format!(
                "{called} has {now} replicas, neither the {from} it had nor the {to} it was to have: somebody else scales it"
            )));
        }
        let mut changed = object.clone();
        let spec = changed.as_object_mut().map(|it| it.entry("spec").or_insert_with(|| json!({})));
        let spec = spec.and_then(Value::as_object_mut);
        let spec = spec.ok_or_else(|| super::super::failed("the scale has no spec"))?;
        spec.insert("replicas".into(), to.into());
        Ok(changed)
    };
    api.change(&path, change, |body| Write::Put(body)).await?;
    Ok(done(&called, from, to, ""))
}

fn done(called: &str, from: u32, to: u32, already: &str) -> Outcome {
    Outcome::Done {
        summary: format!("{called} has {to} replicas{already} (before: {from})"),
        output: json!({ "before": from, "after": to }),
    }
}

/// An absent number is none: a scale that was set to 0 has no `replicas` in it.
fn replicas(scale: &Value) -> Result<u32, Outcome> {
    match &scale["spec"]["replicas"] {
        Value::Null => Ok(0),
        number => number
            .as_u64()
            .and_then(|it| u32::try_from(it).ok())
            .ok_or_else(|| super::super::failed("the scale's number of replicas is none")),
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
            assert_eq!(wanted(&scale, from), Ok(expected), "{scale:?} from {from}");
        }
    }

    #[test]
    fn a_number_is_kept_within_its_bounds_and_bad_bounds_are_said() {
        let to = |number: &str, min, max| Scale {
            replicas: Some(Whole(number.into())),
            by: None,
            ..by(0, min, max)
        };
        assert_eq!(wanted(&to("7", Some(2), Some(5)), 3), Ok(5));
        assert_eq!(wanted(&to("1", Some(2), Some(5)), 3), Ok(2));
        assert_eq!(wanted(&to("0", None, None), 3), Ok(0));
        assert!(wanted(&to("many", None, None), 3).unwrap_err().starts_with("replicas: "));
        assert!(wanted(&to("3", Some(5), Some(2)), 3).unwrap_err().contains("at most max"));
    }
}
