"""The fixed words of the mapping: verbs that start a graph, sentinels of edges, reserved keys, limits."""

START_VERBS = ("create", "delete", "import", "patch", "sync")
START_SUBJECTS = tuple(f"build.{verb}" for verb in START_VERBS)
DEFAULT_ACTION = "build.create"

START = "start"
END = "end"

TYPE_KEY = "_component"
ID_KEY = "_component_id"
VERB_KEY = "_action"
PROVIDER_KEY = "_provider"
STATE_KEY = "_state"
GRAPH_KEY = "service"
ERROR_KEY = "error"
FOUND_KEY = "components"
TIMEOUT_KEY = "_timeout_s"
ATTEMPTS_KEY = "_attempts"
QUEUE_TIMEOUT_KEY = "_queue_timeout_s"
START_TIMEOUT_KEY = "_start_timeout_s"
HEARTBEAT_TIMEOUT_KEY = "_heartbeat_timeout_s"
RETRY_DELAY_KEY = "_retry_delay_s"
RETRY_DELAY_MAX_KEY = "_retry_delay_max_s"
RESEND_KEY = "_resend"
RULE_KEY = "_rule"
PROGRESS_ENDING = ".progress"
CANCEL_ENDING = ".cancel"
PARALLEL_OPTION = "_parallel"

DEPENDS_KEY = "_depends_on"
SEQUENTIAL_KEY = "_sequential"
GROUPED_KEY = "_group"
IMMUTABLE_KEY = "_immutable"
STATEFUL_KEY = "_stateful"

ID_LENGTH_MAX = 240
TOKEN_LENGTH_MAX = 100
NAME_LENGTH_MAX = 255
DEPTH_MAX = 64
ATTEMPTS_MAX = 1000
PARALLEL_MAX = 1_000_000
TIMEOUT_S_MAX = 366 * 86400
INT64_MAX = 2**63 - 1
INT32_MAX = 2**31 - 1
