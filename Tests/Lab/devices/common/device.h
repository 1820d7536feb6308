/* SPDX-License-Identifier: GPL-2.0 */
/* A software device, and the common functions for it. */
#ifndef LAB_DEVICE_H
#define LAB_DEVICE_H

#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/types.h>

#include "packet.h"

#define LAB_NAME		"labdevices"
#define LAB_MAX_WIRES		3
#define LAB_MAX_QUEUES		16
#define LAB_MAX_VECTORS		160
#define LAB_BARS		6
/* All registers of one device, whatever its BARs are. */
#define LAB_WINDOW		SZ_1M

struct dentry;
struct lab_device;
struct lab_wire;
struct seq_file;

/* The result of sending a packet. */
enum lab_fate {
	LAB_DONE,	/* received, or dropped and counted */
	LAB_WAIT,	/* the receiver has no buffers now: keep it and send it again */
};

/* Why a device dropped a packet. */
enum lab_drop {
	LAB_DROP_DOWN,		/* the driver is not running, or the link is down */
	LAB_DROP_QUEUE,		/* no queue accepts it */
	LAB_DROP_BUFFERS,	/* no receive buffers, for longer than hold_ms */
	LAB_DROP_OVERSIZE,	/* longer than the device's MTU */
	LAB_DROP_FAULT,		/* a fault knob */
	LAB_DROP_BROKEN,	/* the sender's descriptors are invalid */
	LAB_DROPS
};

/* The faults that all devices have, with a file each in debugfs. */
enum lab_knob {
	/* Every Nth received TCP packet with payload; 0 for none. */
	LAB_DROP_NTH,
	LAB_CORRUPT_NTH,
	LAB_UNSPLIT_NTH,
	/* Every Nth receive completion. */
	LAB_WRONG_GENERATION_NTH,
	/* Every Nth send completion. */
	LAB_LOSE_COMPLETION_NTH,
	/* The next N of these; 0 for none. */
	LAB_FAIL_COMMAND,
	LAB_HANG_COMMAND,
	LAB_FAIL_QUEUE_CREATE,
	/* The number of commands to let through before one fails or hangs. */
	LAB_FAIL_AFTER,
	/* The opcode of commands that fail or hang; 0: any. */
	LAB_FAIL_OPCODE,
	LAB_KNOBS
};

/* One kind of device, gve or mlx5. Constant, and shared by all its devices.
 * Every call is made with the wire's lock held, from process context.
 */
struct lab_kind {
	const char	*name;
	u16		vendor, device, subvendor, subdevice;
	u32		class_revision;
	u32		bar_size[LAB_BARS];	/* powers of two; 0: no such BAR */
	u8		msix_bar;
	u32		msix_table, msix_pba;	/* offsets in that BAR */
	size_t		state_size;		/* of lab_device.state, zeroed */

	/* Before the driver can see the device; 0 or a negative errno. */
	int (*start)(struct lab_device *dev);
	/* After the driver is gone. Frees everything, also after a failed start. */
	void (*stop)(struct lab_device *dev);
	/* Handles the driver's requests: registers, commands, sending.
	 * True if there was anything to do.
	 */
	bool (*poll)(struct lab_device *dev);
	/* Raises the interrupts that are due, after both ends have been polled. */
	void (*raise)(struct lab_device *dev);
	/* Receives a packet. With packet->last_chance a device
	 * without buffers drops it instead of returning LAB_WAIT.
	 */
	enum lab_fate (*receive)(struct lab_device *dev, struct lab_packet *packet);
	/* The link went up or down; dev->link is its new state. */
	void (*link_changed)(struct lab_device *dev);
	/* The knob "reset": the device fails and must be set up again. */
	void (*break_down)(struct lab_device *dev);
	/* Prints lines of the debugfs file "state". */
	void (*show)(struct lab_device *dev, struct seq_file *file);
	/* Creates more files in the device's directory; may be NULL. */
	void (*add_files)(struct lab_device *dev, struct dentry *dir);
	/* The number of interrupt vectors, at most LAB_MAX_VECTORS. */
	unsigned int (*vectors)(void);
};

extern const struct lab_kind lab_gve, lab_mlx5;

struct lab_knob_file {
	struct lab_device	*dev;
	enum lab_knob		knob;
};

struct lab_vector {
	int		virq;		/* 0: not opened */
	bool		pending;	/* raised while masked */
	u64		raised;
};

/* One PCI function: an end of a wire. */
struct lab_device {
	const struct lab_kind	*kind;
	struct lab_wire		*wire;
	struct lab_device	*peer;
	char			name[8];	/* w0a, w0b, w1a... */
	unsigned int		slot;
	struct pci_dev		*pci;		/* NULL until it is found */
	u8			config[256];
	u8			writable[256];	/* the bits that a driver may change */
	phys_addr_t		window;
	void __iomem		*bar[LAB_BARS];
	struct lab_vector	vector[LAB_MAX_VECTORS];
	bool			link;		/* the wire is plugged in at this end */
	u32			knob[LAB_KNOBS];
	u32			seen[LAB_KNOBS];	/* events counted for the _nth knobs */
	struct lab_knob_file	knob_file[LAB_KNOBS];
	u64			resets;		/* how often the knob "reset" was used */
	u64			dropped[LAB_DROPS];
	bool			started;	/* kind->stop must be called */
	void			*state;		/* private to the kind */
};

/* A packet that waits for the receiver's buffers. */
struct lab_hold {
	unsigned long	since;		/* jiffies; 0: no packet waits */
	bool		corrupt, unsplit;	/* which faults apply to it */
};

/* Module parameters: queues of each device, and how long a packet waits. */
extern unsigned int lab_queues, lab_hold_ms;

/* memory.c: the guest's memory as the device sees it. */

/* Returns the CPU's address of @len bytes at a bus address. NULL if any is not
 * memory, or if the driver has not made the device a bus master.
 */
void *lab_memory(struct lab_device *dev, u64 address, u64 len);

/* pci.c: configuration space, registers, interrupts. */

/* Fills configuration space and maps the BARs. */
int lab_device_map(struct lab_device *dev);
void lab_device_unmap(struct lab_device *dev);

/* Registers, big endian in both kinds. */
u32 lab_read(struct lab_device *dev, unsigned int bar, u32 offset);
void lab_write(struct lab_device *dev, unsigned int bar, u32 offset, u32 value);
/* Reads and clears a register that the driver may write at the same time. */
u32 lab_take(struct lab_device *dev, unsigned int bar, u32 offset);

/* A vector is open once the driver has told the device to use it. False:
 * the driver has not set it up.
 */
bool lab_vector_open(struct lab_device *dev, unsigned int vector);
void lab_vector_close(struct lab_device *dev, unsigned int vector);
/* Raises an interrupt, now or when it is unmasked. */
void lab_interrupt(struct lab_device *dev, unsigned int vector);
/* Raises pending interrupts that are no longer masked. */
void lab_vectors_unmasked(struct lab_device *dev);

/* wire.c: two devices, and the thread that emulates both. */

struct lab_wire {
	struct mutex		lock;		/* for both devices and their knobs */
	unsigned int		index;
	struct lab_device	*end[2];
	struct task_struct	*thread;
	u64			rounds, busy_rounds;
};

extern struct lab_wire *lab_wires[LAB_MAX_WIRES];

/* NULL if there is none. */
struct lab_device *lab_device_at(unsigned int slot);

/* Sends a packet to the other end. LAB_WAIT: leave it at the head of its queue
 * and send it again in the next round; after hold_ms it is dropped.
 */
enum lab_fate lab_send(struct lab_device *dev, struct lab_hold *hold,
		       struct lab_packet *packet);
void lab_count_drop(struct lab_device *dev, enum lab_drop why);

/* knobs.c: faults. */

/* Counts one event; true if the fault applies to it. */
bool lab_knob_nth(struct lab_device *dev, enum lab_knob knob);
/* Consumes one requested failure, if any is left. */
bool lab_knob_use(struct lab_device *dev, enum lab_knob knob);

enum lab_command_fault { LAB_COMMAND_WELL, LAB_COMMAND_FAILS, LAB_COMMAND_HANGS };

/* Whether a command of the driver succeeds, fails or hangs. */
enum lab_command_fault lab_knob_command(struct lab_device *dev, u32 opcode);

#endif
