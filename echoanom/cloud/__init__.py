"""SageMaker: jobs that train in Pipe mode, endpoints that score, and both on this machine.

A leaf over training and scoring that only the command line imports.
"""
