// SPDX-License-Identifier: Apache-2.0
/* The GPUs of the stand-in for NVIDIA's driver, their contexts, and its errors. */
#include "cuda-private.h"

#include <stdio.h>
#include <unistd.h>

enum { max_depth = 16 };

/* The contexts that a thread pushed. */
static _Thread_local struct CUctx_st *stack[max_depth];
static _Thread_local size_t depth;

bool stand_in_is_gpu(int gpu) { return gpu >= 0 && gpu < stand_in.gpu_count; }

int stand_in_current_gpu(void)
{
	int gpu = depth ? stack[depth - 1]->gpu : -1;

	return gpu < 0 || !stand_in.gpus[gpu].retained ? -1 : gpu;
}

DEFINE(cuInit, (uint32_t flags), false, {
	stand_in_read_settings();
	stand_in.process = getpid();
	result = flags ? invalid_value : !stand_in.gpu_count ? cdm_CUDA_ERROR_NO_DEVICE : 0;
})

DEFINE(cuDriverGetVersion, (int32_t *version), false, { *version = stand_in.version; })

static const struct {
	uint32_t number;
	const char *name, *text;
} errors[] = {
	{ 0, "CUDA_SUCCESS", "no error" },
	{ 1, "CUDA_ERROR_INVALID_VALUE", "invalid argument" },
	{ 2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory" },
	{ 3, "CUDA_ERROR_NOT_INITIALIZED", "initialization error" },
	{ 100, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected" },
	{ 101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal" },
	{ 201, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context" },
	{ 218, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed" },
	{ 500, "CUDA_ERROR_NOT_FOUND", "named symbol not found" },
	{ 700, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered" },
	{ 702, "CUDA_ERROR_LAUNCH_TIMEOUT", "the launch timed out and was terminated" },
	{ 716, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address" },
	{ 719, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure" },
	{ 801, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported" },
	{ 999, "CUDA_ERROR_UNKNOWN", "unknown error" },
};

static uint32_t describe(uint32_t error, bool in_words, const char **text)
{
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
		if (errors[i].number == error) {
			*text = in_words ? errors[i].text : errors[i].name;
			return 0;
		}
	*text = NULL;
	return invalid_value;
}

DEFINE(cuGetErrorName, (uint32_t error, const char **text), false,
       { result = describe(error, false, text); })
DEFINE(cuGetErrorString, (uint32_t error, const char **text), false,
       { result = describe(error, true, text); })

DEFINE(cuDeviceGetCount, (int32_t *count), false, { *count = stand_in.gpu_count; })

DEFINE(cuDeviceGet, (cdm_CUdevice *device, int32_t ordinal), false, {
	*device = ordinal;
	result = stand_in_is_gpu(ordinal) ? 0 : cdm_CUDA_ERROR_INVALID_DEVICE;
})

DEFINE(cuDeviceGetName, (char *name, int32_t length, cdm_CUdevice device), false, {
	snprintf(name, length, "Stand-in %c", 'A' + device);
	result = stand_in_is_gpu(device) ? 0 : cdm_CUDA_ERROR_INVALID_DEVICE;
})

DEFINE(cuDeviceGetUuid_v2, (struct cdm_CUuuid *uuid, cdm_CUdevice device), false, {
	for (int i = 0; i < 16; i++)
		uuid->bytes[i] = (device + 1) * 16 + i;
	result = stand_in_is_gpu(device) ? 0 : cdm_CUDA_ERROR_INVALID_DEVICE;
})

DEFINE(cuDeviceGetPCIBusId, (char *address, int32_t length, cdm_CUdevice device), false, {
	if (stand_in_is_gpu(device))
		snprintf(address, length, "%s", stand_in.gpus[device].address);
	else
		result = cdm_CUDA_ERROR_INVALID_DEVICE;
})

DEFINE(cuDeviceTotalMem_v2, (size_t *bytes, cdm_CUdevice device), false, {
	*bytes = stand_in.gpu_memory;
	result = stand_in_is_gpu(device) ? 0 : cdm_CUDA_ERROR_INVALID_DEVICE;
})

static uint32_t attribute_of(int gpu, uint32_t attribute, int32_t *value)
{
	char mine[16];

	snprintf(mine, sizeof(mine), "dmabuf-%d", gpu);
	switch (attribute) {
	case cdm_CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED:
	case cdm_CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WITH_CUDA_VMM_SUPPORTED:
		*value = !stand_in_lacks("vmm");
		return 0;
	case cdm_CU_DEVICE_ATTRIBUTE_DMA_BUF_SUPPORTED:
		*value = !stand_in_lacks("dmabuf") && !stand_in_lacks(mine);
		return 0;
	case cdm_CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WRITES_ORDERING:
		*value = stand_in_lacks("ordering") ? 0 : 200;
		return 0;
	case cdm_CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_FLUSH_WRITES_OPTIONS:
		*value = stand_in_lacks("ordering");
		return 0;
	default:
		return invalid_value;
	}
}

DEFINE(cuDeviceGetAttribute, (int32_t *value, uint32_t attribute, cdm_CUdevice device), false,
       { result = attribute_of(device, attribute, value); })

DEFINE(cuDevicePrimaryCtxRetain, (cdm_CUcontext *context, cdm_CUdevice device), false, {
	if (stand_in_is_gpu(device)) {
		stand_in.gpus[device].retained++;
		*context = &stand_in.gpus[device].context;
	} else {
		result = cdm_CUDA_ERROR_INVALID_DEVICE;
	}
})

DEFINE(cuDevicePrimaryCtxRelease_v2, (cdm_CUdevice device), false, {
	if (stand_in_is_gpu(device) && stand_in.gpus[device].retained)
		stand_in.gpus[device].retained--;
	else
		result = cdm_CUDA_ERROR_INVALID_CONTEXT;
})

DEFINE(cuCtxPushCurrent_v2, (cdm_CUcontext context), false, {
	if (context && depth < max_depth) {
		stack[depth++] = context;
		stand_in.pushed++;
	} else {
		result = cdm_CUDA_ERROR_INVALID_CONTEXT;
	}
})

DEFINE(cuCtxPopCurrent_v2, (cdm_CUcontext *context), false, {
	if (depth) {
		*context = stack[--depth];
		stand_in.pushed--;
	} else {
		result = cdm_CUDA_ERROR_INVALID_CONTEXT;
	}
})

DEFINE(cuMemGetInfo_v2, (size_t *free_bytes, size_t *total), true, {
	*total = stand_in.gpu_memory;
	*free_bytes = stand_in.gpu_memory - stand_in.gpus[stand_in_current_gpu()].used;
})
