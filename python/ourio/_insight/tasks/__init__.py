"""Tasks: where they come from, which have failed unseen, which sites make more than end; and coroutines that never
became one."""
