"""Which patients are used, with which label: label tables and their vocabulary, the cohort of a dataset, the split by patient."""
