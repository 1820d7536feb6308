/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the stand-in for NVIDIA's driver share; see cuda-stand-in.c. */
#pragma once

#include "cdm_cuda.h"
#include "ptx.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof(*(array)))

enum {
	max_gpus = 8,
	max_objects = 4096,
	granularity = 2 << 20,
	invalid_value = cdm_CUDA_ERROR_INVALID_VALUE,
};

/* The driver's functions. Those up to cuGetErrorString need no cuInit. */
#define FUNCTIONS(F) \
	F(cuInit, (uint32_t flags)) \
	F(cuDriverGetVersion, (int32_t *version)) \
	F(cuGetErrorName, (uint32_t error, const char **text)) \
	F(cuGetErrorString, (uint32_t error, const char **text)) \
	F(cuDeviceGetCount, (int32_t *count)) \
	F(cuDeviceGet, (cdm_CUdevice *device, int32_t ordinal)) \
	F(cuDeviceGetName, (char *name, int32_t length, cdm_CUdevice device)) \
	F(cuDeviceGetUuid_v2, (struct cdm_CUuuid *uuid, cdm_CUdevice device)) \
	F(cuDeviceGetPCIBusId, (char *address, int32_t length, cdm_CUdevice device)) \
	F(cuDeviceTotalMem_v2, (size_t *bytes, cdm_CUdevice device)) \
	F(cuDeviceGetAttribute, (int32_t *value, uint32_t attribute, cdm_CUdevice device)) \
	F(cuFlushGPUDirectRDMAWrites, (uint32_t target, uint32_t scope)) \
	F(cuDevicePrimaryCtxRetain, (cdm_CUcontext *context, cdm_CUdevice device)) \
	F(cuDevicePrimaryCtxRelease_v2, (cdm_CUdevice device)) \
	F(cuCtxPushCurrent_v2, (cdm_CUcontext context)) \
	F(cuCtxPopCurrent_v2, (cdm_CUcontext *context)) \
	F(cuMemGetInfo_v2, (size_t *free_bytes, size_t *total)) \
	F(cuMemAlloc_v2, (cdm_CUdeviceptr *address, size_t size)) \
	F(cuMemFree_v2, (cdm_CUdeviceptr address)) \
	F(cuMemHostRegister_v2, (void *host, size_t size, uint32_t flags)) \
	F(cuMemHostUnregister, (void *host)) \
	F(cuMemGetHandleForAddressRange, \
	  (void *handle, cdm_CUdeviceptr address, size_t size, uint32_t type, unsigned long long flags)) \
	F(cuMemGetAllocationGranularity, \
	  (size_t *out, const struct cdm_CUmemAllocationProp *properties, uint32_t option)) \
	F(cuMemCreate, \
	  (cdm_CUmemGenericAllocationHandle *handle, size_t size, \
	   const struct cdm_CUmemAllocationProp *properties, unsigned long long flags)) \
	F(cuMemRelease, (cdm_CUmemGenericAllocationHandle handle)) \
	F(cuMemAddressReserve, \
	  (cdm_CUdeviceptr *address, size_t size, size_t alignment, cdm_CUdeviceptr wish, \
	   unsigned long long flags)) \
	F(cuMemAddressFree, (cdm_CUdeviceptr address, size_t size)) \
	F(cuMemMap, \
	  (cdm_CUdeviceptr address, size_t size, size_t offset, cdm_CUmemGenericAllocationHandle handle, \
	   unsigned long long flags)) \
	F(cuMemUnmap, (cdm_CUdeviceptr address, size_t size)) \
	F(cuMemSetAccess, \
	  (cdm_CUdeviceptr address, size_t size, const struct cdm_CUmemAccessDesc *access, size_t count)) \
	F(cuStreamCreate, (cdm_CUstream *stream, uint32_t flags)) \
	F(cuStreamSynchronize, (cdm_CUstream stream)) \
	F(cuStreamDestroy_v2, (cdm_CUstream stream)) \
	F(cuMemcpyDtoHAsync_v2, (void *host, cdm_CUdeviceptr device, size_t count, cdm_CUstream stream)) \
	F(cuMemcpyHtoDAsync_v2, \
	  (cdm_CUdeviceptr device, const void *host, size_t count, cdm_CUstream stream)) \
	F(cuMemcpyDtoH_v2, (void *host, cdm_CUdeviceptr device, size_t count)) \
	F(cuMemcpyHtoD_v2, (cdm_CUdeviceptr device, const void *host, size_t count)) \
	F(cuMemcpyDtoD_v2, (cdm_CUdeviceptr to, cdm_CUdeviceptr from, size_t count)) \
	F(cuCtxSynchronize, (void)) \
	F(cuMemHostAlloc, (void **host, size_t size, uint32_t flags)) \
	F(cuMemFreeHost, (void *host)) \
	F(cuMemHostGetDevicePointer_v2, (cdm_CUdeviceptr *address, void *host, uint32_t flags)) \
	F(cuModuleLoadData, (cdm_CUmodule *module, const void *image)) \
	F(cuModuleUnload, (cdm_CUmodule module)) \
	F(cuModuleGetFunction, (cdm_CUfunction *function, cdm_CUmodule module, const char *name)) \
	F(cuLaunchKernel, \
	  (cdm_CUfunction function, uint32_t grid_x, uint32_t grid_y, uint32_t grid_z, uint32_t block_x, \
	   uint32_t block_y, uint32_t block_z, uint32_t shared, cdm_CUstream stream, void **parameters, \
	   void **extra))

enum function {
#define NUMBER(name, parameters) function_##name,
	FUNCTIONS(NUMBER)
#undef NUMBER
	function_count
};

#define DECLARE(name, parameters) uint32_t name parameters;
FUNCTIONS(DECLARE)
#undef DECLARE

/* Memory of a GPU. */
struct block {
	size_t size;
	int fd;
	unsigned char *bytes;
	int gpu;
	/* Of cuMemAlloc, or the handle of cuMemCreate and the number of its mappings. */
	bool is_plain;
	bool has_handle;
	unsigned mappings;
	/* Memory of the host that a GPU reaches; it has no file. */
	bool is_host;
	/* Whether others reach it, as the memory of payload. */
	bool is_exported;
};

/* Addresses of a GPU. */
struct range {
	uint64_t address;
	size_t size;
	struct block *block;
	bool has_access;
};

/* A copy, or the launch of a kernel. */
struct work {
	struct work *next;
	unsigned char *to;
	const unsigned char *from;
	size_t count;
	bool is_out, is_payload;
	const struct ptx_kernel *kernel;
	unsigned blocks, threads;
	unsigned char parameter[256];
};

struct CUctx_st {
	int gpu;
};

struct gpu {
	char address[32];
	struct CUctx_st context;
	unsigned retained;
	size_t used;
};

/* The library exports none of what follows, so that no name clashes with one of the process. */
#pragma GCC visibility push(hidden)

/* The state that more than one file uses. */
struct stand_in {
	/* The one that called cuInit. */
	pid_t process;
	int version;
	struct gpu gpus[max_gpus];
	int gpu_count;
	size_t gpu_memory;
	struct block *blocks[max_objects];
	struct range ranges[max_objects];
	/* How many there are: of contexts pushed by any thread, and so on. */
	size_t pushed, registrations, streams, modules;
	/* Bytes of exported memory. */
	uint64_t copied_out, copied_in;
};
extern struct stand_in stand_in;

/* cuda-settings.c. What is "lacking" is a word of CUDA_STAND_IN_WITHOUT. */
const char *stand_in_setting(const char *name);
bool stand_in_lacks(const char *what);
void stand_in_read_settings(void);

/*
 * cuda-calls.c. A call is counted when it begins, and holds the lock until it ends. stand_in_begin() returns what the
 * call shall return: 0 to go on.
 */
uint32_t stand_in_begin(enum function function, bool needs_context);
void stand_in_end(void);
void stand_in_forget_calls(void);

/* cuda-devices.c. The current GPU is that of the thread's context; -1 if there is none, or if it is not retained. */
bool stand_in_is_gpu(int gpu);
int stand_in_current_gpu(void);

/* cuda-memory.c. A block is only freed once nothing refers to it. A range may have no block yet. */
uint32_t stand_in_make_block(size_t size, int gpu, struct block **made);
void stand_in_free_block(struct block *block);
uint32_t stand_in_make_range(size_t size, uint64_t *address, struct block *block);
struct range *stand_in_find_range(uint64_t address, size_t size);

/* cuda-host-memory.c. What the driver allocated counts as registered. */
bool stand_in_is_registered(const void *host, size_t count);

/* cuda-streams.c. */
void stand_in_start(cdm_CUstream stream, struct work *work);

/* cuda-modules.c. If memory is stale, the kernel does not see what a NIC wrote. */
uint32_t stand_in_run_kernel(const struct work *work, bool memory_is_stale);

#pragma GCC visibility pop

/* Defines a function of the driver. The body is an expression or a block that sets "result". */
#define DEFINE(name, parameters, needs_context, ...)                              \
	uint32_t name parameters                                                  \
	{                                                                         \
		uint32_t result = stand_in_begin(function_##name, needs_context); \
		if (!result)                                                      \
			__VA_ARGS__                                               \
		stand_in_end();                                                   \
		return result;                                                    \
	}
