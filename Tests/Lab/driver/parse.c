// SPDX-License-Identifier: GPL-2.0
/* Reads a packet's headers and chooses its RX queue. */
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/ip.h>
#include <net/dsfield.h>
#include <net/ip6_checksum.h>

#include "labnic.h"

/* Fills in the addresses; returns the offset of the next header, or 0 for a
 * packet that is not IP, or shorter than its header says.
 */
static unsigned int labnic_parse_ip(const struct sk_buff *skb,
				    struct labnic_cb *cb,
				    struct labnic_flow *flow)
{
	const struct ethhdr *eth = (struct ethhdr *)skb->data;
	const struct ipv6hdr *ip6 = (struct ipv6hdr *)(eth + 1);
	const struct iphdr *ip = (struct iphdr *)(eth + 1);
	unsigned int off;

	cb->l3_off = ETH_HLEN;
	if (eth->h_proto == htons(ETH_P_IP)) {
		if (skb_headlen(skb) < ETH_HLEN + sizeof(*ip) || ip->ihl < 5)
			return 0;
		off = ETH_HLEN + ip->ihl * 4;
		if (!skb_is_gso(skb) &&
		    ETH_HLEN + ntohs(ip->tot_len) != skb->len)
			return 0;
		flow->src[0] = ip->saddr;
		flow->dst[0] = ip->daddr;
		flow->tos = ip->tos;
		if (!ip_is_fragment(ip))
			flow->l4_proto = ip->protocol;
	} else if (eth->h_proto == htons(ETH_P_IPV6)) {
		if (skb_headlen(skb) < ETH_HLEN + sizeof(*ip6))
			return 0;
		off = ETH_HLEN + sizeof(*ip6);
		if (!skb_is_gso(skb) &&
		    off + ntohs(ip6->payload_len) != skb->len)
			return 0;
		memcpy(flow->src, &ip6->saddr, sizeof(flow->src));
		memcpy(flow->dst, &ip6->daddr, sizeof(flow->dst));
		flow->tos = ipv6_get_dsfield(ip6);
		/* An extension header's number matches neither TCP nor UDP, so
		 * such a packet counts as neither.
		 */
		flow->l4_proto = ip6->nexthdr;
		cb->ipv6 = true;
	} else {
		return 0;
	}
	flow->l3_proto = eth->h_proto;
	cb->l4_proto = flow->l4_proto;
	return off;
}

void labnic_parse(struct sk_buff *skb, struct labnic_flow *flow)
{
	struct labnic_cb *cb = LABNIC_CB(skb);
	const struct tcphdr *th;
	const struct udphdr *uh;
	unsigned int off;

	memset(flow, 0, sizeof(*flow));
	cb->l4_off = 0;
	cb->hdr_len = 0;
	cb->l4_proto = 0;
	cb->ipv6 = false;

	off = labnic_parse_ip(skb, cb, flow);
	if (!off)
		return;

	if (flow->l4_proto == IPPROTO_TCP &&
	    skb_headlen(skb) >= off + sizeof(*th)) {
		th = (struct tcphdr *)(skb->data + off);
		flow->sport = th->source;
		flow->dport = th->dest;
		cb->l4_off = off;
		if (th->doff >= 5 && skb_headlen(skb) >= off + th->doff * 4)
			cb->hdr_len = off + th->doff * 4;
	} else if (flow->l4_proto == IPPROTO_UDP &&
		   skb_headlen(skb) >= off + sizeof(*uh)) {
		uh = (struct udphdr *)(skb->data + off);
		flow->sport = uh->source;
		flow->dport = uh->dest;
		cb->l4_off = off;
	}
}

/* What the receiver may report about a packet's checksum; negative if it is
 * wrong. A checksum left to the NIC counts as right.
 */
int labnic_checksum(const struct sk_buff *skb)
{
	const struct labnic_cb *cb = LABNIC_CB(skb);
	unsigned int len = skb->len - cb->l4_off;
	const struct ipv6hdr *ip6;
	const struct iphdr *ip;
	__wsum sum;

	if (skb->ip_summed == CHECKSUM_PARTIAL)
		return CHECKSUM_UNNECESSARY;
	if (!cb->l4_off || !skb_frags_readable(skb))
		return CHECKSUM_NONE;
	if (cb->l4_proto == IPPROTO_UDP &&
	    !((struct udphdr *)(skb->data + cb->l4_off))->check)
		return CHECKSUM_NONE;

	sum = skb_checksum(skb, cb->l4_off, len, 0);
	if (cb->ipv6) {
		ip6 = (struct ipv6hdr *)(skb->data + cb->l3_off);
		sum = csum_unfold(csum_ipv6_magic(&ip6->saddr, &ip6->daddr, len,
						  cb->l4_proto, sum));
	} else {
		ip = (struct iphdr *)(skb->data + cb->l3_off);
		sum = csum_unfold(csum_tcpudp_magic(ip->saddr, ip->daddr, len,
						    cb->l4_proto, sum));
	}
	return sum ? -EBADMSG : CHECKSUM_UNNECESSARY;
}

static bool labnic_has_payload(const struct sk_buff *skb)
{
	const struct labnic_cb *cb = LABNIC_CB(skb);

	return cb->hdr_len && skb->len > cb->hdr_len;
}

/* Returns the index of the RX queue of @end, or LABNIC_NO_QUEUE. Rules come
 * before the hash, and may choose the table that the hash indexes.
 */
int labnic_classify(struct labnic_port *end, struct sk_buff *skb,
		    const struct labnic_flow *flow)
{
	unsigned int queues = READ_ONCE(end->dev->real_num_rx_queues);
	u64 cookie = LABNIC_COOKIE_RSS;
	u32 context = 0;
	int index;

	labnic_rules_match(end, flow, &cookie, &context);
	if (cookie == RX_CLS_FLOW_DISC)
		return LABNIC_NO_QUEUE;

	/* The hash is reported even if a rule chooses the queue. */
	index = labnic_rss_pick(end, context, skb, flow);
	if (cookie != LABNIC_COOKIE_RSS)
		index = cookie;

	if (unlikely(READ_ONCE(end->faults.armed)) && labnic_has_payload(skb) &&
	    labnic_fault_nth(end, LABNIC_WRONG_QUEUE_NTH,
			     atomic_inc_return(&end->faults.steered)))
		index = (index + 1) % queues;
	return index;
}
