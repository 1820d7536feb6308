// SPDX-License-Identifier: GPL-2.0
/* What faults keep back: received memory, and sent packets. It goes where it
 * belongs once the fault is turned off, so that the driver can be unloaded.
 */
#include <linux/slab.h>
#include <net/page_pool/helpers.h>

#include "labnic.h"

struct labnic_kept {
	struct llist_node	node;
	netmem_ref		netmem;
};

/* Takes a reference of its own, so the memory's pool outlives its queue. */
void labnic_keep_netmem(struct labnic_end *end, netmem_ref netmem)
{
	struct labnic_kept *kept = kmalloc(sizeof(*kept), GFP_ATOMIC);

	if (!kept)
		return;
	page_pool_ref_netmem(netmem);
	kept->netmem = netmem;
	llist_add(&kept->node, &end->faults.leaked);
}

void labnic_release_netmems(struct labnic_end *end)
{
	struct llist_node *node = llist_del_all(&end->faults.leaked);
	struct labnic_kept *kept, *next;

	local_bh_disable();
	llist_for_each_entry_safe(kept, next, node, node) {
		page_pool_put_full_netmem(netmem_get_pp(kept->netmem),
					  kept->netmem, false);
		kfree(kept);
	}
	local_bh_enable();
}

/* Returns whether the packet is kept, instead of being reported as sent. */
bool labnic_keep_skb(struct labnic_end *end, struct sk_buff *skb)
{
	const struct labnic_cb *cb = LABNIC_CB(skb);

	if (!cb->hdr_len || skb->len <= cb->hdr_len ||
	    !labnic_fault_nth(end, LABNIC_LOSE_COMPLETION_NTH,
			      atomic_inc_return(&end->faults.completed)))
		return false;
	llist_add(&skb->ll_node, &end->faults.lost);
	return true;
}

void labnic_release_skbs(struct labnic_end *end)
{
	struct llist_node *node = llist_del_all(&end->faults.lost);
	struct sk_buff *skb, *next;

	llist_for_each_entry_safe(skb, next, node, ll_node) {
		skb_mark_not_on_list(skb);
		kfree_skb(skb);
	}
}
