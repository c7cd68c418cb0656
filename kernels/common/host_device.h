// HOST_DEVICE marks a function that the host compiler and the CUDA compiler both take. The one
// __CUDACC__ test in the tree.
#pragma once

#ifdef __CUDACC__
#define HOST_DEVICE __host__ __device__
#else
#define HOST_DEVICE
#endif
