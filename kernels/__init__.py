"""The compute kernels, one page per operation: formula, reference, CPU and CUDA kernel, tolerance, registration.

They take arrays and numbers; DICOM, patients and training are not here.
"""
