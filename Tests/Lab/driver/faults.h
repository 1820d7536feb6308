/* SPDX-License-Identifier: GPL-2.0 */
/* Faults that user space requests through debugfs. */
#ifndef LABNIC_FAULTS_H
#define LABNIC_FAULTS_H

#include <linux/atomic.h>
#include <linux/llist.h>
#include <linux/types.h>
#include <net/netmem.h>

struct dentry;
struct labnic_port;
struct sk_buff;

enum labnic_knob {
	/* Every Nth TCP packet with payload; 0 for none. */
	LABNIC_DROP_NTH,
	LABNIC_CORRUPT_NTH,
	LABNIC_UNSPLIT_NTH,
	LABNIC_PARTIAL_SPLIT_NTH,
	LABNIC_REORDER_NTH,
	LABNIC_WRONG_QUEUE_NTH,
	LABNIC_LOSE_LINEAR_NTH,
	LABNIC_STALE_NTH,
	LABNIC_REUSE_NTH,
	LABNIC_LEAK_NTH,
	/* The same for packets that are sent. */
	LABNIC_LOSE_COMPLETION_NTH,
	/* Others that the data path reads. */
	LABNIC_DELAY_US,
	LABNIC_FAIL_PAGE_POOL,
	LABNIC_IGNORE_HDS_THRESH,
	LABNIC_PATH_KNOBS,
	/* The next N calls; 0 for none. */
	LABNIC_FAIL_QUEUE_ALLOC = LABNIC_PATH_KNOBS,
	LABNIC_FAIL_QUEUE_START,
	LABNIC_FAIL_RULE_INSERT,
	LABNIC_FAIL_RING_SET,
	LABNIC_FAIL_RSS_SET,
	LABNIC_FAIL_CHANNELS,
	LABNIC_FAIL_FEATURES,
	LABNIC_FAIL_RULE_DELETE,
	LABNIC_IGNORE_RSS_SET,
	LABNIC_IGNORE_RULE_INSERT,
	/* The requests that labnic_fault_refuse() lets through first. */
	LABNIC_FAIL_AFTER,
	/* Permanent refusals, and the errno of fail_rule_insert. */
	LABNIC_REFUSE_5TUPLE,
	LABNIC_REFUSE_HDS,
	LABNIC_NO_RSS_CONTEXTS,
	LABNIC_FIXED_RULE_PLACES,
	LABNIC_IGNORE_PROVIDER,
	LABNIC_IGNORE_PAGE_SIZE,
	LABNIC_FORGET_HDS_THRESH,
	LABNIC_RULE_ERRNO,
	LABNIC_KNOBS
};

struct labnic_fault {
	struct labnic_port	*end;
	atomic_t		value;
	u32			max;
};

struct labnic_faults {
	bool			armed;	/* a knob of the data path is not 0 */
	atomic_t		arrived;	/* TCP packets with payload */
	atomic_t		steered;
	atomic_t		completed;	/* sent ones */
	struct llist_head	leaked;
	struct llist_head	lost;
	struct labnic_fault	knob[LABNIC_KNOBS];
	struct dentry		*dir;
};

void labnic_faults_root_create(void);
void labnic_faults_root_remove(void);
void labnic_faults_create(struct labnic_port *end);
void labnic_faults_remove(struct labnic_port *end);
u32 labnic_fault_value(const struct labnic_port *end, enum labnic_knob knob);
bool labnic_fault_take(struct labnic_port *end, enum labnic_knob knob);
bool labnic_fault_refuse(struct labnic_port *end, enum labnic_knob knob);
bool labnic_fault_nth(const struct labnic_port *end, enum labnic_knob knob,
		      u32 count);

/* held.c */
void labnic_keep_netmem(struct labnic_port *end, netmem_ref netmem);
bool labnic_keep_skb(struct labnic_port *end, struct sk_buff *skb);
void labnic_release_netmems(struct labnic_port *end);
void labnic_release_skbs(struct labnic_port *end);

#endif
