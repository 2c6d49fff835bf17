"""The one thread that uses the store of a session. Whoever paints hands steps over and goes on painting.

What the disk does not take stays first in the queue and is tried again every second, while the trouble is told. Nothing
that was handed over is dropped before it is on the disk, and nothing overtakes it: should the end come first, all that
was given later is given up too, so that what was kept is always how things stood at one moment.

A disk may also stop answering, such as one of another machine. That is told, and whoever waits for an answer hears it;
the thread waits on, as nothing can take it out of there.

The thread ends with the program. What is left then is written first, for a few seconds at most: a disk that is full, or
does not answer, must not keep a program from ending.
"""

from __future__ import annotations

import atexit
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from napari_seg.errors import SegError
from napari_seg.locks import Lock, Taken
from napari_seg.session.database import LOCK, NAME, is_local, refusal
from napari_seg.session.records import Step
from napari_seg.session.store import Store

T = TypeVar("T")

RETRY = 1.0
"""Seconds between two attempts to write what the disk did not take."""

HURRY = 0.1
"""The same, once the session is being closed."""

PAUSE = 1.0
"""Seconds that a session waits for the last step of another one, before it tells so and waits on."""

SILENT = 10.0
"""Seconds in which nothing comes of the disk, after which it is said that it does not answer."""

LOOK = 0.2
"""Seconds between two looks at whether it answers, for whoever waits."""

PASSING = (sqlite3.DatabaseError, OSError, MemoryError)
"""What may be over when it is tried again."""

NEVER = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError, sqlite3.NotSupportedError)
"""What the database says to a fault of ours, and will say again."""


@dataclass(frozen=True)
class Kept:
    """How safe the work is: how many steps wait, and why, if they have to.

    ``lost``: how many steps can never be kept, each of which was told in ``trouble`` at the time.
    """

    waiting: int = 0
    trouble: str = ""
    lost: int = 0


WRITTEN = "Another program writes to {}; close it there, save the mask to a file here, and open the image again."

CLOSED = "The session was closed before this could be done; open it again."


class Answer(Future[T]):
    """What a session answers. Whoever waits for it without a limit is not held up by a disk that does not answer."""

    def __init__(self, silence: Callable[[], str]) -> None:
        super().__init__()
        self._silence = silence

    def result(self, timeout: float | None = None) -> T:
        """Raises ``SegError`` where the disk does not answer."""
        if timeout is None:
            _wait_unless(self._silence, self)
        return super().result(timeout)


class Writer:
    """Steps and other work for a store, one after the other, in the order in which they were given.

    ``lock`` is let go when the last of it is done. ``read_only`` says why no step can be kept; empty where they can.
    """

    def __init__(self, store: Store, folder: Path, lock: Lock | None = None, read_only: str = "") -> None:
        self.read_only = read_only
        self._store = store
        self._path = folder / NAME
        self._file = _identity(self._path) if is_local(folder) else None  # other file systems change these numbers
        self._lock, self._version = lock, store.version
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._kept = Kept()
        self._counting = threading.Lock()
        self._closing = threading.Event()
        self._until = 0.0  # when trying ends, on the monotonic clock, once it is closing
        self._gave_up = False
        self._told_of = ""  # what the disk said against work that nobody waits for
        self._refused = False  # the disk did not take the next step, which is tried again
        self._stuck = False  # and that waits for a file to be put back
        self._at_work: float | None = None  # since when nothing has come of the disk
        store.watch(self._beat)
        self._thread = threading.Thread(target=self._work, name="napari-seg-writer", daemon=True)
        self._thread.start()
        _OPEN.add(self)

    @property
    def kept(self) -> Kept:
        silence = "" if self._kept.trouble else self.silence()
        return replace(self._kept, trouble=silence) if silence else self._kept

    def silence(self) -> str:
        """Why nothing comes of the session, in a sentence: the disk does not answer, or its file is not what it was.
        Empty where all is well."""
        if self._stuck:
            return self._kept.trouble
        since = self._at_work
        return silent(self._path.parent) if since is not None and time.monotonic() - since > SILENT else ""

    def hindrance(self) -> str:
        """Why nothing is answered for now, in a sentence: the disk does not take the next step, as a full one, or
        nothing comes of it. Empty where all is well."""
        return self._kept.trouble if self._refused else self.silence()

    def unless_refused(self, future: Future[T]) -> T:
        """What the session answers, for who can do without it: raises ``SegError`` also where something hinders it."""
        _wait_unless(self.hindrance, future)
        return future.result()

    @property
    def closed(self) -> bool:
        """Whether nothing more is taken, as at the end of the program."""
        return self._closing.is_set()

    def put(self, image: int, step: Step) -> Future[bool]:
        """Commit a step of an image as soon as possible, and again until it is done: ``True``, or ``False`` where it
        cannot be kept or the end came first.

        Raises ``SegError`` where the session is open to be read.
        """
        return self.keep(lambda store: store.commit(image, step))

    def keep(self, work: Callable[[Store], object]) -> Future[bool]:
        """Do other work that must reach the disk: again until it is done, and told like :meth:`put`. What a first
        attempt left half done must not be in the way of the next."""
        if self.read_only:
            raise SegError(self.read_only)
        return self._submit(lambda: self._persist(work), steps=1)

    def call(self, work: Callable[[Store], T], *, writes: bool = False) -> Future[T]:
        """Do some other work after what was given before; its result or its error is in the future. What it ``writes``
        must last, else that is an error too.

        Raises ``SegError`` where the session is closed: a thread may ask for something that nobody needs any more.
        """
        return self._submit(lambda: self._lasting(work) if writes else self._translated(work))

    def send(self, work: Callable[[Store], object]) -> None:
        """Do some other work whose result nobody waits for; what the disk says against it becomes the trouble."""
        self._submit(lambda: self._told(work))

    def flush(self, seconds: float) -> bool:
        """Wait until all that was given so far is done with; ``False`` where it did not get there in time."""
        try:
            self._submit(lambda: None).result(seconds)
        except TimeoutError:
            return False
        return True

    def hurry(self, seconds: float = 5.0) -> None:
        """Take nothing more, and try for so long to write what is left. Of several writers, all are told first."""
        with self._counting:
            if not self._closing.is_set():
                self._until = time.monotonic() + seconds
                self._closing.set()
                self._queue.put(None)
                _OPEN.discard(self)

    def close(self, seconds: float = 5.0) -> int:
        """Write what is left and end. Returns how many steps were not kept by then: those that the disk did not take in
        that time, and those that could never be kept."""
        self.hurry(seconds)
        self._thread.join(max(0.0, self._until - time.monotonic()) + 10 * HURRY)
        return self._kept.waiting + self._kept.lost

    # in the thread

    def _work(self) -> None:
        try:
            while (job := self._queue.get()) is not None:
                self._beat()
                job()
                self._at_work = None
                del job  # it may hold the labels of a whole volume
            self._beat()
        finally:
            try:
                self._store.close()
            finally:
                if self._lock is not None:
                    self._lock.release()

    def _beat(self) -> None:
        """Something has come of the disk."""
        self._at_work = time.monotonic()

    def _persist(self, work: Callable[[Store], object]) -> bool:
        try:
            return self._persisted(work)
        finally:
            self._refused = self._stuck = False

    def _persisted(self, work: Callable[[Store], object]) -> bool:
        done = False
        while not self._gave_up:
            try:
                self._see_that_it_lasts()
                if not done:
                    work(self._store)
                    done = True
                    self._see_that_it_lasts()
            except SegError as error:  # labels that cannot be kept: trying again would not help
                self._change(waiting=-1, lost=1, trouble=str(error))
                return False
            except Exception as error:
                if not isinstance(error, PASSING) or isinstance(error, NEVER):
                    self._fail(error)
                    raise
                self._change(trouble=self._words(error))
                self._stuck = isinstance(error, FileExistsError | FileNotFoundError)
                self._refused = True
                self._gave_up = not self._may_try_again()
            else:
                self._change(waiting=-1, trouble="")
                return True
        return False

    def _translated(self, work: Callable[[Store], T]) -> T:
        if self._gave_up:
            raise SegError(CLOSED)
        try:
            return work(self._store)
        except sqlite3.Error as error:
            if self.read_only and "readonly" in str(error):
                raise SegError(self.read_only) from error
            raise refusal(self._path, error) from error

    def _lasting(self, work: Callable[[Store], T]) -> T:
        def lasting(store: Store) -> T:
            self._see_that_it_lasts()
            result = work(store)
            self._see_that_it_lasts()
            return result

        try:
            result = self._translated(work if self.read_only else lasting)
        except OSError as error:
            raise SegError(str(error)) from None
        if self._told_of and self._told_of == self._kept.trouble:
            self._change(trouble="")
        self._told_of = ""
        return result

    def _told(self, work: Callable[[Store], object]) -> None:
        try:
            self._lasting(work)
        except SegError as error:
            self._told_of = str(error)
            self._change(trouble=self._told_of)
        except BaseException as error:
            _show(error)
            raise

    def _fail(self, error: BaseException) -> None:
        """A fault of this program: it is told, and shown where such faults are shown."""
        self._change(
            waiting=-1, lost=1, trouble="A change could not be kept by a fault of this program; save the mask."
        )
        _show(error)

    def _may_try_again(self) -> bool:
        """Wait a little; whether there is still time then."""
        self._beat()
        if self._closing.wait(RETRY):
            left = self._until - time.monotonic()
            time.sleep(max(0.0, min(left, HURRY)))
            return left > 0
        return True

    def _see_that_it_lasts(self) -> None:
        """Raises ``OSError`` where the file was taken away, so that what is written to it would be gone with it, or
        another program has written to it: it does not know what this one shows."""
        found = _identity(self._path)
        if found is None or self._file not in (None, found):
            raise FileNotFoundError(f"{self._path} was moved or deleted; put it back, or save the mask to a file.")
        if self._lock is not None and not self._lock.lasts:
            lost = self._lock
            try:
                self._lock = Lock(self._path.with_name(LOCK))
            except Taken:
                raise FileExistsError(WRITTEN.format(self._path.parent)) from None
            lost.release()
        if self._store.version != self._version:
            raise FileExistsError(WRITTEN.format(self._path.parent))

    def _words(self, error: BaseException) -> str:
        if isinstance(error, sqlite3.Error):
            return str(refusal(self._path, error))
        if isinstance(error, MemoryError):
            return "There is not enough memory to keep the last change; close other programs."
        return str(error)

    # both sides

    def _submit(self, work: Callable[[], T], steps: int = 0) -> Future[T]:
        future: Future[T] = Answer(self.silence)
        future.set_running_or_notify_cancel()  # nobody can take it back

        def job() -> None:
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001  the future carries it to whoever asked
                future.set_exception(error)
            else:
                future.set_result(result)

        with self._counting:
            if self._closing.is_set():
                raise RuntimeError("the session is closed") if steps else SegError(CLOSED)
            self._kept = replace(self._kept, waiting=self._kept.waiting + steps)
            self._queue.put(job)
        return future

    def _change(self, *, waiting: int = 0, lost: int = 0, **known: Any) -> None:
        with self._counting:
            before = self._kept
            self._kept = replace(before, waiting=before.waiting + waiting, lost=before.lost + lost, **known)


_OPEN: set[Writer] = set()


@atexit.register
def _end_all() -> None:
    """Write what is left when a program ends without closing: all at the same time."""
    left = list(_OPEN)
    for writer in left:
        writer.hurry()
    for writer in left:
        writer.close()


def _wait_unless(hindrance: Callable[[], str], future: Future[Any]) -> None:
    """Wait for an answer. Raises ``SegError`` with what is in its way, as soon as something is."""
    while not future.done():
        wait((future,), LOOK)
        if not future.done() and (words := hindrance()):
            raise SegError(words)


def silent(folder: Path) -> str:
    """What is said of a disk that does not answer."""
    return f"The disk of {folder} does not answer; check its connection."


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from another one of its name."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _show(error: BaseException) -> None:
    """Show an error as if nobody had caught it: in a window where there is one."""
    told = (type(error), error, error.__traceback__, threading.current_thread())
    threading.excepthook(threading.ExceptHookArgs(told))
