/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of the CUDA driver API that dma-bufs of a GPU's memory need: "cdm_" and the name of a
 * function, a number or a structure in NVIDIA's cuda.h, which no Debian package of main has. The
 * library is loaded at run time, so a function is a type here. numbers.c compares all of this with
 * cuda.h where that is installed. A version is that of the driver (cuDriverGetVersion); what has
 * none is older than 11.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Results. */
enum : uint32_t {
	cdm_CUDA_SUCCESS = 0,
	cdm_CUDA_ERROR_INVALID_VALUE = 1,
	cdm_CUDA_ERROR_OUT_OF_MEMORY = 2,
	cdm_CUDA_ERROR_NOT_INITIALIZED = 3,
	cdm_CUDA_ERROR_STUB_LIBRARY = 34,
	cdm_CUDA_ERROR_NO_DEVICE = 100,
	cdm_CUDA_ERROR_INVALID_DEVICE = 101,
	cdm_CUDA_ERROR_INVALID_CONTEXT = 201,
	cdm_CUDA_ERROR_INVALID_PTX = 218,
	cdm_CUDA_ERROR_NOT_FOUND = 500,
	cdm_CUDA_ERROR_ILLEGAL_ADDRESS = 700,
	cdm_CUDA_ERROR_LAUNCH_TIMEOUT = 702,
	cdm_CUDA_ERROR_MISALIGNED_ADDRESS = 716,
	cdm_CUDA_ERROR_LAUNCH_FAILED = 719,
	cdm_CUDA_ERROR_NOT_SUPPORTED = 801,
	cdm_CUDA_ERROR_SYSTEM_NOT_READY = 802,
	cdm_CUDA_ERROR_SYSTEM_DRIVER_MISMATCH = 803,
	cdm_CUDA_ERROR_UNKNOWN = 999,
};

/* Attributes of a device. */
enum : uint32_t {
	cdm_CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED = 102,
	/* 11.0. */
	cdm_CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WITH_CUDA_VMM_SUPPORTED = 110,
	/* 11.3. */
	cdm_CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_FLUSH_WRITES_OPTIONS = 117,
	cdm_CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WRITES_ORDERING = 118,
	/* 11.7. */
	cdm_CU_DEVICE_ATTRIBUTE_DMA_BUF_SUPPORTED = 124,
};

/* Whether, and how far, writes of other devices need a flush before the GPU sees them (11.3). */
enum : uint32_t {
	cdm_CU_FLUSH_GPU_DIRECT_RDMA_WRITES_OPTION_HOST = 1 << 0,
	cdm_CU_GPU_DIRECT_RDMA_WRITES_ORDERING_OWNER = 100,
	cdm_CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TO_OWNER = 100,
	cdm_CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TARGET_CURRENT_CTX = 0,
};

/* Properties of memory of virtual memory management. */
enum : uint32_t {
	cdm_CU_MEM_ALLOCATION_TYPE_PINNED = 1,
	cdm_CU_MEM_LOCATION_TYPE_DEVICE = 1,
	cdm_CU_MEM_ACCESS_FLAGS_PROT_READWRITE = 3,
	cdm_CU_MEM_ALLOC_GRANULARITY_RECOMMENDED = 1,
};

/* Handles of address ranges (11.7). */
enum : uint32_t {
	cdm_CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD = 1,
};
enum : unsigned long long {
	/* 12.8. */
	cdm_CU_MEM_RANGE_FLAG_DMA_BUF_MAPPING_TYPE_PCIE = 1,
};

/* Flags of a stream. */
enum : uint32_t {
	cdm_CU_STREAM_NON_BLOCKING = 1,
};

/* Flags of registered host memory: for the contexts of all GPUs. */
enum : uint32_t {
	cdm_CU_MEMHOSTREGISTER_PORTABLE = 1,
};

/* Flags of host memory that the driver allocates: the GPU has an address for it. */
enum : uint32_t {
	cdm_CU_MEMHOSTALLOC_DEVICEMAP = 2,
};

/* Handles are opaque pointers, or numbers; the address of memory is a number. */
typedef int32_t cdm_CUdevice;
typedef unsigned long long cdm_CUdeviceptr;
typedef unsigned long long cdm_CUmemGenericAllocationHandle;
typedef struct CUctx_st *cdm_CUcontext;
typedef struct CUstream_st *cdm_CUstream;
typedef struct CUmod_st *cdm_CUmodule;
typedef struct CUfunc_st *cdm_CUfunction;

struct cdm_CUuuid {
	uint8_t bytes[16];
};
_Static_assert(sizeof(struct cdm_CUuuid) == 16, "CUuuid");

struct cdm_CUmemLocation {
	uint32_t type;
	int32_t id;
};
_Static_assert(sizeof(struct cdm_CUmemLocation) == 8, "CUmemLocation");

struct cdm_CUmemAllocationProp {
	uint32_t type;
	uint32_t requestedHandleTypes;
	struct cdm_CUmemLocation location;
	void *win32HandleMetaData;
	struct {
		uint8_t compressionType;
		uint8_t gpuDirectRDMACapable;
		uint16_t usage;
		uint8_t reserved[4];
	} allocFlags;
};
_Static_assert(sizeof(struct cdm_CUmemAllocationProp) == 32, "CUmemAllocationProp");
_Static_assert(offsetof(struct cdm_CUmemAllocationProp, location) == 8,
	       "CUmemAllocationProp.location");
_Static_assert(offsetof(struct cdm_CUmemAllocationProp, allocFlags.gpuDirectRDMACapable) == 25,
	       "CUmemAllocationProp.allocFlags.gpuDirectRDMACapable");

struct cdm_CUmemAccessDesc {
	struct cdm_CUmemLocation location;
	uint32_t flags;
};
_Static_assert(sizeof(struct cdm_CUmemAccessDesc) == 12, "CUmemAccessDesc");

/* The driver and its devices. Each function returns a result. */
typedef uint32_t (*cdm_cuInit)(uint32_t flags);
typedef uint32_t (*cdm_cuDriverGetVersion)(int32_t *version);
typedef uint32_t (*cdm_cuGetErrorName)(uint32_t error, const char **text);
typedef uint32_t (*cdm_cuGetErrorString)(uint32_t error, const char **text);
typedef uint32_t (*cdm_cuDeviceGetCount)(int32_t *count);
typedef uint32_t (*cdm_cuDeviceGet)(cdm_CUdevice *device, int32_t ordinal);
typedef uint32_t (*cdm_cuDeviceGetName)(char *name, int32_t length, cdm_CUdevice device);
typedef uint32_t (*cdm_cuDeviceGetUuid)(struct cdm_CUuuid *uuid, cdm_CUdevice device);
typedef uint32_t (*cdm_cuDeviceGetPCIBusId)(char *address, int32_t length, cdm_CUdevice device);
typedef uint32_t (*cdm_cuDeviceTotalMem)(size_t *bytes, cdm_CUdevice device);
typedef uint32_t (*cdm_cuDeviceGetAttribute)(int32_t *value, uint32_t attribute,
					     cdm_CUdevice device);
/* 11.3. */
typedef uint32_t (*cdm_cuFlushGPUDirectRDMAWrites)(uint32_t target, uint32_t scope);

/* Contexts. */
typedef uint32_t (*cdm_cuDevicePrimaryCtxRetain)(cdm_CUcontext *context, cdm_CUdevice device);
typedef uint32_t (*cdm_cuDevicePrimaryCtxRelease)(cdm_CUdevice device);
typedef uint32_t (*cdm_cuCtxPushCurrent)(cdm_CUcontext context);
typedef uint32_t (*cdm_cuCtxPopCurrent)(cdm_CUcontext *context);

/* Memory. */
typedef uint32_t (*cdm_cuMemGetInfo)(size_t *free, size_t *total);
typedef uint32_t (*cdm_cuMemAlloc)(cdm_CUdeviceptr *address, size_t size);
typedef uint32_t (*cdm_cuMemFree)(cdm_CUdeviceptr address);
/* 11.7. */
typedef uint32_t (*cdm_cuMemGetHandleForAddressRange)(void *handle, cdm_CUdeviceptr address,
						     size_t size, uint32_t type,
						     unsigned long long flags);

/* Host memory that copies need not wait for. */
typedef uint32_t (*cdm_cuMemHostRegister)(void *host, size_t size, uint32_t flags);
typedef uint32_t (*cdm_cuMemHostUnregister)(void *host);

/* Host memory that a GPU reads in place. */
typedef uint32_t (*cdm_cuMemHostAlloc)(void **host, size_t size, uint32_t flags);
typedef uint32_t (*cdm_cuMemFreeHost)(void *host);
typedef uint32_t (*cdm_cuMemHostGetDevicePointer)(cdm_CUdeviceptr *address, void *host,
						 uint32_t flags);

/* Virtual memory management. */
typedef uint32_t (*cdm_cuMemGetAllocationGranularity)(size_t *granularity,
						     const struct cdm_CUmemAllocationProp *properties,
						     uint32_t option);
typedef uint32_t (*cdm_cuMemCreate)(cdm_CUmemGenericAllocationHandle *handle, size_t size,
				   const struct cdm_CUmemAllocationProp *properties,
				   unsigned long long flags);
typedef uint32_t (*cdm_cuMemRelease)(cdm_CUmemGenericAllocationHandle handle);
typedef uint32_t (*cdm_cuMemAddressReserve)(cdm_CUdeviceptr *address, size_t size, size_t alignment,
					   cdm_CUdeviceptr wish, unsigned long long flags);
typedef uint32_t (*cdm_cuMemAddressFree)(cdm_CUdeviceptr address, size_t size);
typedef uint32_t (*cdm_cuMemMap)(cdm_CUdeviceptr address, size_t size, size_t offset,
				cdm_CUmemGenericAllocationHandle handle, unsigned long long flags);
typedef uint32_t (*cdm_cuMemUnmap)(cdm_CUdeviceptr address, size_t size);
typedef uint32_t (*cdm_cuMemSetAccess)(cdm_CUdeviceptr address, size_t size,
				      const struct cdm_CUmemAccessDesc *access, size_t count);

/* Streams and copies. */
typedef uint32_t (*cdm_cuStreamCreate)(cdm_CUstream *stream, uint32_t flags);
typedef uint32_t (*cdm_cuStreamSynchronize)(cdm_CUstream stream);
typedef uint32_t (*cdm_cuStreamDestroy)(cdm_CUstream stream);
typedef uint32_t (*cdm_cuMemcpyDtoHAsync)(void *host, cdm_CUdeviceptr device, size_t count,
					 cdm_CUstream stream);
typedef uint32_t (*cdm_cuMemcpyHtoDAsync)(cdm_CUdeviceptr device, const void *host, size_t count,
					 cdm_CUstream stream);

/* Kernels. */
typedef uint32_t (*cdm_cuModuleLoadData)(cdm_CUmodule *module, const void *image);
typedef uint32_t (*cdm_cuModuleUnload)(cdm_CUmodule module);
typedef uint32_t (*cdm_cuModuleGetFunction)(cdm_CUfunction *function, cdm_CUmodule module,
					   const char *name);
typedef uint32_t (*cdm_cuLaunchKernel)(cdm_CUfunction function, uint32_t grid_x, uint32_t grid_y,
				      uint32_t grid_z, uint32_t block_x, uint32_t block_y,
				      uint32_t block_z, uint32_t shared, cdm_CUstream stream,
				      void **parameters, void **extra);
