"""From instruments' own files to daily tables.

Layers, each importing only those above it::

    options       how tables are made, whatever the instrument
    files         which files there are
    instrument    what a reader must do
    means         means of each period
    overlaps      samples of files that overlap in time
    days          one day's table
    looking       what is in the files, remembered
    running       the whole
    ek60, adcp, hydrophone, point    the readers
"""
