// SPDX-License-Identifier: GPL-2.0
/* Segments a TSO packet: the headers of one segment. */
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <net/ip.h>

#include "labnic.h"

static void labnic_segment_ipv4(struct iphdr *ip, const struct sk_buff *tx,
				unsigned int index, unsigned int len)
{
	ip->tot_len = htons(len);
	if (!(skb_shinfo(tx)->gso_type & SKB_GSO_TCP_FIXEDID))
		ip->id = htons(ntohs(ip->id) + index);
	ip_send_check(ip);
}

/* The checksum is the sum of the pseudo-header, which has the length. */
static void labnic_segment_sum(struct tcphdr *th, unsigned int from,
			       unsigned int to)
{
	__wsum sum = csum_unfold(th->check);

	sum = csum_sub(sum, (__force __wsum)htonl(from));
	sum = csum_add(sum, (__force __wsum)htonl(to));
	th->check = ~csum_fold(sum);
}

/* Changes @header, a copy of the headers of @tx, to those of segment @index.
 * The TCP checksum stays: the receiver reports it as verified, unless it is to
 * be left to another NIC.
 */
void labnic_segment_fix(void *header, const struct sk_buff *tx,
			unsigned int index, unsigned int payload, bool last)
{
	const struct labnic_cb *cb = LABNIC_CB(tx);
	unsigned int len = cb->hdr_len - cb->l3_off + payload;
	unsigned int mss = skb_shinfo(tx)->gso_size;
	struct tcphdr *th = header + cb->l4_off;
	struct ipv6hdr *ip6 = header + cb->l3_off;

	if (cb->ipv6)
		ip6->payload_len = htons(len - sizeof(*ip6));
	else
		labnic_segment_ipv4(header + cb->l3_off, tx, index, len);

	th->seq = htonl(ntohl(th->seq) + index * mss);
	if (!last) {
		th->fin = 0;
		th->psh = 0;
	}
	/* With classic ECN the sender has reduced its window once, not once a
	 * segment.
	 */
	if (index && !(skb_shinfo(tx)->gso_type & SKB_GSO_TCP_ACCECN))
		th->cwr = 0;
	if (static_branch_unlikely(&labnic_relays))
		labnic_segment_sum(th, tx->len - cb->l4_off,
				   cb->hdr_len - cb->l4_off + payload);
}
