"""What a job does: build, run, report; and a sweep, which is many jobs.

In come a `Config` and a directory. Out go rows to the terminal, files to the directory, and facts to a sweep.

Read `job` first, then `split` (the same on several ranks), `account` (what both say of themselves), `forward` (the
pass), `save` and `load` (files of parameters), `compare` (whether tensors differ). A sweep: `hydra_jobs` (what Hydra
knows of the running job), `sweep` (directories and records), `progress` (what is shown meanwhile), `results` (what each
left, and the table).

>>> from modelzoo.run import results
>>> results.__name__
'modelzoo.run.results'
"""
