// SPDX-License-Identifier: GPL-2.0
/* Received memory and sent packets that faults hold. They are released when
 * the fault is turned off, so that the driver can be unloaded.
 */
#include <linux/slab.h>
#include <net/page_pool/helpers.h>

#include "labnic.h"

struct labnic_held {
	struct llist_node	node;
	netmem_ref		netmem;
};

/* Takes its own reference, so the memory's pool outlives its queue. */
void labnic_keep_netmem(struct labnic_port *end, netmem_ref netmem)
{
	struct labnic_held *held = kmalloc(sizeof(*held), GFP_ATOMIC);

	if (!held)
		return;
	page_pool_ref_netmem(netmem);
	held->netmem = netmem;
	llist_add(&held->node, &end->faults.leaked);
}

void labnic_release_netmems(struct labnic_port *end)
{
	struct llist_node *node = llist_del_all(&end->faults.leaked);
	struct labnic_held *held, *next;

	local_bh_disable();
	llist_for_each_entry_safe(held, next, node, node) {
		page_pool_put_full_netmem(netmem_get_pp(held->netmem),
					  held->netmem, false);
		kfree(held);
	}
	local_bh_enable();
}

/* Returns whether the packet is held, instead of being reported as sent. */
bool labnic_keep_skb(struct labnic_port *end, struct sk_buff *skb)
{
	const struct labnic_cb *cb = LABNIC_CB(skb);

	if (!cb->hdr_len || skb->len <= cb->hdr_len ||
	    !labnic_fault_nth(end, LABNIC_LOSE_COMPLETION_NTH,
			      atomic_inc_return(&end->faults.completed)))
		return false;
	llist_add(&skb->ll_node, &end->faults.lost);
	return true;
}

void labnic_release_skbs(struct labnic_port *end)
{
	struct llist_node *node = llist_del_all(&end->faults.lost);
	struct sk_buff *skb, *next;

	llist_for_each_entry_safe(skb, next, node, ll_node) {
		skb_mark_not_on_list(skb);
		kfree_skb(skb);
	}
}
