//! Takes over at once what an earlier process held when it died.

use crate::store::NEVER;
use crate::store::Result;
use crate::store::Store;
use crate::store::commit;
use crate::store::micros;

impl Store {
    /// Ends every lease, and returns how many there were: what an earlier process held is due now. What waits for a
    /// time of its own (an approval, a retry, a `wait` step) goes on waiting.
    ///
    /// Only for a process that has the database for itself; over replicas a lease ends by time alone.
    pub async fn release_abandoned(&self) -> Result<u64> {
        let now = micros(self.now());
        let mut tx = self.begin().await?;
        let mut released = 0;
        for held in [
            // a person's word is written by a command of its own, beside this process
            "UPDATE runs SET due_at = $1, owner = ''
             WHERE owner <> '' AND owner <> 'person' AND is_final = 0 AND due_at < $2",
            "UPDATE episodes SET due_at = $1, leased = 0 WHERE leased = 1 AND due_at < $2",
            "UPDATE incidents SET due_at = $1, leased = 0 WHERE leased = 1 AND due_at < $2",
            "UPDATE schedules SET due_at = $1, leased = 0 WHERE leased = 1 AND due_at < $2",
            "UPDATE outbox SET due_at = $1, leased = 0
             WHERE leased = 1 AND due_at < $2 AND state = 'pending'",
        ] {
            let done = sqlx::query(held).bind(now).bind(NEVER).execute(&mut *tx).await?;
            released += done.rows_affected();
        }
        commit(tx).await?;
        Ok(released)
    }
}
