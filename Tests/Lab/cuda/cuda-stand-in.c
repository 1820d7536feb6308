// SPDX-License-Identifier: Apache-2.0
/*
 * A stand-in for NVIDIA's driver library, libcuda.so.1: GPUs whose memory is host memory. In the guest
 * the memory is a dma-buf of the heap "system", which a NIC can use; elsewhere it is a memfd.
 *
 * It is as strict as the driver may be. Addresses of a GPU's memory are no addresses of the process. Copies
 * of registered host memory are done when their stream is synchronized and not before; others are done
 * at once. Host memory must not be unmapped while it is registered. What needs a current context fails
 * without one, and everything fails in a child of fork(2). Kernels run by an interpreter (ptx.c), also when their
 * stream is synchronized; a module that the interpreter does not understand is refused.
 *
 * The environment says what the driver is like:
 *	CUDA_STAND_IN_GPUS	PCI addresses, separated by spaces; empty for no GPU
 *	CUDA_STAND_IN_MEMORY	bytes of each GPU
 *	CUDA_STAND_IN_VERSION	of CUDA, such as 12080
 *	CUDA_STAND_IN_FAIL	NAME:N=RESULT: the Nth call of a function from now on fails; N is 0 for all
 *	CUDA_STAND_IN_WITHOUT	what is missing, separated by spaces: dmabuf, dmabuf-0 of the first GPU...,
 *				plain for the export of ordinary memory, pcie for the mapping flag, vmm,
 *				register for registered host memory, and ordering for GPUs that see writes of a NIC only after a flush
 *	CUDA_STAND_IN_LOG	a file for counts at exit
 * The log has a line "live N" that is 0 if all was freed, the bytes of exported memory that were copied out and in, and
 * a line for each function that was called.
 */
#include "cuda-stand-in.h"
#include "cdm_cuda.h"
#include "ptx.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dma-heap.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof(*(array)))

enum {
	max_gpus = 8,
	max_objects = 4096,
	max_depth = 16,
	granularity = 2 << 20,
};

static const unsigned invalid_context = cdm_CUDA_ERROR_INVALID_CONTEXT;
static const unsigned invalid_value = cdm_CUDA_ERROR_INVALID_VALUE;

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

struct CUstream_st {
	struct work *first, **last;
};

struct CUmod_st {
	struct CUmod_st *next;
	struct ptx_module *module;
};

struct CUctx_st {
	int gpu;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	char address[32];
	struct CUctx_st context;
	unsigned retained;
	size_t used;
} gpus[max_gpus];
static int gpu_count = -1;
static size_t gpu_memory;
static int version;
static struct block *blocks[max_objects];
static struct range ranges[max_objects];
/* Registered host memory. */
static struct {
	unsigned char *start;
	size_t size;
} registered[max_objects];
static uint64_t next_address = 0x7f0000000000;
static size_t streams, pushed;
static struct CUmod_st *modules;
static uint64_t copied_out, copied_in;
static pid_t process;
static bool is_flushed;
static _Thread_local struct CUctx_st *stack[max_depth];
static _Thread_local size_t depth;

#define FUNCTIONS(F) \
	F(cuInit) F(cuDriverGetVersion) F(cuGetErrorName) F(cuGetErrorString) F(cuDeviceGetCount) \
	F(cuDeviceGet) F(cuDeviceGetName) F(cuDeviceGetUuid_v2) F(cuDeviceGetPCIBusId) \
	F(cuDeviceTotalMem_v2) F(cuDeviceGetAttribute) F(cuFlushGPUDirectRDMAWrites) \
	F(cuDevicePrimaryCtxRetain) F(cuDevicePrimaryCtxRelease_v2) F(cuCtxPushCurrent_v2) \
	F(cuCtxPopCurrent_v2) F(cuMemGetInfo_v2) F(cuMemAlloc_v2) F(cuMemFree_v2) \
	F(cuMemHostRegister_v2) F(cuMemHostUnregister) \
	F(cuMemGetHandleForAddressRange) F(cuMemGetAllocationGranularity) F(cuMemCreate) \
	F(cuMemRelease) F(cuMemAddressReserve) F(cuMemAddressFree) F(cuMemMap) F(cuMemUnmap) \
	F(cuMemSetAccess) F(cuStreamCreate) F(cuStreamSynchronize) F(cuStreamDestroy_v2) \
	F(cuMemcpyDtoHAsync_v2) F(cuMemcpyHtoDAsync_v2) F(cuMemcpyDtoH_v2) F(cuMemcpyHtoD_v2) \
	F(cuMemcpyDtoD_v2) F(cuCtxSynchronize) F(cuMemHostAlloc) F(cuMemFreeHost) \
	F(cuMemHostGetDevicePointer_v2) F(cuModuleLoadData) F(cuModuleUnload) \
	F(cuModuleGetFunction) F(cuLaunchKernel)

enum function {
#define NUMBER(name) function_##name,
	FUNCTIONS(NUMBER)
#undef NUMBER
	function_count
};

static const char *const names[] = {
#define NAME(name) #name,
	FUNCTIONS(NAME)
#undef NAME
};

static unsigned calls[function_count];

/* The settings of unit tests; otherwise those of the environment count. */
static struct {
	const char *name;
	char value[256];
	bool is_set;
} settings[] = {
	{ .name = "CUDA_STAND_IN_GPUS" }, { .name = "CUDA_STAND_IN_MEMORY" },
	{ .name = "CUDA_STAND_IN_VERSION" }, { .name = "CUDA_STAND_IN_FAIL" },
	{ .name = "CUDA_STAND_IN_WITHOUT" },
};

static const char *setting(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		if (!strcmp(settings[i].name, name) && settings[i].is_set)
			return settings[i].value;
	return getenv(name);
}

static bool lacks(const char *what)
{
	const char *list = setting("CUDA_STAND_IN_WITHOUT");
	size_t length = strlen(what);

	while (list && *list) {
		size_t word = strcspn(list, " ");

		if (word == length && !strncmp(list, what, length))
			return true;
		list += word + strspn(list + word, " ");
	}
	return false;
}

static void read_settings(void)
{
	const char *text = setting("CUDA_STAND_IN_GPUS");

	if (!text)
		text = "0000:00:1f.0";
	for (gpu_count = 0; gpu_count < max_gpus; gpu_count++) {
		size_t word;

		text += strspn(text, " ");
		word = strcspn(text, " ");
		if (!word)
			break;
		snprintf(gpus[gpu_count].address, sizeof(gpus->address), "%.*s", (int)word, text);
		gpus[gpu_count].context.gpu = gpu_count;
		text += word;
	}
	text = setting("CUDA_STAND_IN_MEMORY");
	gpu_memory = text ? strtoull(text, NULL, 0) : 1 << 30;
	text = setting("CUDA_STAND_IN_VERSION");
	version = text ? atoi(text) : 12080;
}

/*
 * Counts a call, and returns what it shall return: 0 to go on. The caller holds the lock from here on
 * in any case.
 */
static unsigned begin(enum function function, bool needs_context)
{
	const char *fail = setting("CUDA_STAND_IN_FAIL");
	size_t length = strlen(names[function]);
	unsigned number = ++calls[function];

	if (fail && !strncmp(fail, names[function], length) && fail[length] == ':') {
		char *end;
		unsigned long nth = strtoul(fail + length + 1, &end, 10);

		if (!nth || nth == number)
			return *end == '=' ? strtoul(end + 1, NULL, 10) : cdm_CUDA_ERROR_UNKNOWN;
	}
	if (function <= function_cuGetErrorString)
		return 0;
	if (process != getpid())
		return cdm_CUDA_ERROR_NOT_INITIALIZED;
	if (needs_context && (!depth || !gpus[stack[depth - 1]->gpu].retained))
		return invalid_context;
	return 0;
}

/* The body of a function is an expression or a block that sets "result". */
#define DEFINE(name, parameters, needs_context, ...)                       \
	uint32_t name parameters;                                          \
	uint32_t name parameters                                           \
	{                                                                  \
		uint32_t result;                                           \
		pthread_mutex_lock(&lock);                                 \
		result = begin(function_##name, needs_context);            \
		if (!result)                                               \
			__VA_ARGS__                                        \
		pthread_mutex_unlock(&lock);                               \
		return result;                                             \
	}

static bool is_gpu(int gpu) { return gpu >= 0 && gpu < gpu_count; }

DEFINE(cuInit, (uint32_t flags), false, {
	read_settings();
	process = getpid();
	result = flags ? invalid_value : !gpu_count ? cdm_CUDA_ERROR_NO_DEVICE : 0;
})

DEFINE(cuDriverGetVersion, (int32_t *out), false, { *out = version; })

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

DEFINE(cuDeviceGetCount, (int32_t *count), false, { *count = gpu_count; })

DEFINE(cuDeviceGet, (cdm_CUdevice *device, int32_t ordinal), false, {
	*device = ordinal;
	result = is_gpu(ordinal) ? 0 : cdm_CUDA_ERROR_INVALID_DEVICE;
})

DEFINE(cuDeviceGetName, (char *name, int32_t length, cdm_CUdevice device), false, {
	snprintf(name, length, "Stand-in %c", 'A' + device);
	result = is_gpu(device) ? 0 : cdm_CUDA_ERROR_INVALID_DEVICE;
})

DEFINE(cuDeviceGetUuid_v2, (struct cdm_CUuuid *uuid, cdm_CUdevice device), false, {
	for (int i = 0; i < 16; i++)
		uuid->bytes[i] = (device + 1) * 16 + i;
	result = is_gpu(device) ? 0 : cdm_CUDA_ERROR_INVALID_DEVICE;
})

DEFINE(cuDeviceGetPCIBusId, (char *address, int32_t length, cdm_CUdevice device), false, {
	if (is_gpu(device))
		snprintf(address, length, "%s", gpus[device].address);
	else
		result = cdm_CUDA_ERROR_INVALID_DEVICE;
})

DEFINE(cuDeviceTotalMem_v2, (size_t *bytes, cdm_CUdevice device), false, {
	*bytes = gpu_memory;
	result = is_gpu(device) ? 0 : cdm_CUDA_ERROR_INVALID_DEVICE;
})

static uint32_t attribute_of(int gpu, uint32_t attribute, int32_t *value)
{
	char mine[16];

	snprintf(mine, sizeof(mine), "dmabuf-%d", gpu);
	switch (attribute) {
	case cdm_CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED:
	case cdm_CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WITH_CUDA_VMM_SUPPORTED:
		*value = !lacks("vmm");
		return 0;
	case cdm_CU_DEVICE_ATTRIBUTE_DMA_BUF_SUPPORTED:
		*value = !lacks("dmabuf") && !lacks(mine);
		return 0;
	case cdm_CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WRITES_ORDERING:
		*value = lacks("ordering") ? 0 : 200;
		return 0;
	case cdm_CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_FLUSH_WRITES_OPTIONS:
		*value = lacks("ordering");
		return 0;
	default:
		return invalid_value;
	}
}

DEFINE(cuDeviceGetAttribute, (int32_t *value, uint32_t attribute, cdm_CUdevice device), false,
       { result = attribute_of(device, attribute, value); })

DEFINE(cuFlushGPUDirectRDMAWrites, (uint32_t target, uint32_t scope), true, {
	is_flushed = true;
	result = target == 0 && scope == 100 ? 0 : invalid_value;
})

DEFINE(cuDevicePrimaryCtxRetain, (cdm_CUcontext *context, cdm_CUdevice device), false, {
	if (is_gpu(device)) {
		gpus[device].retained++;
		*context = &gpus[device].context;
	} else {
		result = cdm_CUDA_ERROR_INVALID_DEVICE;
	}
})

DEFINE(cuDevicePrimaryCtxRelease_v2, (cdm_CUdevice device), false, {
	if (is_gpu(device) && gpus[device].retained)
		gpus[device].retained--;
	else
		result = invalid_context;
})

DEFINE(cuCtxPushCurrent_v2, (cdm_CUcontext context), false, {
	if (context && depth < max_depth) {
		stack[depth++] = context;
		pushed++;
	} else {
		result = invalid_context;
	}
})

DEFINE(cuCtxPopCurrent_v2, (cdm_CUcontext *context), false, {
	if (depth) {
		*context = stack[--depth];
		pushed--;
	} else {
		result = invalid_context;
	}
})

DEFINE(cuMemGetInfo_v2, (size_t *free_bytes, size_t *total), true, {
	*total = gpu_memory;
	*free_bytes = gpu_memory - gpus[stack[depth - 1]->gpu].used;
})

static void free_block(struct block *block)
{
	if (block->is_plain || block->has_handle || block->mappings)
		return;
	for (size_t i = 0; i < max_objects; i++)
		if (blocks[i] == block)
			blocks[i] = NULL;
	munmap(block->bytes, block->size);
	if (!block->is_host) {
		gpus[block->gpu].used -= block->size;
		close(block->fd);
	}
	free(block);
}

static int make_file(size_t size)
{
	struct dma_heap_allocation_data request = { .len = size, .fd_flags = O_RDWR | O_CLOEXEC };
	int heap = open("/dev/dma_heap/system", O_RDWR | O_CLOEXEC);
	int result;

	if (heap >= 0) {
		result = ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &request);
		close(heap);
		return result ? -1 : (int)request.fd;
	}
	result = memfd_create("cuda-stand-in", MFD_CLOEXEC);
	if (result >= 0 && ftruncate(result, size)) {
		close(result);
		return -1;
	}
	return result;
}

static uint32_t make_block(size_t size, int gpu, struct block **made)
{
	struct block *block;
	size_t place = 0;

	if (!size || size % 4096)
		return invalid_value;
	if (size > gpu_memory - gpus[gpu].used)
		return cdm_CUDA_ERROR_OUT_OF_MEMORY;
	while (place < max_objects && blocks[place])
		place++;
	block = calloc(1, sizeof(*block));
	if (place == max_objects || !block)
		goto out_of_memory;
	block->fd = make_file(size);
	if (block->fd < 0)
		goto out_of_memory;
	block->bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, block->fd, 0);
	if (block->bytes == MAP_FAILED) {
		close(block->fd);
		goto out_of_memory;
	}
	block->size = size;
	block->gpu = gpu;
	gpus[gpu].used += size;
	blocks[place] = block;
	*made = block;
	return 0;
out_of_memory:
	free(block);
	return cdm_CUDA_ERROR_OUT_OF_MEMORY;
}

static uint32_t make_range(size_t size, uint64_t *address, struct block *block)
{
	for (size_t i = 0; i < max_objects; i++) {
		if (ranges[i].size)
			continue;
		ranges[i] = (struct range){ next_address, size, block, block };
		*address = next_address;
		/* A gap, so that what runs over the end is found. */
		next_address += (size + 2 * granularity - 1) / granularity * granularity;
		return 0;
	}
	return cdm_CUDA_ERROR_OUT_OF_MEMORY;
}

static struct range *find_range(uint64_t address, size_t size)
{
	for (size_t i = 0; i < max_objects; i++)
		if (ranges[i].size && address >= ranges[i].address &&
		    address - ranges[i].address <= ranges[i].size &&
		    size <= ranges[i].size - (address - ranges[i].address))
			return &ranges[i];
	return NULL;
}

DEFINE(cuMemAlloc_v2, (cdm_CUdeviceptr *address, size_t size), true, {
	struct block *block = NULL;

	result = make_block((size + 4095) / 4096 * 4096, stack[depth - 1]->gpu, &block);
	if (!result) {
		uint64_t made = 0;

		block->is_plain = true;
		result = make_range(size, &made, block);
		*address = made;
	}
})

DEFINE(cuMemFree_v2, (cdm_CUdeviceptr address), true, {
	struct range *range = find_range(address, 1);

	if (range && range->address == address && range->block && range->block->is_plain) {
		range->block->is_plain = false;
		free_block(range->block);
		range->size = 0;
	} else {
		result = invalid_value;
	}
})

static uint32_t export(uint64_t address, size_t size, uint64_t flags, int *out)
{
	struct range *range = find_range(address, size);

	if (!range || !range->block || !range->has_access || address != range->address ||
	    size != range->size)
		return invalid_value;
	if (range->block->is_plain && lacks("plain"))
		return cdm_CUDA_ERROR_NOT_SUPPORTED;
	if (flags & ~1ull || (flags && (lacks("pcie") || version < 12080)))
		return invalid_value;
	/* Without close-on-exec: the caller has to set it. */
	range->block->is_exported = true;
	*out = dup(range->block->fd);
	return *out < 0 ? cdm_CUDA_ERROR_UNKNOWN : 0;
}

DEFINE(cuMemGetHandleForAddressRange,
       (void *handle, cdm_CUdeviceptr address, size_t size, uint32_t type, unsigned long long flags),
       true, {
	       if (type == cdm_CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD)
		       result = export(address, size, flags, handle);
	       else
		       result = invalid_value;
       })

static bool are_proper(const struct cdm_CUmemAllocationProp *properties)
{
	return properties->type == 1 && properties->location.type == 1 &&
	       is_gpu(properties->location.id) && !properties->requestedHandleTypes &&
	       !properties->win32HandleMetaData;
}

DEFINE(cuMemGetAllocationGranularity,
       (size_t *out, const struct cdm_CUmemAllocationProp *properties, uint32_t option), false, {
	       *out = granularity;
	       result = are_proper(properties) && option < 2 ? 0 : invalid_value;
       })

DEFINE(cuMemCreate,
       (cdm_CUmemGenericAllocationHandle *handle, size_t size,
	const struct cdm_CUmemAllocationProp *properties, unsigned long long flags),
       false, {
	       struct block *block = NULL;

	       result = lacks("vmm") ? cdm_CUDA_ERROR_NOT_SUPPORTED :
			!are_proper(properties) || flags || size % granularity ||
					!properties->allocFlags.gpuDirectRDMACapable ?
				       invalid_value :
				       make_block(size, properties->location.id, &block);
	       if (!result) {
		       block->has_handle = true;
		       *handle = (uintptr_t)block;
	       }
       })

DEFINE(cuMemRelease, (cdm_CUmemGenericAllocationHandle handle), false, {
	struct block *block = (struct block *)(uintptr_t)handle;

	if (block && block->has_handle) {
		block->has_handle = false;
		free_block(block);
	} else {
		result = invalid_value;
	}
})

DEFINE(cuMemAddressReserve,
       (cdm_CUdeviceptr *address, size_t size, size_t alignment, cdm_CUdeviceptr wish,
	unsigned long long flags),
       false, {
	       uint64_t made = 0;

	       (void)wish;
	       if (size % granularity || alignment & (alignment - 1) || alignment > granularity || flags)
		       result = invalid_value;
	       else
		       result = make_range(size, &made, NULL);
	       *address = made;
       })

DEFINE(cuMemAddressFree, (cdm_CUdeviceptr address, size_t size), false, {
	struct range *range = find_range(address, size);

	if (range && range->address == address && range->size == size && !range->block)
		range->size = 0;
	else
		result = invalid_value;
})

DEFINE(cuMemMap,
       (cdm_CUdeviceptr address, size_t size, size_t offset, cdm_CUmemGenericAllocationHandle handle,
	unsigned long long flags),
       false, {
	       struct range *range = find_range(address, size);
	       struct block *block = (struct block *)(uintptr_t)handle;

	       if (range && !range->block && block && block->size == size && !offset && !flags) {
		       range->block = block;
		       range->has_access = false;
		       block->mappings++;
	       } else {
		       result = invalid_value;
	       }
       })

DEFINE(cuMemUnmap, (cdm_CUdeviceptr address, size_t size), false, {
	struct range *range = find_range(address, size);

	if (range && range->block && range->block->mappings && range->size == size) {
		range->block->mappings--;
		free_block(range->block);
		range->block = NULL;
	} else {
		result = invalid_value;
	}
})

DEFINE(cuMemSetAccess,
       (cdm_CUdeviceptr address, size_t size, const struct cdm_CUmemAccessDesc *access, size_t count),
       false, {
	       struct range *range = find_range(address, size);

	       if (range && range->block && count == 1 && access->flags == 3 &&
		   access->location.type == 1 && access->location.id == range->block->gpu)
		       range->has_access = true;
	       else
		       result = invalid_value;
       })

DEFINE(cuStreamCreate, (cdm_CUstream *stream, uint32_t flags), true, {
	cdm_CUstream made = calloc(1, sizeof(*made));

	if (made && flags <= 1) {
		made->last = &made->first;
		streams++;
		*stream = made;
	} else {
		free(made);
		result = invalid_value;
	}
})

/* Whether the GPU does not see yet what a NIC wrote. */
static bool is_stale;

/* The bytes at an address of a GPU, for a kernel. */
static void *bytes_of_kernel(uint64_t address, size_t size, bool writes)
{
	static unsigned char stale[8] = { 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee };
	/* The pieces, the words, and the memory that is compared, in turn. */
	static struct range *last[4];
	static unsigned turn;
	struct range *range = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(last) && !range; i++)
		if (last[i] && address >= last[i]->address && size <= last[i]->size &&
		    address - last[i]->address <= last[i]->size - size)
			range = last[i];
	if (!range) {
		range = find_range(address, size);
		last[turn++ % ARRAY_SIZE(last)] = range;
	}
	if (!range || !range->block || !range->has_access)
		return NULL;
	if (!writes && range->block->is_exported && is_stale)
		return stale;
	return range->block->bytes + (address - range->address);
}

static uint32_t run_kernel(const struct work *work)
{
	is_stale = lacks("ordering") && !is_flushed;
	switch (ptx_run(work->kernel, work->parameter, work->blocks, work->threads, bytes_of_kernel)) {
	case ptx_done: return 0;
	case ptx_illegal_address: return cdm_CUDA_ERROR_ILLEGAL_ADDRESS;
	case ptx_misaligned_address: return cdm_CUDA_ERROR_MISALIGNED_ADDRESS;
	case ptx_endless: return cdm_CUDA_ERROR_LAUNCH_TIMEOUT;
	case ptx_division_by_zero: break;
	}
	return cdm_CUDA_ERROR_LAUNCH_FAILED;
}

/* Does what was started on a stream, and returns the first error. */
static uint32_t run(cdm_CUstream stream)
{
	struct work *work;
	uint32_t result = 0;

	while ((work = stream->first)) {
		stream->first = work->next;
		if (result)
			;
		else if (work->kernel)
			result = run_kernel(work);
		else if (work->is_out && work->is_payload && lacks("ordering") && !is_flushed)
			memset(work->to, 0xee, work->count);
		else
			memcpy(work->to, work->from, work->count);
		if (work->is_payload)
			*(work->is_out ? &copied_out : &copied_in) += work->count;
		free(work);
	}
	stream->last = &stream->first;
	is_flushed = false;
	return result;
}

DEFINE(cuStreamSynchronize, (cdm_CUstream stream), true, { result = run(stream); })

DEFINE(cuStreamDestroy_v2, (cdm_CUstream stream), true, {
	run(stream);
	free(stream);
	streams--;
})

static bool is_registered(const void *host, size_t count)
{
	const unsigned char *start = host;

	for (size_t i = 0; i < max_objects; i++)
		if (registered[i].size && start >= registered[i].start &&
		    start + count <= registered[i].start + registered[i].size)
			return true;
	for (size_t i = 0; i < max_objects; i++)
		if (blocks[i] && blocks[i]->is_host && start >= blocks[i]->bytes &&
		    start + count <= blocks[i]->bytes + blocks[i]->size)
			return true;
	return false;
}

static uint32_t register_host(void *host, size_t size, uint32_t flags)
{
	if ((uintptr_t)host % 4096 || !size || flags != 1 || is_registered(host, 1))
		return invalid_value;
	if (lacks("register"))
		return cdm_CUDA_ERROR_NOT_SUPPORTED;
	for (size_t i = 0; i < max_objects; i++)
		if (!registered[i].size) {
			registered[i].start = host;
			registered[i].size = size;
			return 0;
		}
	return cdm_CUDA_ERROR_OUT_OF_MEMORY;
}

DEFINE(cuMemHostRegister_v2, (void *host, size_t size, uint32_t flags), true,
       { result = register_host(host, size, flags); })

static uint32_t unregister_host(void *host)
{
	for (size_t i = 0; i < max_objects; i++)
		if (registered[i].size && registered[i].start == host) {
			/* Fails where nothing is mapped. */
			if (msync(host, registered[i].size, MS_ASYNC))
				return invalid_value;
			registered[i].size = 0;
			return 0;
		}
	return invalid_value;
}

DEFINE(cuMemHostUnregister, (void *host), true, { result = unregister_host(host); })

static void start(cdm_CUstream stream, struct work *work)
{
	*stream->last = work;
	stream->last = &work->next;
}

static uint32_t start_copy(void *host, uint64_t address, size_t count, cdm_CUstream stream, bool is_out)
{
	struct range *range = find_range(address, count);
	struct work *work;
	unsigned char *device;

	if (!range || !range->block || !range->has_access || !host)
		return invalid_value;
	work = calloc(1, sizeof(*work));
	if (!work)
		return cdm_CUDA_ERROR_OUT_OF_MEMORY;
	device = range->block->bytes + (address - range->address);
	*work = (struct work){
		.to = is_out ? host : device,
		.from = is_out ? device : host,
		.count = count,
		.is_out = is_out,
		.is_payload = range->block->is_exported,
	};
	start(stream, work);
	if (!is_registered(host, count)) {
		bool flushed = is_flushed;
		uint32_t result = run(stream);

		is_flushed = flushed;
		return result;
	}
	return 0;
}

DEFINE(cuMemcpyDtoHAsync_v2, (void *host, cdm_CUdeviceptr device, size_t count, cdm_CUstream stream),
       true, { result = start_copy(host, device, count, stream, true); })

DEFINE(cuMemcpyHtoDAsync_v2,
       (cdm_CUdeviceptr device, const void *host, size_t count, cdm_CUstream stream), true,
       { result = start_copy((void *)host, device, count, stream, false); })

/* Of the example in Tests/Embedding. */
static unsigned char *find_bytes(uint64_t address, size_t count)
{
	struct range *range = find_range(address, count);

	if (!range || !range->block || !range->has_access)
		return NULL;
	return range->block->bytes + (address - range->address);
}

DEFINE(cuMemcpyDtoH_v2, (void *host, cdm_CUdeviceptr device, size_t count), true, {
	unsigned char *bytes = find_bytes(device, count);

	result = bytes ? 0 : invalid_value;
	if (bytes)
		memcpy(host, bytes, count);
})

DEFINE(cuMemcpyHtoD_v2, (cdm_CUdeviceptr device, const void *host, size_t count), true, {
	unsigned char *bytes = find_bytes(device, count);

	result = bytes ? 0 : invalid_value;
	if (bytes)
		memcpy(bytes, host, count);
})

DEFINE(cuMemcpyDtoD_v2, (cdm_CUdeviceptr to, cdm_CUdeviceptr from, size_t count), true, {
	unsigned char *target = find_bytes(to, count);
	unsigned char *source = find_bytes(from, count);

	result = target && source ? 0 : invalid_value;
	if (!result)
		memcpy(target, source, count);
})

DEFINE(cuCtxSynchronize, (void), true, { result = 0; })

static uint32_t allocate_host(void **host, size_t size, uint32_t flags)
{
	struct block *block = calloc(1, sizeof(*block));
	uint64_t address;
	size_t place = 0;

	while (place < max_objects && blocks[place])
		place++;
	if (!block || place == max_objects || !size || flags != cdm_CU_MEMHOSTALLOC_DEVICEMAP)
		goto refused;
	block->size = (size + 4095) / 4096 * 4096;
	block->is_host = block->is_plain = true;
	block->bytes = mmap(NULL, block->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (block->bytes == MAP_FAILED)
		goto refused;
	if (make_range(size, &address, block)) {
		munmap(block->bytes, block->size);
		goto refused;
	}
	blocks[place] = block;
	*host = block->bytes;
	return 0;
refused:
	free(block);
	return invalid_value;
}

DEFINE(cuMemHostAlloc, (void **host, size_t size, uint32_t flags), true,
       { result = allocate_host(host, size, flags); })

static struct range *find_host(const void *host)
{
	for (size_t i = 0; i < max_objects; i++)
		if (ranges[i].size && ranges[i].block && ranges[i].block->is_host &&
		    ranges[i].block->bytes == host)
			return &ranges[i];
	return NULL;
}

DEFINE(cuMemFreeHost, (void *host), true, {
	struct range *range = find_host(host);

	result = range ? 0 : invalid_value;
	if (range) {
		range->block->is_plain = false;
		free_block(range->block);
		range->size = 0;
	}
})

DEFINE(cuMemHostGetDevicePointer_v2, (cdm_CUdeviceptr *address, void *host, uint32_t flags), true, {
	struct range *range = find_host(host);

	result = range && !flags ? 0 : invalid_value;
	if (!result)
		*address = range->address;
})

static uint32_t load(cdm_CUmodule *out, const char *text)
{
	cdm_CUmodule made = calloc(1, sizeof(*made));
	char error[128];

	if (!made)
		return cdm_CUDA_ERROR_OUT_OF_MEMORY;
	made->module = ptx_load(text, error, sizeof(error));
	if (!made->module) {
		free(made);
		return cdm_CUDA_ERROR_INVALID_PTX;
	}
	made->next = modules;
	modules = made;
	*out = made;
	return 0;
}

DEFINE(cuModuleLoadData, (cdm_CUmodule *module, const void *image), true, { result = load(module, image); })

DEFINE(cuModuleUnload, (cdm_CUmodule module), true, {
	struct CUmod_st **place = &modules;

	while (*place && *place != module)
		place = &(*place)->next;
	result = *place ? 0 : invalid_value;
	if (*place) {
		*place = module->next;
		ptx_free(module->module);
		free(module);
	}
})

DEFINE(cuModuleGetFunction, (cdm_CUfunction *function, cdm_CUmodule module, const char *name), true, {
	const struct ptx_kernel *kernel = ptx_find(module->module, name);

	*function = (cdm_CUfunction)kernel;
	result = kernel ? 0 : cdm_CUDA_ERROR_NOT_FOUND;
})

static uint32_t launch(const struct ptx_kernel *kernel, unsigned blocks_of_threads, unsigned threads,
		       cdm_CUstream stream, void **parameters)
{
	struct work *work;

	if (!kernel || !blocks_of_threads || !threads || threads > 1024 || !parameters)
		return invalid_value;
	work = calloc(1, sizeof(*work));
	if (!work)
		return cdm_CUDA_ERROR_OUT_OF_MEMORY;
	work->kernel = kernel;
	work->blocks = blocks_of_threads;
	work->threads = threads;
	memcpy(work->parameter, parameters[0], ptx_parameter_size(kernel));
	start(stream, work);
	return 0;
}

DEFINE(cuLaunchKernel,
       (cdm_CUfunction function, uint32_t grid_x, uint32_t grid_y, uint32_t grid_z, uint32_t block_x,
	uint32_t block_y, uint32_t block_z, uint32_t shared, cdm_CUstream stream, void **parameters,
	void **extra),
       true, {
	       if (grid_y != 1 || grid_z != 1 || block_y != 1 || block_z != 1 || shared || extra)
		       result = invalid_value;
	       else
		       result = launch((const struct ptx_kernel *)function, grid_x, block_x, stream,
				       parameters);
       })

size_t cuda_stand_in_live(void)
{
	size_t live = streams + pushed;

	for (size_t i = 0; i < max_objects; i++)
		live += !!blocks[i] + !!ranges[i].size + !!registered[i].size;
	for (int i = 0; i < max_gpus; i++)
		live += gpus[i].retained;
	for (struct CUmod_st *module = modules; module; module = module->next)
		live++;
	return live;
}

void cuda_stand_in_reset(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		settings[i].is_set = false;
	memset(calls, 0, sizeof(calls));
	copied_out = copied_in = 0;
	read_settings();
}

void cuda_stand_in_set(const char *name, const char *value)
{
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		if (!strcmp(settings[i].name, name)) {
			settings[i].is_set = value;
			snprintf(settings[i].value, sizeof(settings[i].value), "%s", value ? value : "");
		}
	memset(calls, 0, sizeof(calls));
	read_settings();
}

void *cuda_stand_in_symbol(const char *name)
{
	static void *const addresses[] = {
#define ADDRESS(name) (void *)name,
		FUNCTIONS(ADDRESS)
#undef ADDRESS
	};

	for (size_t i = 0; i < function_count; i++)
		if (!strcmp(names[i], name))
			return addresses[i];
	return NULL;
}

size_t cuda_stand_in_functions(void) { return function_count; }
const char *cuda_stand_in_function(size_t index) { return names[index]; }

unsigned cuda_stand_in_calls(const char *name)
{
	for (size_t i = 0; i < function_count; i++)
		if (!strcmp(names[i], name))
			return calls[i];
	return 0;
}

uint64_t cuda_stand_in_copied_out(void) { return copied_out; }
uint64_t cuda_stand_in_copied_in(void) { return copied_in; }

int cuda_stand_in_in_child(void (*function)(void *), void *argument)
{
	int status = -1;
	pid_t child = fork();

	if (!child) {
		function(argument);
		_exit(0);
	}
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

__attribute__((destructor)) static void write_log(void)
{
	const char *path = getenv("CUDA_STAND_IN_LOG");
	FILE *log = path && process == getpid() ? fopen(path, "w") : NULL;

	if (!log)
		return;
	fprintf(log, "live %zu\ncopied-out %llu\ncopied-in %llu\n", cuda_stand_in_live(),
		(unsigned long long)copied_out, (unsigned long long)copied_in);
	for (size_t i = 0; i < function_count; i++)
		if (calls[i])
			fprintf(log, "%s %u\n", names[i], calls[i]);
	fclose(log);
}
