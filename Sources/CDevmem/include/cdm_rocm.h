/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of AMD's HIP runtime, and of the HSA runtime beneath it, that dma-bufs of a GPU's memory
 * need: "cdm_" and the name of a function or a number in hip/hip_runtime_api.h, hsa/hsa.h or
 * hsa/hsa_ext_amd.h. The libraries are loaded at run time, so a function is a type here. numbers.c
 * compares the numbers and functions with the headers where those are installed. A version is that of
 * ROCm; what has none is older than 5.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Results of HIP. */
enum : uint32_t {
	cdm_hipSuccess = 0,
	cdm_hipErrorInvalidValue = 1,
	cdm_hipErrorOutOfMemory = 2,
	cdm_hipErrorNoDevice = 100,
	cdm_hipErrorNotSupported = 801,
};

enum : uint32_t {
	cdm_hipStreamNonBlocking = 1,
	cdm_hipHostRegisterPortable = 1,
};

/* Directions of a copy. */
enum : uint32_t {
	cdm_hipMemcpyHostToDevice = 1,
	cdm_hipMemcpyDeviceToHost = 2,
};

/* Handles of address ranges (7.0). */
enum : uint32_t {
	cdm_hipMemRangeHandleTypeDmaBufFd = 1,
};

/* Results of HSA, and whether its kernel driver exports dma-bufs (5.6), a bool. */
enum : uint32_t {
	cdm_HSA_STATUS_SUCCESS = 0,
	cdm_HSA_AMD_SYSTEM_INFO_DMABUF_SUPPORTED = 0x204,
};

/* Handles are opaque pointers, or numbers; memory has an address. */
typedef struct ihipStream_t *cdm_hipStream_t;

struct cdm_hipUUID {
	char bytes[16];
};
_Static_assert(sizeof(struct cdm_hipUUID) == 16, "hipUUID");

/* The devices. Each function returns a result. */
typedef uint32_t (*cdm_hipInit)(uint32_t flags);
typedef const char *(*cdm_hipGetErrorName)(uint32_t error);
typedef const char *(*cdm_hipGetErrorString)(uint32_t error);
typedef uint32_t (*cdm_hipGetDeviceCount)(int *count);
typedef uint32_t (*cdm_hipDeviceGetName)(char *name, int length, int device);
typedef uint32_t (*cdm_hipDeviceGetUuid)(struct cdm_hipUUID *uuid, int device);
typedef uint32_t (*cdm_hipDeviceGetPCIBusId)(char *address, int length, int device);
typedef uint32_t (*cdm_hipDeviceTotalMem)(size_t *bytes, int device);
/* Of the calling thread. */
typedef uint32_t (*cdm_hipGetDevice)(int *device);
typedef uint32_t (*cdm_hipSetDevice)(int device);

/* Memory of the thread's device. */
typedef uint32_t (*cdm_hipMemGetInfo)(size_t *free, size_t *total);
typedef uint32_t (*cdm_hipMalloc)(void **address, size_t size);
typedef uint32_t (*cdm_hipFree)(void *address);
/* 7.0. */
typedef uint32_t (*cdm_hipMemGetHandleForAddressRange)(void *handle, void *address, size_t size,
						      uint32_t type, unsigned long long flags);

/* Host memory that copies need not wait for. */
typedef uint32_t (*cdm_hipHostRegister)(void *host, size_t size, uint32_t flags);
typedef uint32_t (*cdm_hipHostUnregister)(void *host);

/* Streams and copies. */
typedef uint32_t (*cdm_hipStreamCreateWithFlags)(cdm_hipStream_t *stream, uint32_t flags);
typedef uint32_t (*cdm_hipStreamSynchronize)(cdm_hipStream_t stream);
typedef uint32_t (*cdm_hipStreamDestroy)(cdm_hipStream_t stream);
typedef uint32_t (*cdm_hipMemcpyAsync)(void *to, const void *from, size_t count, uint32_t direction,
				      cdm_hipStream_t stream);

/* HSA (5.6): the dma-buf of the allocation that an address is in, and the offset of that address. */
typedef uint32_t (*cdm_hsa_system_get_info)(uint32_t attribute, void *value);
typedef uint32_t (*cdm_hsa_amd_portable_export_dmabuf)(const void *address, size_t size, int *dmabuf,
						      uint64_t *offset);
