// SPDX-License-Identifier: Apache-2.0
/* Streams, and copies between the host and the GPUs. */
#include "cuda-private.h"

#include <stdlib.h>
#include <string.h>

struct CUstream_st {
	struct work *first, **last;
};

/* Whether the GPUs see what a NIC wrote; see "ordering" in cuda-stand-in.c. */
static bool is_flushed;

DEFINE(cuFlushGPUDirectRDMAWrites, (uint32_t target, uint32_t scope), true, {
	is_flushed = true;
	result = target == 0 && scope == 100 ? 0 : invalid_value;
})

DEFINE(cuStreamCreate, (cdm_CUstream *stream, uint32_t flags), true, {
	cdm_CUstream made = calloc(1, sizeof(*made));

	if (made && flags <= 1) {
		made->last = &made->first;
		stand_in.streams++;
		*stream = made;
	} else {
		free(made);
		result = invalid_value;
	}
})

/* Does what was started on a stream, and returns the first error. */
static uint32_t run(cdm_CUstream stream)
{
	bool is_stale = stand_in_lacks("ordering") && !is_flushed;
	struct work *work;
	uint32_t result = 0;

	while ((work = stream->first)) {
		stream->first = work->next;
		if (result)
			;
		else if (work->kernel)
			result = stand_in_run_kernel(work, is_stale);
		else if (work->is_out && work->is_payload && is_stale)
			memset(work->to, 0xee, work->count);
		else
			memcpy(work->to, work->from, work->count);
		if (work->is_payload)
			*(work->is_out ? &stand_in.copied_out : &stand_in.copied_in) += work->count;
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
	stand_in.streams--;
})

void stand_in_start(cdm_CUstream stream, struct work *work)
{
	*stream->last = work;
	stream->last = &work->next;
}

static uint32_t start_copy(void *host, uint64_t address, size_t count, cdm_CUstream stream, bool is_out)
{
	struct range *range = stand_in_find_range(address, count);
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
	stand_in_start(stream, work);
	if (!stand_in_is_registered(host, count)) {
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
	struct range *range = stand_in_find_range(address, count);

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
