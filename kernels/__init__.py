"""The compute kernels, one page per operation: formula, reference, CPU and CUDA kernel, tolerance, registration.

They know arrays and numbers, nothing of DICOM, patients or training.
"""
