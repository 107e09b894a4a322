"""What every user's kernels find in their environment. Add it to your jupyterhub_config.py."""

c = get_config()

KEYS = "/etc/cborg_magics/keys"  # a file for each user, which only that user can read
DOLLARS_A_DAY = {"teachers": "10.00"}  # by group of JupyterHub; the first that fits
ALL_OTHERS = "2.00"


def key_file(spawner):
    """The file with this user's key; the kernel reads it, at the first question."""
    return f"{KEYS}/{spawner.user.name}"


def dollars_a_day(spawner):
    """This user's cap."""
    groups = {group.name for group in spawner.user.groups}
    return next((cap for name, cap in DOLLARS_A_DAY.items() if name in groups), ALL_OTHERS)


c.Spawner.environment.update(
    {
        "CBORG_API_KEY_FILE": key_file,
        "CBORG_BUDGET_DAY": dollars_a_day,
        "CBORG_LOCKED": "CBORG_API_KEY_FILE,CBORG_BUDGET_DAY",
    }
)
