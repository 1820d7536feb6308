// SPDX-License-Identifier: Apache-2.0
/*
 * A stand-in for AMD's HIP runtime, libamdhip64.so.6, and the HSA runtime beneath it: the GPUs of the
 * stand-in for NVIDIA's driver, in the same library, and as strict. Its settings are the same; a
 * function that is to fail is named as there. ROCM_STAND_IN says more, separated by spaces:
 *	5	HIP itself exports no dma-bufs, as before ROCm 7
 *	offset	HSA's dma-bufs begin before the memory
 *	large	dma-bufs hold more than the memory
 */
#include "rocm-stand-in.h"
#include "cdm_rocm.h"
#include "cuda-private.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static _Thread_local int current;

/* The setting of a unit test; otherwise that of the environment counts. */
static char *setting;

void rocm_stand_in_set(const char *value)
{
	free(setting);
	setting = value ? strdup(value) : NULL;
}

static bool is_set(const char *what)
{
	const char *list = setting ? setting : getenv("ROCM_STAND_IN");

	return list && strstr(list, what);
}

/* Enters the context of a device around a call. */
#define IN_CONTEXT(call)                                             \
	({                                                           \
		cdm_CUcontext context_;                              \
		uint32_t result_ = cuDevicePrimaryCtxRetain(&context_, current); \
		if (!result_) {                                      \
			result_ = cuCtxPushCurrent_v2(context_);     \
			if (!result_) {                              \
				result_ = call;                      \
				cuCtxPopCurrent_v2(&context_);       \
			}                                            \
			cuDevicePrimaryCtxRelease_v2(current);       \
		}                                                    \
		result_;                                             \
	})

#define EXPORTED(type, name, parameters) \
	type name parameters;            \
	type name parameters

EXPORTED(uint32_t, hipInit, (uint32_t flags)) { return cuInit(flags); }

EXPORTED(const char *, hipGetErrorName, (uint32_t error))
{
	const char *text;

	return cuGetErrorName(error, &text) ? "hipErrorUnknown" : text;
}

EXPORTED(const char *, hipGetErrorString, (uint32_t error))
{
	const char *text;

	return cuGetErrorString(error, &text) ? "unknown error" : text;
}

EXPORTED(uint32_t, hipGetDeviceCount, (int *count)) { return cuDeviceGetCount(count); }

EXPORTED(uint32_t, hipDeviceGetName, (char *name, int length, int device))
{
	return cuDeviceGetName(name, length, device);
}

EXPORTED(uint32_t, hipDeviceGetUuid, (struct cdm_hipUUID *uuid, int device))
{
	char text[17];

	snprintf(text, sizeof(text), "%016x", 0xabc0 + device);
	memcpy(uuid->bytes, text, sizeof(uuid->bytes));
	return 0;
}

EXPORTED(uint32_t, hipDeviceGetPCIBusId, (char *address, int length, int device))
{
	return cuDeviceGetPCIBusId(address, length, device);
}

EXPORTED(uint32_t, hipDeviceTotalMem, (size_t *bytes, int device))
{
	return cuDeviceTotalMem_v2(bytes, device);
}

EXPORTED(uint32_t, hipGetDevice, (int *device))
{
	*device = current;
	return 0;
}

EXPORTED(uint32_t, hipSetDevice, (int device))
{
	int count;
	uint32_t result = cuDeviceGetCount(&count);

	if (!result && (device < 0 || device >= count))
		result = cdm_CUDA_ERROR_INVALID_DEVICE;
	if (!result)
		current = device;
	return result;
}

EXPORTED(uint32_t, hipMemGetInfo, (size_t *free_bytes, size_t *total))
{
	return IN_CONTEXT(cuMemGetInfo_v2(free_bytes, total));
}

EXPORTED(uint32_t, hipMalloc, (void **address, size_t size))
{
	cdm_CUdeviceptr made = 0;
	uint32_t result = IN_CONTEXT(cuMemAlloc_v2(&made, size));

	*address = (void *)(uintptr_t)made;
	return result;
}

EXPORTED(uint32_t, hipFree, (void *address))
{
	return IN_CONTEXT(cuMemFree_v2((uintptr_t)address));
}

/* A memfd is enough for what is refused. */
static int make_larger(int number, size_t size)
{
	int larger;

	if (!is_set("large"))
		return number;
	close(number);
	larger = memfd_create("rocm-stand-in", 0);
	if (larger >= 0 && ftruncate(larger, size + 4096))
		abort();
	return larger;
}

static uint32_t export(void *address, size_t size, int *out)
{
	uint32_t result = IN_CONTEXT(cuMemGetHandleForAddressRange(
		out, (uintptr_t)address, size, cdm_CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD, 0));

	if (!result)
		*out = make_larger(*out, size);
	return result;
}

EXPORTED(uint32_t, hipMemGetHandleForAddressRange,
	 (void *handle, void *address, size_t size, uint32_t type, unsigned long long flags))
{
	if (type != cdm_hipMemRangeHandleTypeDmaBufFd || flags)
		return cdm_hipErrorInvalidValue;
	return is_set("5") ? cdm_hipErrorNotSupported : export(address, size, handle);
}

EXPORTED(uint32_t, hsa_system_get_info, (uint32_t attribute, void *value))
{
	int32_t exports = 0;
	uint32_t result = cuDeviceGetAttribute(&exports, cdm_CU_DEVICE_ATTRIBUTE_DMA_BUF_SUPPORTED, 0);

	if (attribute != cdm_HSA_AMD_SYSTEM_INFO_DMABUF_SUPPORTED)
		return 0x1001;
	*(bool *)value = exports;
	return result;
}

EXPORTED(uint32_t, hsa_amd_portable_export_dmabuf,
	 (void *address, size_t size, int *dmabuf, uint64_t *offset))
{
	*offset = is_set("offset") ? 4096 : 0;
	return export(address, size, dmabuf) ? 0x1000 : 0;
}

EXPORTED(uint32_t, hipHostRegister, (void *host, size_t size, uint32_t flags))
{
	return IN_CONTEXT(cuMemHostRegister_v2(host, size, flags));
}

EXPORTED(uint32_t, hipHostUnregister, (void *host)) { return IN_CONTEXT(cuMemHostUnregister(host)); }

EXPORTED(uint32_t, hipStreamCreateWithFlags, (cdm_hipStream_t *stream, uint32_t flags))
{
	return IN_CONTEXT(cuStreamCreate((cdm_CUstream *)stream, flags));
}

EXPORTED(uint32_t, hipStreamSynchronize, (cdm_hipStream_t stream))
{
	return IN_CONTEXT(cuStreamSynchronize((cdm_CUstream)stream));
}

EXPORTED(uint32_t, hipStreamDestroy, (cdm_hipStream_t stream))
{
	return IN_CONTEXT(cuStreamDestroy_v2((cdm_CUstream)stream));
}

EXPORTED(uint32_t, hipMemcpyAsync,
	 (void *to, const void *from, size_t count, uint32_t direction, cdm_hipStream_t stream))
{
	cdm_CUstream its = (cdm_CUstream)stream;

	switch (direction) {
	case cdm_hipMemcpyHostToDevice:
		return IN_CONTEXT(cuMemcpyHtoDAsync_v2((uintptr_t)to, from, count, its));
	case cdm_hipMemcpyDeviceToHost:
		return IN_CONTEXT(cuMemcpyDtoHAsync_v2(to, (uintptr_t)from, count, its));
	default:
		return cdm_hipErrorInvalidValue;
	}
}

static const struct {
	const char *name;
	void *address;
} functions[] = {
#define FUNCTION(name) { #name, (void *)name }
	FUNCTION(hipInit),
	FUNCTION(hipGetErrorName),
	FUNCTION(hipGetErrorString),
	FUNCTION(hipGetDeviceCount),
	FUNCTION(hipDeviceGetName),
	FUNCTION(hipDeviceGetUuid),
	FUNCTION(hipDeviceGetPCIBusId),
	FUNCTION(hipDeviceTotalMem),
	FUNCTION(hipGetDevice),
	FUNCTION(hipSetDevice),
	FUNCTION(hipMemGetInfo),
	FUNCTION(hipMalloc),
	FUNCTION(hipFree),
	FUNCTION(hipMemGetHandleForAddressRange),
	FUNCTION(hsa_system_get_info),
	FUNCTION(hsa_amd_portable_export_dmabuf),
	FUNCTION(hipHostRegister),
	FUNCTION(hipHostUnregister),
	FUNCTION(hipStreamCreateWithFlags),
	FUNCTION(hipStreamSynchronize),
	FUNCTION(hipStreamDestroy),
	FUNCTION(hipMemcpyAsync),
#undef FUNCTION
};

void *rocm_stand_in_symbol(const char *name)
{
	for (size_t i = 0; i < sizeof(functions) / sizeof(*functions); i++)
		if (!strcmp(functions[i].name, name))
			return functions[i].address;
	return NULL;
}
