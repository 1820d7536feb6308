// SPDX-License-Identifier: GPL-2.0
/* The fault knobs in debugfs, one directory for each end. */
#include <linux/debugfs.h>
#include <linux/errno.h>

#include "labnic.h"

/* TCP considers packets with a longer delay lost. */
#define LABNIC_MAX_DELAY_US	1000000

static const struct {
	const char	*name;
	u32		max;
	u32		initial;
} labnic_knobs[LABNIC_KNOBS] = {
	[LABNIC_DROP_NTH]		= { "drop_nth", INT_MAX },
	[LABNIC_CORRUPT_NTH]		= { "corrupt_nth", INT_MAX },
	[LABNIC_UNSPLIT_NTH]		= { "unsplit_nth", INT_MAX },
	[LABNIC_PARTIAL_SPLIT_NTH]	= { "partial_split_nth", INT_MAX },
	[LABNIC_REORDER_NTH]		= { "reorder_nth", INT_MAX },
	[LABNIC_WRONG_QUEUE_NTH]	= { "wrong_queue_nth", INT_MAX },
	[LABNIC_LOSE_LINEAR_NTH]	= { "lose_linear_nth", INT_MAX },
	[LABNIC_STALE_NTH]		= { "stale_nth", INT_MAX },
	[LABNIC_REUSE_NTH]		= { "reuse_nth", INT_MAX },
	[LABNIC_LEAK_NTH]		= { "leak_nth", INT_MAX },
	[LABNIC_LOSE_COMPLETION_NTH]	= { "lose_completion_nth", INT_MAX },
	[LABNIC_DELAY_US]		= { "delay_us", LABNIC_MAX_DELAY_US },
	[LABNIC_FAIL_PAGE_POOL]		= { "fail_page_pool", INT_MAX },
	[LABNIC_IGNORE_HDS_THRESH]	= { "ignore_hds_thresh", 1 },
	[LABNIC_FAIL_QUEUE_ALLOC]	= { "fail_queue_alloc", INT_MAX },
	[LABNIC_FAIL_QUEUE_START]	= { "fail_queue_start", INT_MAX },
	[LABNIC_FAIL_RULE_INSERT]	= { "fail_rule_insert", INT_MAX },
	[LABNIC_FAIL_RING_SET]		= { "fail_ring_set", INT_MAX },
	[LABNIC_FAIL_RSS_SET]		= { "fail_rss_set", INT_MAX },
	[LABNIC_FAIL_CHANNELS]		= { "fail_channels", INT_MAX },
	[LABNIC_FAIL_FEATURES]		= { "fail_features", INT_MAX },
	[LABNIC_FAIL_RULE_DELETE]	= { "fail_rule_delete", INT_MAX },
	[LABNIC_IGNORE_RSS_SET]		= { "ignore_rss_set", INT_MAX },
	[LABNIC_IGNORE_RULE_INSERT]	= { "ignore_rule_insert", INT_MAX },
	[LABNIC_FAIL_AFTER]		= { "fail_after", INT_MAX },
	[LABNIC_REFUSE_5TUPLE]		= { "refuse_5tuple", 1 },
	[LABNIC_REFUSE_HDS]		= { "refuse_hds", 1 },
	[LABNIC_NO_RSS_CONTEXTS]	= { "no_rss_contexts", 1 },
	[LABNIC_FIXED_RULE_PLACES]	= { "fixed_rule_places", 1 },
	[LABNIC_IGNORE_PROVIDER]	= { "ignore_provider", 1 },
	[LABNIC_IGNORE_PAGE_SIZE]	= { "ignore_page_size", 1 },
	[LABNIC_FORGET_HDS_THRESH]	= { "forget_hds_thresh", 1 },
	[LABNIC_RULE_ERRNO]		= { "fail_rule_errno", MAX_ERRNO,
					    ENOSPC },
};

static struct dentry *labnic_debugfs;

u32 labnic_fault_value(const struct labnic_port *end, enum labnic_knob knob)
{
	return atomic_read(&end->faults.knob[knob].value);
}

/* Consumes one of the requested failures, if any is left. */
bool labnic_fault_take(struct labnic_port *end, enum labnic_knob knob)
{
	return atomic_dec_if_positive(&end->faults.knob[knob].value) >= 0;
}

/* The same for a request that changes a setting: fail_after lets the first
 * requests through, and counts only those that would fail without it.
 */
bool labnic_fault_refuse(struct labnic_port *end, enum labnic_knob knob)
{
	return labnic_fault_value(end, knob) &&
	       !labnic_fault_take(end, LABNIC_FAIL_AFTER) &&
	       labnic_fault_take(end, knob);
}

bool labnic_fault_nth(const struct labnic_port *end, enum labnic_knob knob,
		      u32 count)
{
	u32 n = labnic_fault_value(end, knob);

	return n && count % n == 0;
}

static int labnic_knob_get(void *data, u64 *value)
{
	struct labnic_fault *fault = data;

	*value = atomic_read(&fault->value);
	return 0;
}

/* Releases what a fault held until it was turned off. */
static void labnic_release(struct labnic_port *end, enum labnic_knob knob)
{
	if (knob != LABNIC_LEAK_NTH && knob != LABNIC_LOSE_COMPLETION_NTH)
		return;
	/* Readers of the old value have finished after this. */
	synchronize_net();
	if (knob == LABNIC_LEAK_NTH)
		labnic_release_netmems(end);
	else
		labnic_release_skbs(end);
}

/* Each change restarts the count, so that 5 means the 5th from now. */
static int labnic_knob_set(void *data, u64 value)
{
	struct labnic_fault *fault = data;
	struct labnic_port *end = fault->end;
	bool armed = false;
	u32 before;
	int i;

	if (value > fault->max)
		return -EINVAL;
	before = atomic_xchg(&fault->value, value);
	atomic_set(&end->faults.arrived, 0);
	atomic_set(&end->faults.steered, 0);
	atomic_set(&end->faults.completed, 0);
	for (i = 0; i < LABNIC_PATH_KNOBS; i++)
		armed |= labnic_fault_value(end, i);
	WRITE_ONCE(end->faults.armed, armed);
	if (before && !value)
		labnic_release(end, fault - end->faults.knob);
	return 0;
}

DEFINE_DEBUGFS_ATTRIBUTE(labnic_knob_fops, labnic_knob_get, labnic_knob_set,
			 "%llu\n");

void labnic_faults_create(struct labnic_port *end)
{
	struct labnic_faults *faults = &end->faults;
	char name[IFNAMSIZ];
	int i;

	init_llist_head(&faults->leaked);
	init_llist_head(&faults->lost);
	snprintf(name, sizeof(name), "w%u%c", end->wire, end->side);
	faults->dir = debugfs_create_dir(name, labnic_debugfs);
	for (i = 0; i < LABNIC_KNOBS; i++) {
		struct labnic_fault *fault = &faults->knob[i];

		fault->end = end;
		fault->max = labnic_knobs[i].max;
		atomic_set(&fault->value, labnic_knobs[i].initial);
		debugfs_create_file(labnic_knobs[i].name, 0600, faults->dir,
				    fault, &labnic_knob_fops);
	}
}

void labnic_faults_remove(struct labnic_port *end)
{
	debugfs_remove(end->faults.dir);
	/* From here on no fault may hold anything. */
	WRITE_ONCE(end->faults.armed, false);
	synchronize_net();
	labnic_release_netmems(end);
	labnic_release_skbs(end);
}

void labnic_faults_root_create(void)
{
	labnic_debugfs = debugfs_create_dir(LABNIC_NAME, NULL);
}

void labnic_faults_root_remove(void)
{
	debugfs_remove(labnic_debugfs);
}
