"""The encoder, fast: convolutions, CUDA graphs, and the selection of both."""
