//! Who is at the end of each chain of sessions that wait for one another.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Value;

use super::session::Session;
use super::session::whole;

/// Most waiting sessions that are shown of one chain.
const SHOWN: usize = 10;

/// A session and what it waits for.
#[derive(Debug, Clone, Default)]
pub(super) struct Member {
    pub(super) session: Session,
    /// Process ids; 0 is a prepared transaction.
    pub(super) blocked_by: Vec<i32>,
    /// `AccessExclusiveLock on orders`.
    pub(super) waits_for: Option<String>,
    /// In seconds.
    pub(super) waited: Option<f64>,
}

/// Sessions that wait for nobody, and for whom others wait.
#[derive(Debug)]
pub(super) struct Found<'a> {
    /// Who makes the most sessions wait stands first.
    pub(super) chains: Vec<Chain<'a>>,
    /// How many have waited for long enough.
    pub(super) waiting: usize,
    /// How many of these wait, at the end, for a prepared transaction, which is no session.
    pub(super) prepared: usize,
}

/// A session and those who wait for it, also by way of others.
#[derive(Debug)]
pub(super) struct Chain<'a> {
    root: &'a Session,
    behind: Vec<&'a Member>,
    /// Why it is not among those to be ended.
    spared: Option<String>,
}

/// Chains in which somebody has waited for at least `waiting_for` seconds.
pub(super) fn find(members: &[Member], waiting_for: f64) -> Found<'_> {
    let by_pid: BTreeMap<i32, &Member> = members.iter().map(|it| (it.session.pid, it)).collect();
    let mut behind: BTreeMap<i32, Vec<&Member>> = BTreeMap::new();
    let (mut waiting, mut prepared) = (0, 0);
    let late = |it: &&Member| {
        !it.blocked_by.is_empty() && it.waited.is_some_and(|waited| waited >= waiting_for)
    };
    for waiter in members.iter().filter(late) {
        waiting += 1;
        let (mut seen, mut next) = (BTreeSet::new(), waiter.blocked_by.clone());
        let mut for_prepared = false;
        while let Some(pid) = next.pop() {
            if !seen.insert(pid) {
                continue;
            }
            match by_pid.get(&pid) {
                Some(blocker) if blocker.blocked_by.is_empty() => {
                    behind.entry(pid).or_default().push(waiter);
                }
                Some(blocker) => next.extend(&blocker.blocked_by),
                None => for_prepared |= pid == 0,
            }
        }
        prepared += usize::from(for_prepared);
    }
    let mut chains: Vec<Chain<'_>> = behind
        .into_iter()
        .filter_map(|(pid, mut behind)| {
            let root = &by_pid.get(&pid)?.session;
            behind.sort_by(|a, b| b.waited.unwrap_or(0.0).total_cmp(&a.waited.unwrap_or(0.0)));
            Some(Chain { root, behind, spared: spared(root, waiting_for) })
        })
        .collect();
    chains.sort_by_key(|chain| std::cmp::Reverse(chain.behind.len()));
    Found { chains, waiting, prepared }
}

/// A session whose transaction is younger than the wait is not why they wait: they stand behind one short lock after another.
fn spared(root: &Session, waiting_for: f64) -> Option<String> {
    root.untouchable().or_else(|| {
        let young = root.transaction_for.is_some_and(|age| age < waiting_for);
        young.then(|| "its transaction is younger than that".into())
    })
}

impl Chain<'_> {
    /// What `postgres.terminate` takes, if it may be ended.
    pub(super) fn backend(&self) -> Option<String> {
        let named = self.root.backend().map(|it| it.to_string());
        named.filter(|_| self.spared.is_none())
    }

    /// For people.
    pub(super) fn line(&self) -> String {
        let Session { pid, user, application, state, transaction_for, .. } = self.root;
        let whose = if application.is_empty() { user } else { application };
        let age = transaction_for.map_or_else(String::new, |it| format!(" for {} s", whole(it)));
        let spared = self.spared.as_ref().map_or_else(String::new, |why| format!("; {why}"));
        format!("{pid} ({whose}, {state}{age}) keeps {} waiting{spared}", self.behind.len())
    }

    /// For the output.
    pub(super) fn shown(&self) -> Value {
        let mut shown = self.root.shown();
        let behind = |it: &&Member| {
            let mut one = it.session.shown();
            if let Some(map) = one.as_object_mut() {
                map.insert("waits_for".into(), it.waits_for.clone().into());
                map.insert("waited".into(), it.waited.map(whole).into());
            }
            one
        };
        if let Some(map) = shown.as_object_mut() {
            map.insert("waiting".into(), self.behind.len().into());
            map.insert("behind".into(), self.behind.iter().take(SHOWN).map(behind).collect());
            if let Some(why) = &self.spared {
                map.insert("spared".into(), why.clone().into());
            }
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(pid: i32) -> Session {
        let start = Some(format!("2026-01-05T10:00:0{}.000000Z", pid % 10));
        let (kind, transaction_for) = ("client backend".to_owned(), Some(100.0));
        Session { pid, start, kind, transaction_for, ..Session::default() }
    }

    fn holds(pid: i32) -> Member {
        Member { session: session(pid), ..Member::default() }
    }

    fn waits(pid: i32, blocked_by: &[i32], waited: f64) -> Member {
        let blocked_by = blocked_by.to_vec();
        Member { blocked_by, waited: Some(waited), ..holds(pid) }
    }

    /// Roots with how many wait for them, and what would be ended.
    fn check(members: &[Member], expected: &[(i32, usize)], ended: &[i32]) -> (usize, usize) {
        let found = find(members, 30.0);
        let roots: Vec<_> = found.chains.iter().map(|it| (it.root.pid, it.behind.len())).collect();
        assert_eq!(roots, expected);
        let ends = found.chains.iter().filter(|it| it.backend().is_some());
        assert_eq!(ends.map(|it| it.root.pid).collect::<Vec<_>>(), ended);
        (found.waiting, found.prepared)
    }

    #[test]
    fn a_chain_leads_to_who_waits_for_nobody() {
        let chain = [holds(1), waits(2, &[1], 60.0), waits(3, &[2, 1], 50.0), holds(9)];
        assert_eq!(check(&chain, &[(1, 2)], &[1]), (2, 0));
        let two = [
            holds(1),
            holds(2),
            waits(3, &[1], 60.0),
            waits(4, &[2], 60.0),
            waits(5, &[4], 60.0),
            waits(6, &[4, 3], 60.0),
        ];
        assert_eq!(check(&two, &[(2, 3), (1, 2)], &[2, 1]), (4, 0));
    }

    #[test]
    fn who_has_waited_for_less_is_no_reason() {
        assert_eq!(check(&[holds(1), waits(2, &[1], 29.0)], &[], &[]), (0, 0));
        // the later one has waited long enough by way of one that has not
        let chain = [holds(1), waits(2, &[1], 5.0), waits(3, &[2], 31.0)];
        assert_eq!(check(&chain, &[(1, 1)], &[1]), (1, 0));
    }

    #[test]
    fn who_holds_a_lock_for_a_moment_is_shown_and_not_ended() {
        let mut young = holds(1);
        young.session.transaction_for = Some(0.2);
        check(&[young, waits(2, &[1], 60.0)], &[(1, 1)], &[]);
        // a lock of a session needs no transaction
        let mut advisory = holds(1);
        advisory.session.transaction_for = None;
        check(&[advisory, waits(2, &[1], 60.0)], &[(1, 1)], &[1]);
    }

    #[test]
    fn who_may_not_be_ended_is_shown() {
        let mut vacuum = holds(1);
        vacuum.session.kind = "autovacuum worker".into();
        let members = [vacuum, waits(2, &[1], 60.0)];
        check(&members, &[(1, 1)], &[]);
        let found = find(&members, 30.0);
        assert_eq!(
            found.chains[0].shown()["spared"],
            "it is no client's session but \"autovacuum worker\""
        );
    }

    #[test]
    fn circles_prepared_transactions_and_those_who_are_gone_end() {
        assert_eq!(check(&[waits(1, &[2], 60.0), waits(2, &[1], 60.0)], &[], &[]), (2, 0));
        assert_eq!(check(&[waits(2, &[0], 60.0)], &[], &[]), (1, 1));
        assert_eq!(check(&[waits(2, &[7], 60.0)], &[], &[]), (1, 0));
    }
}
