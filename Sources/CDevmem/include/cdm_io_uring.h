/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of io_uring's interface that zero-copy receive needs: "cdm_" and the kernel's name of a
 * number or a structure. Debian 12's headers (Linux 6.1) have the rings and lack zero-copy receive,
 * which is of Linux 6.15, with dma-bufs of 6.16. numbers.c compares what newer headers have.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Flags of io_uring_setup(2). */
enum : uint32_t {
	cdm_IORING_SETUP_CQSIZE = 1 << 3,
	cdm_IORING_SETUP_R_DISABLED = 1 << 6,
	cdm_IORING_SETUP_SUBMIT_ALL = 1 << 7,
	cdm_IORING_SETUP_CQE32 = 1 << 11,
	cdm_IORING_SETUP_SINGLE_ISSUER = 1 << 12,
	cdm_IORING_SETUP_DEFER_TASKRUN = 1 << 13,
	/* 6.6. */
	cdm_IORING_SETUP_NO_SQARRAY = 1 << 16,
};

/* Flags of io_uring_enter(2). */
enum : uint32_t {
	cdm_IORING_ENTER_GETEVENTS = 1 << 0,
};

/* Operations of io_uring_register(2). */
enum : uint32_t {
	cdm_IORING_REGISTER_ENABLE_RINGS = 12,
	/* 6.15. */
	cdm_IORING_REGISTER_ZCRX_IFQ = 32,
	/* 6.18. */
	cdm_IORING_REGISTER_QUERY = 35,
	/* 6.19. */
	cdm_IORING_REGISTER_ZCRX_CTRL = 36,
};

/* Questions of IORING_REGISTER_QUERY (6.18; this one 6.19). */
enum : uint32_t {
	cdm_IO_URING_QUERY_ZCRX = 1,
};

/* Features in the answer. */
enum : uint32_t {
	/* 7.0. */
	cdm_ZCRX_FEATURE_RX_PAGE_SIZE = 1 << 0,
};

/* Flags of cdm_io_uring_zcrx_ifq_reg. */
enum : uint32_t {
	/* 6.19. */
	cdm_ZCRX_REG_IMPORT = 1 << 0,
};

/* Operations of zero-copy receive in cdm_zcrx_ctrl; with IORING_REGISTER_ZCRX_CTRL. */
enum : uint32_t {
	cdm_ZCRX_CTRL_FLUSH_RQ = 0,
	cdm_ZCRX_CTRL_EXPORT = 1,
};

/* Where mmap(2) finds the parts of an instance. */
enum : int64_t {
	cdm_IORING_OFF_SQ_RING = 0,
	cdm_IORING_OFF_SQES = 0x10000000,
};

/* Requests, their flags, and those of completions. */
enum : uint8_t {
	cdm_IORING_OP_ASYNC_CANCEL = 14,
	/* 6.15. */
	cdm_IORING_OP_RECV_ZC = 58,
};

enum : uint16_t {
	cdm_IORING_RECV_MULTISHOT = 1 << 1,
};

enum : uint32_t {
	cdm_IORING_CQE_F_MORE = 1 << 1,
};

/* Flags of an area of zero-copy receive. */
enum : uint32_t {
	/* 6.16. */
	cdm_IORING_ZCRX_AREA_DMABUF = 1 << 0,
};

/* An offset in a completion or a refill entry: the bits from here on name the area. */
enum : uint64_t {
	cdm_IORING_ZCRX_AREA_SHIFT = 48,
};

/* struct io_uring_sqe; each union has the member that IORING_OP_RECV_ZC uses. */
struct cdm_io_uring_sqe {
	uint8_t opcode;
	uint8_t flags;
	uint16_t ioprio;
	int32_t fd;
	uint64_t off;
	uint64_t addr;
	uint32_t len;
	uint32_t msg_flags;
	uint64_t user_data;
	uint16_t buf_index;
	uint16_t personality;
	uint32_t zcrx_ifq_idx;
	uint64_t addr3;
	uint64_t pad;
};
_Static_assert(sizeof(struct cdm_io_uring_sqe) == 64, "io_uring_sqe");
_Static_assert(offsetof(struct cdm_io_uring_sqe, user_data) == 32, "io_uring_sqe.user_data");
_Static_assert(offsetof(struct cdm_io_uring_sqe, zcrx_ifq_idx) == 44, "io_uring_sqe.zcrx_ifq_idx");

/* struct io_uring_cqe with struct io_uring_zcrx_cqe behind it, as IORING_SETUP_CQE32 has it. */
struct cdm_io_uring_cqe {
	uint64_t user_data;
	int32_t res;
	uint32_t flags;
	uint64_t off;
	uint64_t pad;
};
_Static_assert(sizeof(struct cdm_io_uring_cqe) == 32, "io_uring_cqe");
_Static_assert(offsetof(struct cdm_io_uring_cqe, off) == 16, "io_uring_zcrx_cqe.off");

/* struct io_sqring_offsets. */
struct cdm_io_sqring_offsets {
	uint32_t head;
	uint32_t tail;
	uint32_t ring_mask;
	uint32_t ring_entries;
	uint32_t flags;
	uint32_t dropped;
	uint32_t array;
	uint32_t resv1;
	uint64_t user_addr;
};
_Static_assert(sizeof(struct cdm_io_sqring_offsets) == 40, "io_sqring_offsets");

/* struct io_cqring_offsets. */
struct cdm_io_cqring_offsets {
	uint32_t head;
	uint32_t tail;
	uint32_t ring_mask;
	uint32_t ring_entries;
	uint32_t overflow;
	uint32_t cqes;
	uint32_t flags;
	uint32_t resv1;
	uint64_t user_addr;
};
_Static_assert(sizeof(struct cdm_io_cqring_offsets) == 40, "io_cqring_offsets");

/* struct io_uring_params. */
struct cdm_io_uring_params {
	uint32_t sq_entries;
	uint32_t cq_entries;
	uint32_t flags;
	uint32_t sq_thread_cpu;
	uint32_t sq_thread_idle;
	uint32_t features;
	uint32_t wq_fd;
	uint32_t resv[3];
	struct cdm_io_sqring_offsets sq_off;
	struct cdm_io_cqring_offsets cq_off;
};
_Static_assert(sizeof(struct cdm_io_uring_params) == 120, "io_uring_params");
_Static_assert(offsetof(struct cdm_io_uring_params, sq_off) == 40, "io_uring_params.sq_off");

/* struct io_uring_region_desc (6.13). With a user_addr of 0 the kernel makes the region. */
struct cdm_io_uring_region_desc {
	uint64_t user_addr;
	uint64_t size;
	uint32_t flags;
	uint32_t id;
	uint64_t mmap_offset;
	uint64_t resv[4];
};
_Static_assert(sizeof(struct cdm_io_uring_region_desc) == 64, "io_uring_region_desc");
_Static_assert(offsetof(struct cdm_io_uring_region_desc, mmap_offset) == 24,
	       "io_uring_region_desc.mmap_offset");

/* struct io_uring_zcrx_rqe (6.15): a fragment that returns to the NIC. */
struct cdm_io_uring_zcrx_rqe {
	uint64_t off;
	uint32_t len;
	uint32_t pad;
};
_Static_assert(sizeof(struct cdm_io_uring_zcrx_rqe) == 16, "io_uring_zcrx_rqe");

/* struct io_uring_zcrx_offsets (6.15). */
struct cdm_io_uring_zcrx_offsets {
	uint32_t head;
	uint32_t tail;
	uint32_t rqes;
	uint32_t resv2;
	uint64_t resv[2];
};
_Static_assert(sizeof(struct cdm_io_uring_zcrx_offsets) == 32, "io_uring_zcrx_offsets");

/* struct io_uring_zcrx_area_reg (6.15; dmabuf_fd 6.16). */
struct cdm_io_uring_zcrx_area_reg {
	uint64_t addr;
	uint64_t len;
	uint64_t rq_area_token;
	uint32_t flags;
	uint32_t dmabuf_fd;
	uint64_t resv2[2];
};
_Static_assert(sizeof(struct cdm_io_uring_zcrx_area_reg) == 48, "io_uring_zcrx_area_reg");
_Static_assert(offsetof(struct cdm_io_uring_zcrx_area_reg, dmabuf_fd) == 28,
	       "io_uring_zcrx_area_reg.dmabuf_fd");

/* struct io_uring_zcrx_ifq_reg (6.15; rx_buf_len and event_desc are later and were reserved). */
struct cdm_io_uring_zcrx_ifq_reg {
	uint32_t if_idx;
	uint32_t if_rxq;
	uint32_t rq_entries;
	uint32_t flags;
	uint64_t area_ptr;
	uint64_t region_ptr;
	struct cdm_io_uring_zcrx_offsets offsets;
	uint32_t zcrx_id;
	uint32_t rx_buf_len;
	uint64_t event_desc;
	uint64_t resv[2];
};
_Static_assert(sizeof(struct cdm_io_uring_zcrx_ifq_reg) == 96, "io_uring_zcrx_ifq_reg");
_Static_assert(offsetof(struct cdm_io_uring_zcrx_ifq_reg, zcrx_id) == 64,
	       "io_uring_zcrx_ifq_reg.zcrx_id");

/* struct zcrx_ctrl (6.19); zcrx_fd is the answer of EXPORT. */
struct cdm_zcrx_ctrl {
	uint32_t zcrx_id;
	uint32_t op;
	uint64_t resv[2];
	uint32_t zcrx_fd;
	uint32_t rest[11];
};
_Static_assert(sizeof(struct cdm_zcrx_ctrl) == 72, "zcrx_ctrl");
_Static_assert(offsetof(struct cdm_zcrx_ctrl, zcrx_fd) == 24, "zcrx_ctrl.zc_export.zcrx_fd");

/* struct io_uring_query_hdr (6.18). */
struct cdm_io_uring_query_hdr {
	uint64_t next_entry;
	uint64_t query_data;
	uint32_t query_op;
	uint32_t size;
	int32_t result;
	uint32_t resv[3];
};
_Static_assert(sizeof(struct cdm_io_uring_query_hdr) == 40, "io_uring_query_hdr");

/* struct io_uring_query_zcrx (6.19). */
struct cdm_io_uring_query_zcrx {
	uint64_t register_flags;
	uint64_t area_flags;
	uint32_t nr_ctrl_opcodes;
	uint32_t features;
	uint32_t rq_hdr_size;
	uint32_t rq_hdr_alignment;
	uint64_t resv2;
};
_Static_assert(sizeof(struct cdm_io_uring_query_zcrx) == 40, "io_uring_query_zcrx");

int cdm_io_uring_setup(unsigned int entries, struct cdm_io_uring_params *parameters);
int cdm_io_uring_enter(int fd, unsigned int submitted, unsigned int completed, unsigned int flags);
int cdm_io_uring_register(int fd, unsigned int operation, void *argument, unsigned int count);

/* The kernel reads and writes the rings' heads and tails at any time. */
static inline uint32_t cdm_load_acquire(const void *place)
{
	return __atomic_load_n((const uint32_t *)place, __ATOMIC_ACQUIRE);
}

static inline void cdm_store_release(void *place, uint32_t value)
{
	__atomic_store_n((uint32_t *)place, value, __ATOMIC_RELEASE);
}
