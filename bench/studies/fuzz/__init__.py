"""Structure-aware fuzzing of the reader: any file ends as frames or as one rejection, in bounded memory and time.

`python -m fastrace.bench.studies.fuzz --seconds 60`. `seeds` are whole files, `elements` and `containers` damage them where
their formats are: at elements, items and offset tables of DICOM, at tags, chunks, segments and markers of what lies inside.
"""
