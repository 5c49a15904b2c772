"""The program that this process runs, for those who look at several."""

import os
import sys


def name() -> str:
    """What this process runs, as a user would name it."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name not in ("__main__", "ourio.__main__"):
        return str(spec.name).removesuffix(".__main__")
    return os.path.basename(sys.argv[0]) if sys.argv and sys.argv[0] else "python"
