"""The compiled part of scans, apart from the kernels that serving compiles before it starts."""
