"""From a folder of DICOM or raster files and a table of labels to a dataset.

``run`` ties it together: ``scan`` lists files, ``worker`` reads one in a worker process, ``task`` is what `fastrace.execute`
does with each, `fastrace.cohort` joins the label table, ``store`` writes crash-safe shards; ``dry_run`` counts without writing.

Names are imported from these modules, not from here: worker processes pass through this file, and pandas, which only the
parent needs, would cost each of them 0.4 s.
"""
