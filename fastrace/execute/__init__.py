"""Where work runs: one protocol for the processes of this machine, its threads, and what will spread work over several.

``protocol`` is all that a caller needs: it states what is done with a task (`Work`) and takes the answers in the order of its
tasks; an `Executor` decides where and when. The answers do not depend on the number of workers, and a lost worker costs a retry.

``processes`` is for code that holds the interpreter lock, or that can crash or exhaust memory, such as decoders; ``threads`` is
for numerical code that releases the lock. ``order`` keeps the order and bounds the memory for both; ``cpus`` counts the
processors. Another place to run is one more file here: a class with the methods of `Executor`.

Nothing here imports torch before work does, or depends on what a task does: the import contracts allow `fastrace.errors` alone.
Names are imported from the modules, not from here: worker processes pass through this file.
"""
