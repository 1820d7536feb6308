/* SPDX-License-Identifier: GPL-2.0 */
/* A ConnectX-5 as mlx5_core sees it: objects that commands create, queues in the guest's
 * memory, and the functions that the parts of the device share.
 *
 * The driver's names begin with mlx5_; those of this device with cx_.
 */
#ifndef LAB_MLX5_H
#define LAB_MLX5_H

#include <linux/list.h>
#include <linux/unaligned.h>
#include <linux/xarray.h>
#include <linux/mlx5/device.h>
#include <linux/mlx5/driver.h>
#include <linux/mlx5/cq.h>
#include <linux/mlx5/qp.h>

#include "compat.h"
#include "device.h"

/* The BAR: initialization segment, UAR pages, MSI-X. */
#define CX_UAR_FIRST	16
#define CX_UAR_LAST	127
#define CX_MSIX_TABLE	0x80000
#define CX_MSIX_PBA	0x88000

#define CX_MESSAGE_MAX	SZ_512K
#define CX_ANSWER_MAX	SZ_64K
#define CX_TRACE	128
#define CX_WQE_MAX	1024
#define CX_KEY		40
#define CX_LEVELS	256	/* of flow tables; the driver uses more than it requests */
/* Bytes of the outer headers in match criteria and values. */
#define CX_MATCH	MLX5_ST_SZ_BYTES(fte_match_set_lyr_2_4)
#define CX_FCS		ETH_FCS_LEN

/* The header of all commands and answers. */
struct mlx5_ifc_cx_in_bits {
	u8	opcode[0x10];
	u8	uid[0x10];
	u8	reserved_at_20[0x10];
	u8	op_mod[0x10];
};

struct mlx5_ifc_cx_out_bits {
	u8	status[0x8];
	u8	reserved_at_8[0x18];
	u8	syndrome[0x20];
};

/* The header of every object. */
struct cx_object {
	u32	id;
	u32	users;		/* references from other objects */
};

enum cx_kind {
	CX_UAR, CX_PD, CX_TD, CX_MKEY, CX_EQ, CX_CQ, CX_Q_COUNTER, CX_FLOW_COUNTER, CX_TIS,
	CX_SQ, CX_RQ, CX_RQT, CX_TIR, CX_TABLE, CX_GROUP,
	CX_KINDS
};

/* The memory of a queue, a list of pages. */
struct cx_ring {
	u8	**page;
	u32	pages, shift;
};

struct cx_simple {		/* a UAR, a protection domain, a transport domain */
	struct cx_object object;
};

struct cx_tis {
	struct cx_object object;
	struct cx_object *domain;
};

struct cx_q_counter {
	struct cx_object object;
	u32	out_of_buffer;
};

struct cx_traffic {
	u64	packets, octets;
};

struct cx_flow_counter {
	struct cx_object object;
	struct cx_traffic traffic;
};

struct cx_mkey {
	struct cx_object object;
	struct cx_object *domain;
	u8	mode;		/* MLX5_MKC_ACCESS_MODE_PA or _MTT */
	u8	shift;		/* of a page */
	u32	pages;
	u64	*page;		/* bus addresses */
	u64	start;
};

struct cx_eq {
	struct cx_object object;
	struct cx_object *uar;
	struct cx_ring ring;
	u8	log_size;
	u16	vector;
	u32	producer;
	u64	mask;		/* the events of this queue */
	bool	due;		/* an interrupt must be raised */
	u64	events;
};

struct cx_cq {
	struct cx_object object;
	struct list_head news;	/* in cx_state.news: has entries without an event */
	struct cx_object *uar;
	struct cx_eq *eq;
	struct cx_ring ring;
	__be32	*doorbell;	/* consumer index, arming */
	u8	log_size;
	u32	producer, arm;
	bool	armed, overrun;
	u16	period, count;
	u64	events;
};

struct cx_sq {
	struct cx_object object;
	struct list_head list;
	struct cx_cq *cq;
	struct cx_object *tis;
	struct cx_object *uar;
	struct cx_ring ring;
	__be32	*doorbell;
	u8	log_size, state;
	bool	umr;		/* takes UMR */
	u16	consumer;
	u32	segment;	/* packets sent of a WQE with several */
	struct lab_hold hold;
	u64	wqes, packets, octets, umrs, errors;
};

struct cx_rq {
	struct cx_object object;
	struct cx_cq *cq;
	struct cx_ring ring;
	__be32	*doorbell;
	u8	log_size, log_stride, state, type;
	bool	keep_vlan;
	u8	counter_set;
	u16	consumer;	/* WQEs used up */

	/* Striding */
	u8	log_strides, log_stride_size;
	bool	open;		/* a WQE is being filled */
	u16	current_wqe;
	u32	used;		/* bytes of it used by packets */
	u32	told;		/* strides of it that completions have reported */

	/* SHAMPO: separate headers, adjacent payloads */
	bool	shampo;
	struct cx_mkey *headers;
	u8	log_header, log_headers;
	u32	next_header;

	u64	packets, octets, split, merged, unsplit, fillers, errors, missed;
};

struct cx_rqt {
	struct cx_object object;
	u32	entries, max;
	struct cx_rq **rq;
};

struct cx_tir {
	struct cx_object object;
	struct cx_object *domain;
	bool	indirect, symmetric;
	struct cx_rq *rq;
	struct cx_rqt *rqt;
	u8	function;
	u32	fields;
	u8	key[CX_KEY];
};

struct cx_table {
	struct cx_object object;
	u8	level, log_size;
	struct cx_table *miss;
	struct list_head entries;	/* by index */
	struct list_head groups;	/* by first index */
};

struct cx_group {
	struct cx_object object;
	struct list_head list;
	struct cx_table *table;
	u32	first, last;
	u8	mask[CX_MATCH];
	u32	from, len;		/* its bytes that are not 0 */
};

struct cx_entry {
	struct list_head list;
	struct cx_group *group;
	u32	index, tag;
	u16	action;
	u8	value[CX_MATCH];
	struct cx_tir *tir;
	struct cx_table *table;
	struct cx_flow_counter *counter;
	u64	hits;
};

/* One command: its input and output. */
struct cx_message {
	const u8	*in;
	u8		*out;
	u32		in_len, out_len;
	u16		op_mod;
	u32		syndrome;	/* the place where it was refused */
};

struct cx_trace {
	u64	at;		/* ms since boot */
	u32	first;		/* the word after the command's header, usually an id */
	u32	syndrome;
	u16	opcode, op_mod;
	u8	status, slot;
};

enum cx_cast { CX_UNICAST, CX_MULTICAST, CX_BROADCAST, CX_CASTS };

#define CX_SIZES	10	/* frames by size class, of RFC 2819 and of the device */

struct cx_port {
	bool	up;		/* the state that PAOS requests */
	bool	was_up;		/* the link state that was last reported to the driver */
	u16	mtu;		/* with Ethernet's header and FCS */
	u32	speeds;		/* bits of PTYS */
	u32	link_downs;
	struct cx_traffic rx[CX_CASTS], tx[CX_CASTS];
	u64	rx_sizes[CX_SIZES];
	u64	rx_too_long, rx_discards, steering_discards, rx_down, tx_down;
};

struct cx_state {
	struct lab_device *dev;
	struct xarray	object[CX_KINDS];
	u32		next[CX_KINDS];
	struct list_head sqs, news;
	u16		vector_users[LAB_MAX_VECTORS];
	struct cx_table	*root;
	u32		general[MLX5_ST_SZ_DW(cmd_hca_cap)];	/* as the driver has set it */
	u32		vport[MLX5_ST_SZ_DW(nic_vport_context)];
	struct cx_port	port;

	/* Command interface */
	u64		queue;		/* bus address; 0: none */
	bool		enabled;
	u32		hung, suspect;	/* slots: not answered; with a doorbell that may be lost */
	unsigned long	suspect_since, hung_since;
	u8		*message, *answer;
	u64		commands;
	struct cx_trace	trace[CX_TRACE];

	/* Health */
	bool		broken;
	unsigned long	beat;

	/* Scratch */
	struct lab_packet packet;
	u8		wqe[CX_WQE_MAX];
	struct cx_entry	*path[CX_LEVELS];	/* of the last packet steered */
	u32		steps;
	u64		invalid_commands, cq_overruns, interrupts;
};

static inline struct cx_state *cx_of(struct lab_device *dev)
{
	return dev->state;
}

unsigned int cx_channel_count(void);

/* A refusal has the number of the file and the line. */
#define CX_REFUSE(message, status) \
	cx_refuse(message, MLX5_CMD_STAT_##status, CX_FILE << 16 | __LINE__)

static inline u8 cx_refuse(struct cx_message *message, u8 status, u32 syndrome)
{
	message->syndrome = syndrome;
	return status;
}

/* commands.c: the command interface. */
bool cx_commands(struct lab_device *dev);
void cx_command_reset(struct lab_device *dev);
void cx_show_commands(struct lab_device *dev, struct seq_file *file);

/* dispatch.c: calls the function of a command. */
struct cx_command {
	u16		opcode;
	const char	*name;
	u16		in_min, out_min;	/* bytes */
	u8		(*run)(struct lab_device *dev, struct cx_message *m);
};

const struct cx_command *cx_command_find(u16 opcode);

/* capabilities.c */
u8 cx_query_hca_cap(struct lab_device *dev, struct cx_message *m);
u8 cx_set_hca_cap(struct lab_device *dev, struct cx_message *m);
void cx_capabilities_reset(struct lab_device *dev);

/* setup.c: sets up and tears down the device; its vport. */
u8 cx_enable_hca(struct lab_device *dev, struct cx_message *m);
u8 cx_disable_hca(struct lab_device *dev, struct cx_message *m);
u8 cx_init_hca(struct lab_device *dev, struct cx_message *m);
u8 cx_teardown_hca(struct lab_device *dev, struct cx_message *m);
u8 cx_nothing(struct lab_device *dev, struct cx_message *m);
u8 cx_query_issi(struct lab_device *dev, struct cx_message *m);
u8 cx_set_issi(struct lab_device *dev, struct cx_message *m);
u8 cx_query_adapter(struct lab_device *dev, struct cx_message *m);
u8 cx_query_nic_vport(struct lab_device *dev, struct cx_message *m);
u8 cx_modify_nic_vport(struct lab_device *dev, struct cx_message *m);
u8 cx_query_vport_state(struct lab_device *dev, struct cx_message *m);
void cx_vport_reset(struct lab_device *dev);

/* objects.c: the objects that commands create and destroy. */
void *cx_find(struct lab_device *dev, enum cx_kind kind, u32 id);
void *cx_create(struct lab_device *dev, struct cx_message *m, enum cx_kind kind, u8 *status);
u8 cx_destroy(struct lab_device *dev, struct cx_message *m, enum cx_kind kind, u32 id);
/* Undoes cx_create() of an object that could not be completed. */
void cx_discard(struct lab_device *dev, enum cx_kind kind, void *object);
void cx_objects_create(struct lab_device *dev);
void cx_objects_reset(struct lab_device *dev);

void cx_show_objects(struct lab_device *dev, struct seq_file *file);

static inline void cx_hold(struct cx_object *object)
{
	object->users++;
}

static inline void cx_let_go(struct cx_object *object)
{
	if (object)
		object->users--;
}

u8 cx_alloc_uar(struct lab_device *dev, struct cx_message *m);
u8 cx_dealloc_uar(struct lab_device *dev, struct cx_message *m);
u8 cx_alloc_pd(struct lab_device *dev, struct cx_message *m);
u8 cx_dealloc_pd(struct lab_device *dev, struct cx_message *m);
u8 cx_alloc_td(struct lab_device *dev, struct cx_message *m);
u8 cx_dealloc_td(struct lab_device *dev, struct cx_message *m);
u8 cx_create_tis(struct lab_device *dev, struct cx_message *m);
u8 cx_destroy_tis(struct lab_device *dev, struct cx_message *m);
void cx_tis_release(struct lab_device *dev, void *object);

/* ring.c */
bool cx_ring_create(struct lab_device *dev, struct cx_ring *ring, const void *pages,
		    u32 listed, u32 bytes, u32 log_page);
void cx_ring_destroy(struct cx_ring *ring);
/* @offset is within the ring; the bytes up to the end of the page may be used. */
void *cx_ring_at(const struct cx_ring *ring, u32 offset);

/* memory_keys.c */
u8 cx_create_mkey(struct lab_device *dev, struct cx_message *m);
u8 cx_destroy_mkey(struct lab_device *dev, struct cx_message *m);
void cx_mkey_release(struct lab_device *dev, void *object);
struct cx_mkey *cx_mkey_of(struct lab_device *dev, __be32 key);
/* Translates an address, and returns how many bytes follow it; NULL: invalid. */
void *cx_mkey_at(struct lab_device *dev, const struct cx_mkey *key, u64 address, u32 *room);
bool cx_mkey_write(struct lab_device *dev, const struct cx_mkey *key, u64 address,
		   const u8 *from, u32 len);
/* Copies the next bytes of a packet; *sum is that of the @done bytes before. */
bool cx_mkey_take(struct lab_device *dev, const struct cx_mkey *key, u64 address,
		  struct lab_packet *packet, u32 len, u32 *done, __wsum *sum);

/* umr.c: a send queue changes the pages of a memory key. False: it may not. */
bool cx_umr(struct lab_device *dev, struct cx_sq *sq, const u8 *wqe, u32 len);

/* events.c */
u8 cx_create_eq(struct lab_device *dev, struct cx_message *m);
u8 cx_destroy_eq(struct lab_device *dev, struct cx_message *m);
u8 cx_query_eq(struct lab_device *dev, struct cx_message *m);
void cx_eq_release(struct lab_device *dev, void *object);
struct cx_eq *cx_eq_for(struct lab_device *dev, u8 type);
void cx_event_command(struct lab_device *dev, struct cx_eq *eq, u32 slots);
void cx_event_port(struct lab_device *dev, bool up);
void cx_event_completion(struct lab_device *dev, struct cx_cq *cq);
void cx_event_overrun(struct lab_device *dev, struct cx_cq *cq);
void cx_raise(struct lab_device *dev);

/* completions.c */
u8 cx_create_cq(struct lab_device *dev, struct cx_message *m);
u8 cx_modify_cq(struct lab_device *dev, struct cx_message *m);
u8 cx_query_cq(struct lab_device *dev, struct cx_message *m);
u8 cx_destroy_cq(struct lab_device *dev, struct cx_message *m);
void cx_cq_release(struct lab_device *dev, void *object);
u32 cx_cq_room(const struct cx_cq *cq);
void cx_complete(struct lab_device *dev, struct cx_cq *cq, const struct mlx5_cqe64 *cqe,
		 u8 opcode);
/* The same for a received frame: a knob may make the owner bit wrong. */
void cx_complete_receive(struct lab_device *dev, struct cx_cq *cq,
			 const struct mlx5_cqe64 *cqe, u8 opcode);
void cx_complete_error(struct lab_device *dev, struct cx_cq *cq, u8 opcode, u8 syndrome,
		       u32 queue, u16 wqe);
void cx_tell_completions(struct lab_device *dev);

/* send_queue.c and tx.c */
u8 cx_create_sq(struct lab_device *dev, struct cx_message *m);
u8 cx_modify_sq(struct lab_device *dev, struct cx_message *m);
u8 cx_query_sq(struct lab_device *dev, struct cx_message *m);
u8 cx_destroy_sq(struct lab_device *dev, struct cx_message *m);
void cx_sq_release(struct lab_device *dev, void *object);
bool cx_send(struct lab_device *dev);

/* receive_queue.c, rx.c, rx_striding.c, rx_cyclic.c, shampo.c */
u8 cx_create_rq(struct lab_device *dev, struct cx_message *m);
u8 cx_modify_rq(struct lab_device *dev, struct cx_message *m);
u8 cx_query_rq(struct lab_device *dev, struct cx_message *m);
u8 cx_destroy_rq(struct lab_device *dev, struct cx_message *m);
void cx_rq_release(struct lab_device *dev, void *object);
enum lab_fate cx_receive(struct lab_device *dev, struct lab_packet *packet);

/* One frame on its way into a receive queue. */
struct cx_arrival {
	struct lab_packet *packet;
	struct lab_frame frame;
	struct cx_rq	*rq;
	u32		hash;
	u8		hash_type;
	u32		tag;		/* of the flow table's entry */
	bool		checksums;	/* they are right */
	bool		fill;		/* the checksum is to be written */
	bool		stripped;	/* the VLAN tag was removed */
	bool		follows;	/* the frame before it belongs to the same burst */
	__wsum		sum;		/* of the payload */
};

u16 cx_rq_posted(const struct cx_rq *rq);
void *cx_rq_wqe(const struct cx_rq *rq, u32 index);
/* Copies the payload to its place, then completes the frame's header. */
bool cx_arrival_payload(struct lab_device *dev, struct cx_arrival *a,
			const struct cx_mkey *key, u64 address, u32 len, u32 *done);
void cx_arrival_header(struct cx_arrival *a);
/* The common fields of a completion. */
void cx_arrival_cqe(const struct cx_arrival *a, struct mlx5_cqe64 *cqe);
void cx_arrival_corrupt(struct lab_device *dev, struct cx_arrival *a,
			const struct cx_mkey *key, u64 address);

/* The result of receiving a frame. */
enum cx_taken {
	CX_TAKEN,
	CX_NO_WQE,	/* the driver has posted too few buffers */
	CX_BAD_WQE,	/* its buffers have invalid addresses */
};

bool cx_cyclic_has_room(const struct cx_rq *rq, u32 frames);
enum cx_taken cx_cyclic_frame(struct lab_device *dev, struct cx_arrival *a);
bool cx_striding_has_room(const struct cx_rq *rq, u32 frames, u32 frame_len);
enum cx_taken cx_striding_frame(struct lab_device *dev, struct cx_arrival *a);
/* For SHAMPO: reserves @len bytes, at a multiple of a stride unless @beside,
 * which becomes false if that is impossible.
 */
enum cx_taken cx_stride_place(struct lab_device *dev, struct cx_rq *rq, u32 len, bool *beside,
			      struct cx_mkey **key, u64 *address);
/* Counts and completes @len bytes; closes the WQE if it is full. */
void cx_stride_complete(struct lab_device *dev, struct cx_rq *rq, struct mlx5_cqe64 *cqe,
			u32 len, u32 frame_len);
bool cx_shampo_takes(const struct cx_rq *rq, const struct lab_packet *packet);
enum cx_taken cx_shampo_frame(struct lab_device *dev, struct cx_arrival *a);

/* targets.c: RQT and TIR */
u8 cx_create_rqt(struct lab_device *dev, struct cx_message *m);
u8 cx_modify_rqt(struct lab_device *dev, struct cx_message *m);
u8 cx_destroy_rqt(struct lab_device *dev, struct cx_message *m);
void cx_rqt_release(struct lab_device *dev, void *object);
u8 cx_create_tir(struct lab_device *dev, struct cx_message *m);
u8 cx_modify_tir(struct lab_device *dev, struct cx_message *m);
u8 cx_destroy_tir(struct lab_device *dev, struct cx_message *m);
void cx_tir_release(struct lab_device *dev, void *object);

/* hash.c: chooses the queue of a TIR for a packet. */
struct cx_rq *cx_tir_queue(const struct cx_tir *tir, const struct lab_packet *packet,
			   struct cx_arrival *a);

/* tables.c: flow tables, groups. entries.c: entries. match.c: follows a packet through them. */
u8 cx_create_table(struct lab_device *dev, struct cx_message *m);
u8 cx_modify_table(struct lab_device *dev, struct cx_message *m);
u8 cx_destroy_table(struct lab_device *dev, struct cx_message *m);
void cx_table_release(struct lab_device *dev, void *object);
u8 cx_set_root(struct lab_device *dev, struct cx_message *m);
u8 cx_create_group(struct lab_device *dev, struct cx_message *m);
u8 cx_destroy_group(struct lab_device *dev, struct cx_message *m);
void cx_group_release(struct lab_device *dev, void *object);
u8 cx_set_entry(struct lab_device *dev, struct cx_message *m);
u8 cx_delete_entry(struct lab_device *dev, struct cx_message *m);
void cx_entry_free(struct cx_entry *entry);
void cx_show_entry(const struct cx_entry *entry, struct seq_file *file);
/* Clears the order of tables. */
void cx_tables_unlink(struct lab_device *dev);
struct cx_rq *cx_steer(struct lab_device *dev, const struct lab_packet *packet,
		       struct cx_arrival *a);
/* Counts a packet in the entries that it matched. */
void cx_count_path(struct lab_device *dev, const struct lab_packet *packet);
void cx_show_tables(struct lab_device *dev, struct seq_file *file);

/* ports.c: registers, link. */
u8 cx_access_register(struct lab_device *dev, struct cx_message *m);
void cx_port_reset(struct lab_device *dev);
bool cx_link_up(struct lab_device *dev);
/* Tells the driver if the link has changed. */
void cx_link_check(struct lab_device *dev);
bool cx_too_long(struct lab_device *dev, const struct lab_packet *packet);

/* counters.c */
void cx_count_tx(struct lab_device *dev, const struct lab_packet *packet);
void cx_count_rx(struct lab_device *dev, const struct lab_packet *packet);
u32 cx_frames(const struct lab_packet *packet);
/* Of all its frames, without their FCS. */
u32 cx_octets(const struct lab_packet *packet);
void cx_read_ppcnt(struct lab_device *dev, const u8 *in, u8 *out);
u8 cx_alloc_q_counter(struct lab_device *dev, struct cx_message *m);
u8 cx_dealloc_q_counter(struct lab_device *dev, struct cx_message *m);
u8 cx_query_q_counter(struct lab_device *dev, struct cx_message *m);
u8 cx_alloc_flow_counter(struct lab_device *dev, struct cx_message *m);
u8 cx_dealloc_flow_counter(struct lab_device *dev, struct cx_message *m);
u8 cx_query_flow_counter(struct lab_device *dev, struct cx_message *m);
u8 cx_query_vport_counter(struct lab_device *dev, struct cx_message *m);
u8 cx_query_vnic_env(struct lab_device *dev, struct cx_message *m);
void cx_show_counters(struct lab_device *dev, struct seq_file *file);

/* health.c */
extern unsigned int cx_command_seconds;
void cx_health_start(struct lab_device *dev);
void cx_health_beat(struct lab_device *dev);
void cx_break_down(struct lab_device *dev);
/* True while the device accepts no commands and no packets. */
bool cx_health_check(struct lab_device *dev);
/* Registers of the initialization segment. */
u32 cx_segment_read(struct lab_device *dev, size_t offset);
void cx_segment_write(struct lab_device *dev, size_t offset, u32 value);
/* Writes the parts of the command queue's address that belong to the device. */
u32 cx_queue_register(struct lab_device *dev);

#endif
