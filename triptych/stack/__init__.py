"""A whole Triptych on one machine: Valkey, SeaweedFS, the API, a control worker, device workers, supervised.

place.py       where its data lies, who holds it, where it answers
programs.py    what runs, with which environment
supervise.py   supervisord: its configuration, its life, its word on each process
running.py     start in order, wait until all is ready, stop in order
"""

from triptych.stack.running import RunningStack, running_stack, temporary_stack

__all__ = ["RunningStack", "running_stack", "temporary_stack"]
