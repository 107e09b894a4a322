"""Load cborg_magics also where a user's own configuration has replaced the list of extensions.

Its place: /etc/ipython/startup/. Where the extension is loaded already, nothing happens.
"""


def _load_cborg_magics():
    import importlib.util
    import logging

    try:
        if importlib.util.find_spec("cborg_magics"):
            get_ipython().extension_manager.load_extension("cborg_magics")
    except Exception:
        logging.getLogger("traitlets").warning("cborg_magics is not loaded", exc_info=True)


_load_cborg_magics()
del _load_cborg_magics
