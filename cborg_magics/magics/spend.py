"""%spend: what has it cost, and what is left?"""

from __future__ import annotations

import argparse
import csv
import importlib
import io
import uuid
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_magic, magics_class, no_var_expand
from IPython.core.magic_arguments import argument

from cborg_magics import display
from cborg_magics.errors import BadOption, CborgError, Unexpected
from cborg_magics.magics import arguments
from cborg_magics.magics.shared import SharedSession

if TYPE_CHECKING:
    from cborg_magics.attachments.notebook import Notebook
    from cborg_magics.display.spending import Screen
    from cborg_magics.exchange import Account
    from cborg_magics.ledger import Row
    from cborg_magics.session import Session

WAYS = ("model", "day", "notebook", "thread", "kernel")
HEADER = (
    *("started", "seconds", "provider", "host", "model", "served", "outcome", "error"),
    *("prompt_tokens", "cached_tokens", "written_tokens", "completion_tokens", "reasoning_tokens"),
    *("tokens_counted", "dollars", "source", "thread", "notebook", "kernel"),
    *("call_id", "answer_id"),
)


def _way(text: str) -> str:
    if text not in WAYS:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(WAYS)}")
    return text


def _cap(text: str) -> Decimal | None:
    """US dollars; None for off."""
    if text == "off":
        return None
    try:
        dollars = Decimal(text.removeprefix("$"))
    except ArithmeticError:
        dollars = Decimal(-1)
    if not dollars.is_finite() or dollars < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is neither an amount in US dollars nor off")
    return dollars


@magics_class
class SpendMagic(Magics):
    """The magic `spend`."""

    def __init__(self, shell: Any, shared: SharedSession, notebook: Notebook) -> None:
        super().__init__(shell)
        self._shell, self._shared = shell, shared

    @no_var_expand
    @line_magic
    @arguments.manual
    @argument(
        "--by",
        type=_way,
        default="model",
        metavar="WAY",
        help="model (the default), day, notebook, thread or kernel",
    )
    @argument(
        "-t",
        "--thread",
        type=arguments.thread_name,
        metavar="NAME",
        help="the thread to sum; default the last one",
    )
    @argument(
        "--cap",
        type=_cap,
        default=...,
        metavar="DOLLARS",
        help="stop this kernel at so many US dollars; off lifts it",
    )
    @argument("--reconcile", action="store_true", help="compare with the service's own log")
    @argument("--export", metavar="FILE", help="write every call of the ledger as CSV")
    @argument(
        "-o",
        "--output",
        type=arguments.variable_name,
        metavar="NAME",
        help="a variable for every call, a DataFrame",
    )
    def spend(self, line: str) -> None:
        """What has it cost, and what is left?

        In a line, without any option::

            %spend

        Sums from the ledger on this machine, which has every call at once: of a thread,
        this kernel, today and this month, and by model, day, notebook, thread or
        kernel. Then what the service says: the budget that binds, when it resets, when
        the key ends.

        Each figure says if it is billed by the service or estimated from its prices,
        and how many calls have no known price.

        Where did it go, day by day; and no more than two dollars from here on::

            %spend --by day
            %spend --cap 2

        Compare the calls of this month with the service's log one by one, and note the
        bills of those that were estimated::

            %spend --reconcile

        Every call, to the last digit, as a file or as a variable::

            %spend --export calls.csv
            %spend -o calls
        """
        self._shared.run(self._spend, line)

    def _spend(self, line: str) -> None:
        if line.strip() in ("-h", "--help"):
            self._shell.run_line_magic("pinfo", "%spend")
            return
        args, text = arguments.read(self.spend, line)
        if text:
            raise BadOption(f"%spend takes options only, not {text!r}.", "%spend? lists them.")
        session = self._shared.session()
        try:
            if args.cap is not ...:
                session.cap(args.cap)
                from cborg_magics.display import wording

                lines = wording.caps(session.caps) or ["This kernel has no cap."]
                display.tell(self._shell, *lines)
            if args.reconcile:
                self._reconcile(session)
            if args.export or args.output:
                self._hand_over(session, args)
            if args.cap is ... and not (args.reconcile or args.export or args.output):
                self._show(session, args)
        except OSError as problem:
            raise Unexpected(
                f"%spend: {problem}", "Is the disk full, or the file another's?"
            ) from None

    def _show(self, session: Session, args: argparse.Namespace) -> None:
        """The ledger at once; the service, which may be slow to answer, below it."""
        from cborg_magics import spending
        from cborg_magics.display import spending as look
        from cborg_magics.display import wording
        from cborg_magics.exchange import Account

        today = datetime.now().astimezone().date()
        ledger = session.ledger
        found = [*ledger.rows(kernel=session.kernel), *ledger.rows(since=spending.month(today))]
        rows = [row for _, row in sorted({row.id: row for row in found}.items())]
        thread = args.thread or (session.last and session.last.thread) or "main"
        periods = spending.periods(rows, session.kernel, thread, today)
        month = spending.this_month(rows, today)
        groups, steps = spending.grouped(month, args.by, session.kernel), spending.steps(month)

        def seen(account: Account) -> dict[str, str]:
            return look.overview(periods, groups, args.by, steps, account)

        screen = look.Screen(self._shell)
        screen.show(seen(Account()))
        lines = [*wording.caps(session.caps), *self._service(session, screen, seen)]
        if lines:
            display.tell(self._shell, *lines)

    def _service(self, session: Session, screen: Screen, seen: Any) -> list[str]:
        from cborg_magics.display import spending as look

        try:
            provider = session.service.provider
        except CborgError as problem:
            return [str(problem)]
        if provider.here:
            return []
        account: Account = session.client.account()
        if display.is_notebook(self._shell) and account.budgets:
            screen.show(seen(account))
        return look.service(provider.title, account, datetime.now(timezone.utc))

    def _reconcile(self, session: Session) -> None:
        from cborg_magics import spending
        from cborg_magics.display import spending as look
        from cborg_magics.reconciling import reconcile

        service = session.service
        if service.provider.here:
            raise BadOption("%spend --reconcile: the model is on this machine and has no log.")
        since = spending.month(datetime.now().astimezone().date())
        found = reconcile(session.ledger, service.host, session.client.log_since, since)
        look.Screen(self._shell).show(look.reconciled(service.provider.title, found))

    def _hand_over(self, session: Session, args: argparse.Namespace) -> None:
        """Every call of the ledger, to the last digit: as a file, or as a value."""
        from cborg_magics.display.wording import count

        rows = session.ledger.rows()
        if args.export:
            path = Path(args.export).expanduser()
            _write(path, rows)
            display.tell(self._shell, f"{count(len(rows), 'call')} in {path}.")
        if args.output:
            self._shell.user_ns[args.output] = _frame([_cells(row) for row in rows])
            display.tell(self._shell, f"{count(len(rows), 'call')} in {args.output}.")


def _cells(row: Row) -> dict[str, Any]:
    """One call by the names of `HEADER`; dollars as a Decimal, None where they are not known."""
    usage = row.usage
    values = (
        *(row.started, row.seconds, row.provider, row.host, row.model, row.served),
        *(row.outcome.value, row.error),
        *(usage and usage.prompt, usage and usage.cached, usage and usage.written),
        *(usage and usage.completion, usage and usage.reasoning, usage and usage.counted),
        *(row.cost.dollars, row.cost.source.value, row.thread, row.notebook, row.kernel),
        *(row.call_id, row.answer_id),
    )
    return dict(zip(HEADER, values, strict=True))


def _frame(cells: list[dict[str, Any]]) -> Any:
    """A DataFrame where pandas is installed, else the list itself."""
    try:
        pandas = importlib.import_module("pandas")
    except ImportError:
        return cells
    return pandas.DataFrame(cells, columns=list(HEADER))


def _write(path: Path, rows: list[Row]) -> None:
    """The calls as CSV, whole or not at all; never over a file that is something else."""
    if path.exists() and not _is_export(path):
        raise BadOption(f"{path} is there already.", "Name another file, or delete it.")
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(HEADER)
    for row in rows:
        writer.writerow(map(_plain, _cells(row).values()))
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        beside.write_text(text.getvalue(), encoding="utf-8", newline="")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _plain(value: object) -> object:
    """A Decimal with all its digits and no exponent, a moment as ISO 8601."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, datetime) else value


def _is_export(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        return file.readline().strip() == ",".join(HEADER)
