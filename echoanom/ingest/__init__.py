"""From instruments' own files to daily tables.

What all instruments share, each importing only those above it::

    options       how tables are made, whatever the instrument
    files         which files there are
    instrument    what a reader must do
    means         means of each period
    overlaps      samples of files that overlap in time
    looking       what is in the files, remembered
    days          one day's table
    running       the whole

And the readers, each with the modules of its format below it::

    ek60          rawfile, ek80xml, *pings, *calibration, calibrating, sonar
    adcp          adcpnetcdf, adcpodf, adcpsearch, adcpprofiles, currents
    hydrophone    recordings, starttimes, sampleclocks, soundminutes, spectra
    point         loggertext, loggertable, loggertimes, loggerjoin, units, qartod
"""
