//! The task runner and attachments.

use crate::owner::Owner::{self, Tasks};
use crate::setting::{Setting, choice, flag, integer, list, text};

const OWN: &[Owner] = &[Tasks];
const ANY: i64 = i64::MAX;

pub(super) const SETTINGS: &[Setting] = &[
    flag(
        "ENABLE_FILE_PERSISTENCE",
        OWN,
        "Also writes the state of tasks to JSON files.",
    )
    .default_per_tier(Some("true"), Some("true"), Some("false"))
    .later(),
    integer(
        "MAX_TASK_BYTES",
        (1, ANY),
        OWN,
        "Most bytes of files that one task keeps in the database.",
    )
    .default("52428800")
    .later(),
    integer(
        "MAX_TASK_FILES",
        (1, ANY),
        OWN,
        "Most files that one task keeps in the database.",
    )
    .default("2000")
    .later(),
    integer(
        "MAX_CONCURRENT_TASKS",
        (1, ANY),
        OWN,
        "Tasks that run at once; the others wait in the queue.",
    )
    .default("4")
    .later(),
    integer(
        "RATE_LIMIT_CREATE_TASKS_PER_MIN",
        (0, ANY),
        OWN,
        "New tasks per minute and API key; 0 sets no limit.",
    )
    .default("0")
    .later(),
    integer(
        "RATE_LIMIT_RERUN_REVIEW_PER_MIN",
        (0, ANY),
        OWN,
        "Repeated reviews per minute and API key; 0 sets no limit.",
    )
    .default("0")
    .later(),
    integer(
        "RATE_LIMIT_DOWNLOADS_PER_MIN",
        (0, ANY),
        OWN,
        "Task downloads per minute and API key; 0 sets no limit.",
    )
    .default("0")
    .later(),
    integer(
        "MAX_COMMAND_RUNS_PER_DAY",
        (0, ANY),
        OWN,
        "Commands one API key may run per UTC day; 0 sets no cap.",
    )
    .default("0")
    .later(),
    integer(
        "TASK_TTL_DAYS",
        (0, ANY),
        OWN,
        "Age at which a purge removes a task and all that belongs to it; 0 keeps all.",
    )
    .default("30")
    .later(),
    text(
        "WORKSPACE_ROOT",
        OWN,
        "Directory that holds one working folder per task.",
    )
    .default("data/workspaces")
    .later(),
    integer(
        "WORKSPACE_TTL_DAYS",
        (0, ANY),
        OWN,
        "Age at which a task's working folder is swept away; 0 keeps all.",
    )
    .fallbacks(&["TASK_TTL_DAYS"])
    .later(),
    text(
        "TEMPLATES_ROOT",
        OWN,
        "Directory of project templates in place of the bundled ones.",
    )
    .later(),
    list(
        "ALLOWED_COMMANDS",
        OWN,
        "The only programs that a task may run; set and empty allows none at all.",
    )
    .default("ruff,pytest,python,python3")
    .keeps_empty()
    .later(),
    integer(
        "COMMAND_TIMEOUT_SECONDS",
        (1, 86_400),
        OWN,
        "When a running command is killed.",
    )
    .default("60")
    .later(),
    integer(
        "COMMAND_MAX_OUTPUT_BYTES",
        (1, ANY),
        OWN,
        "Where stdout and stderr of a command are each cut off.",
    )
    .default("20000")
    .later(),
    text(
        "CODEX_PATH",
        OWN,
        "JSON file with the orchestrator's codex in place of the bundled one.",
    )
    .later(),
    choice(
        "STORAGE_BACKEND",
        &["local", "s3"],
        OWN,
        "Where attachments are kept.",
    )
    .default("local")
    .later(),
    text("ATTACHMENT_S3_BUCKET", OWN, "S3 bucket of attachments.")
        .required("with STORAGE_BACKEND=s3")
        .later(),
    text(
        "ATTACHMENT_STORAGE_PATH",
        OWN,
        "Directory of attachments; made at the first upload, not before.",
    )
    .default("/var/kaireon/attachments")
    .later(),
];
