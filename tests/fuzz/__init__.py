"""A fuzzer: it changes every model file there is, and holds what becomes of it to the laws of the project.

    corpus     model files, each as small as it can be without losing what it shows
    mutate     a seed and a number give a changed file, always the same
    laws       what a file must do, whoever wrote it: be refused with a place, or work
    foreign    what a written source may hold
    fork       judges files in child processes with limits, so that nothing ends the fuzzer
    minimise   a find without all that it does not need
    hunt       all that: many mutants, and each kind of find once

By hand, from the root of the repository: `python -m tests.fuzz --seconds 3600 --seed 1`.
"""
