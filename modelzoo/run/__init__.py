"""What a job does: build, run, report.

`job` takes a `Config` and a directory; `save` and `load` are its files of parameters. A sweep is many jobs: `sweep` has
their directories and their end, `results` what each left and the table of all, `progress` what is shown meanwhile.

>>> from modelzoo.run import results
>>> results.__name__
'modelzoo.run.results'
"""
