"""Load cborg_magics into every kernel of this machine. Its place: /etc/ipython/."""

import importlib.util

c = get_config()

# An environment that lacks the package has kernels without it.
# Never `append` here: where a user's own file does the same for c.IPKernelApp, traitlets doubles
# the list at each turn until memory ends.
if importlib.util.find_spec("cborg_magics"):
    c.InteractiveShellApp.extra_extensions = ["cborg_magics"]
