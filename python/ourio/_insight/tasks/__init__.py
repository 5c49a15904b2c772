"""Tasks: where they come from, which have failed unseen, and coroutines that never became one."""
