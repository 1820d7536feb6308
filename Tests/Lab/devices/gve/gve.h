/* SPDX-License-Identifier: GPL-2.0 */
/* A gVNIC: its state, and the functions that its parts share. */
#ifndef LAB_GVE_GVE_H
#define LAB_GVE_GVE_H

#include <linux/io.h>
#include <linux/ktime.h>

#include "device.h"
#include "wire.h"

#define GVE_MAX_RULES		1024
#define GVE_MIN_RX_RING		512
#define GVE_MIN_TX_RING		256
#define GVE_MIN_BUFFER		2048
/* The buffers of one coalesced packet, not counting the header's. */
#define GVE_COALESCE_BUFFERS	18

/* The owners of doorbells. */
#define GVE_DOORBELL_TX(id)	(id)
#define GVE_DOORBELL_RX(id)	(64 + (id))
#define GVE_DOORBELL_IRQ(id)	(128 + (id))

/* A notification block: an interrupt that the driver arms again and again. */
struct gve_notify {
	bool		due;		/* something happened since the last interrupt */
	bool		armed;
	u32		interval_us;	/* the least time between two interrupts */
	ktime_t		not_before;
};

struct gve_tx_queue {
	bool		exists;
	bool		generation;
	struct gve_tx_slot *ring;
	struct gve_tx_done *done;
	__be32		*counter;
	u32		mask, done_mask;
	u32		head, done_tail;	/* where the device continues */
	u32		notify;
	struct lab_hold	hold;
	u64		packets, bytes, bursts, broken;
};

struct gve_rx_queue {
	bool		exists;
	bool		generation;
	bool		coalesces;
	bool		starving;	/* drops packets at once if there are no buffers */
	struct gve_rx_slot *ring;
	struct gve_rx_done *done;
	u32		mask, done_mask;
	u32		head, done_tail;
	u32		notify;
	u32		buffer_size, header_size;
	u64		packets, bytes, split, coalesced;
	u64		no_buffers, oversize, bad_checksums;
};

/* The address to which the driver wants statistics written. */
struct gve_report {
	u64		address;	/* of the array; 0: none */
	u32		entries;
	unsigned long	interval, next;	/* jiffies */
};

struct gve {
	bool		running;	/* the driver has set up an admin queue */
	bool		broken;		/* waits for the driver to reset it */
	bool		configured;	/* the driver has configured its resources */
	bool		throttled;	/* an interrupt waits for its interval */

	struct gve_command *admin;
	u32		admin_size;	/* in commands, a power of two */
	u32		admin_done;	/* the number of commands answered, never reset */
	bool		admin_hangs;
	u64		commands, refused;
	u32		refused_opcode, refused_status;	/* the last one */

	u32		n_notify, first_vector;
	struct gve_notify notify[2 * LAB_MAX_QUEUES];
	__be32		*counters;
	u32		n_counters;

	struct gve_tx_queue tx[LAB_MAX_QUEUES];
	struct gve_rx_queue rx[LAB_MAX_QUEUES];
	u32		mtu;
	struct gve_report report;

	u16		rss_types;
	u8		rss_key[GVE_RSS_KEY];
	u16		rss_table[GVE_RSS_TABLE];

	u32		n_rules;
	bool		rule_set[GVE_MAX_RULES];
	struct gve_rule	rule[GVE_MAX_RULES];

	struct lab_packet packet;	/* the packet being sent */
};

/* Module parameters, in kind.c. */
extern unsigned int gve_ring, gve_ring_max, gve_buffer, gve_header_buffer, gve_mtu, gve_rules,
	gve_speed, gve_fail_status;
extern bool gve_rss_option;

static inline struct gve *gve_of(struct lab_device *dev)
{
	return dev->state;
}

static inline void *gve_memory(struct lab_device *dev, __be64 address, u64 len)
{
	return lab_memory(dev, be64_to_cpu(address), len);
}

/* registers.c */

void gve_registers_reset(struct lab_device *dev);
/* Writes the device's status, and notifies the driver. */
void gve_status_changed(struct lab_device *dev);
/* Handles the driver's changes of its status. True if there were any. */
bool gve_registers_poll(struct lab_device *dev);
/* Resets the device to its state at power-on, except the counters of drops. */
void gve_reset(struct lab_device *dev);
static inline u32 gve_doorbell(struct lab_device *dev, u32 index)
{
	return ioread32(dev->bar[GVE_BAR_DOORBELLS] + 4 * index);
}
void gve_doorbell_clear(struct lab_device *dev, u32 index);

/* interrupts.c */

/* Opens the vectors of all blocks and the one for management. */
bool gve_notify_open(struct lab_device *dev, u32 blocks, u32 first_vector);
void gve_notify_close(struct lab_device *dev);
void gve_notify_raise(struct lab_device *dev);
void gve_manage(struct lab_device *dev);

/* Commands of the admin queue; each returns its status. */

typedef u32 (*gve_handler)(struct lab_device *dev, const struct gve_command *command);

/* admin.c */
bool gve_admin_poll(struct lab_device *dev);
/* describe.c */
u32 gve_describe(struct lab_device *dev, const struct gve_command *command);
u32 gve_verify_driver(struct lab_device *dev, const struct gve_command *command);
u32 gve_get_ptypes(struct lab_device *dev, const struct gve_command *command);
u32 gve_report_speed(struct lab_device *dev, const struct gve_command *command);
u32 gve_set_parameter(struct lab_device *dev, const struct gve_command *command);
/* queues.c */
u32 gve_configure(struct lab_device *dev, const struct gve_command *command);
u32 gve_deconfigure(struct lab_device *dev, const struct gve_command *command);
u32 gve_create_tx(struct lab_device *dev, const struct gve_command *command);
u32 gve_create_rx(struct lab_device *dev, const struct gve_command *command);
u32 gve_destroy_tx(struct lab_device *dev, const struct gve_command *command);
u32 gve_destroy_rx(struct lab_device *dev, const struct gve_command *command);
/* rules.c */
u32 gve_change_rules(struct lab_device *dev, const struct gve_command *command);
u32 gve_query_rules(struct lab_device *dev, const struct gve_command *command);
/* rss.c */
u32 gve_configure_rss(struct lab_device *dev, const struct gve_command *command);
u32 gve_query_rss(struct lab_device *dev, const struct gve_command *command);
/* stats.c */
u32 gve_report_stats(struct lab_device *dev, const struct gve_command *command);

/* stats.c */
void gve_stats_poll(struct lab_device *dev);
/* The queues have changed, and so has the place of the report. */
void gve_stats_soon(struct lab_device *dev);

/* The path of a packet */

/* The matching rule with the lowest location, or NULL. */
const struct gve_rule *gve_rule_for(struct lab_device *dev, const struct lab_packet *packet);
void gve_rules_reset(struct gve *gve);
void gve_rss_reset(struct gve *gve);
/* The queue for a packet by its hash, which is 0 if it is not hashed. */
u32 gve_rss_queue(const struct gve *gve, const struct lab_packet *packet, u32 *hash);

/* Numbers of packet types, which describe.c explains to the driver. */
enum gve_ptype_number {
	GVE_PTYPE_OTHER, GVE_PTYPE_IP4, GVE_PTYPE_TCP4, GVE_PTYPE_UDP4,
	GVE_PTYPE_IP6, GVE_PTYPE_TCP6, GVE_PTYPE_UDP6,
};

/* rx.c */
enum lab_fate gve_receive(struct lab_device *dev, struct lab_packet *packet);
/* The number of buffers in a queue. */
u32 gve_rx_buffers(struct lab_device *dev, u32 id);
/* rx_frame.c: writes one frame; the caller has checked that the buffers suffice. */
struct gve_rx_frame {
	struct lab_frame frame;
	u16	ptype;
	u32	hash;
	u8	status;		/* bits of the first completion */
	bool	split;
};
void gve_rx_write(struct lab_device *dev, u32 id, struct lab_packet *packet,
		  struct gve_rx_frame *frame);
/* tx.c: true if anything was sent. */
bool gve_tx_poll(struct lab_device *dev);
/* tx_packet.c */
enum gve_found { GVE_NOTHING, GVE_PACKET, GVE_BROKEN };
struct gve_sending {
	u32	next;		/* the position after the packet in the ring */
	u16	tag;
	bool	report;
};
/* Reads the packet at the head of a ring. */
enum gve_found gve_tx_gather(struct lab_device *dev, const struct gve_tx_queue *queue, u32 tail,
			     struct lab_packet *packet, struct gve_sending *sending);
/* show.c */
void gve_show(struct lab_device *dev, struct seq_file *file);

#endif
