//! The table of all actions, as they are written: another one is a line here, a type, and what it is built into.

pub(crate) mod kubernetes;
pub(crate) mod other;
pub(crate) mod postgres;

/// Gives the table to a macro: what it is for people, a field, a variant, the key and the type of each.
macro_rules! with_actions {
    ($then:ident) => {
        $then! {
            /// Runs a process; exit code 0 is success.
            command Command "command" RawCommand,
            /// Sends one HTTP request.
            http Http "http" RawHttp,
            /// Empties one database of a Redis server.
            redis_flush RedisFlush "redis.flush" RawRedisFlush,
            /// Deletes keys of a Redis server.
            redis_delete RedisDelete "redis.delete" RawRedisDelete,
            /// Changes a setting of a Redis server.
            redis_config_set RedisConfigSet "redis.config_set" other::RawRedisConfigSet,
            /// Sets how many replicas a workload has.
            kubernetes_scale Scale "kubernetes.scale" kubernetes::RawScale,
            /// Replaces the pods of a workload one after another.
            kubernetes_restart Restart "kubernetes.restart" kubernetes::RawRestart,
            /// Returns a Deployment to an earlier revision.
            kubernetes_rollback Rollback "kubernetes.rollback" kubernetes::RawRollback,
            /// Sets environment variables of a container.
            kubernetes_set_env SetEnv "kubernetes.set_env" kubernetes::RawSetEnv,
            /// Lets a node take no more pods.
            kubernetes_cordon Cordon "kubernetes.cordon" kubernetes::RawCordon,
            /// Lets a node take pods again.
            kubernetes_uncordon Uncordon "kubernetes.uncordon" kubernetes::RawCordon,
            /// Evicts the pods of a node.
            kubernetes_drain Drain "kubernetes.drain" kubernetes::RawDrain,
            /// Deletes pods, which their controller makes anew.
            kubernetes_delete_pod DeletePod "kubernetes.delete_pod" kubernetes::RawDeletePod,
            /// Reads what happened to an object; evidence for people and for later steps.
            kubernetes_events Events "kubernetes.events" kubernetes::RawEvents,
            /// Reads the ends of logs; evidence for people and for later steps.
            kubernetes_logs Logs "kubernetes.logs" kubernetes::RawLogs,
            /// Reads an object and its state; evidence for people and for later steps.
            kubernetes_describe Describe "kubernetes.describe" kubernetes::RawDescribe,
            /// Ends one connection to a `PostgreSQL` server.
            postgres_terminate Terminate "postgres.terminate" postgres::RawTerminate,
            /// Ends connections to a `PostgreSQL` server that sit in a transaction and do nothing.
            postgres_kill_idle KillIdle "postgres.kill_idle" postgres::RawKillIdle,
            /// Reads who makes others wait in a `PostgreSQL` server.
            postgres_blockers Blockers "postgres.blockers" postgres::RawBlockers,
            /// Reads what the connections to a `PostgreSQL` server do.
            postgres_activity Activity "postgres.activity" postgres::RawActivity,
            /// Runs one statement on a `PostgreSQL` server.
            postgres_execute Execute "postgres.execute" postgres::RawExecute,
            /// Stops and starts a unit of systemd.
            systemd_restart UnitRestart "systemd.restart" other::RawUnit,
            /// Starts a unit of systemd.
            systemd_start UnitStart "systemd.start" other::RawUnit,
            /// Stops a unit of systemd.
            systemd_stop UnitStop "systemd.stop" other::RawUnit,
            /// Restarts a container.
            docker_restart DockerRestart "docker.restart" other::RawDockerRestart,
            /// Runs a process on another host.
            ssh Ssh "ssh" other::RawSsh,
            /// Silences alerts for a while.
            alertmanager_silence Silence "alertmanager.silence" other::RawSilence,
            /// Ends a silence.
            alertmanager_unsilence Unsilence "alertmanager.unsilence" other::RawUnsilence,
            /// Tells people.
            notify Notify "notify" other::RawNotify,
        }
    };
}

pub(crate) use with_actions;
