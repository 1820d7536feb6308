/* SPDX-License-Identifier: GPL-2.0 */
/* Copies a packet of the sender into an skb of the receiver. */
#ifndef LABNIC_BUILD_H
#define LABNIC_BUILD_H

#include "labnic.h"

/* The position of the copy in the sender's packet. */
struct labnic_source {
	struct labnic_port	*end;
	const struct sk_buff	*skb;
	unsigned int		pos;		/* within the fragment */
	int			frag;		/* -1: the linear part */
};

/* How one packet is to be delivered. */
struct labnic_delivery {
	struct page_pool	*pool;
	unsigned int		header;		/* bytes of header */
	unsigned int		linear;		/* bytes of payload beside it */
	unsigned int		payload;
	bool			split;
	bool			plain;		/* memory outside a pool */
	bool			lost;		/* not split, but must be */
	bool			corrupt;
	bool			hold;
	bool			lose_linear;
	bool			stale;
	bool			reuse;
	bool			leak;
};

void labnic_source_skip(struct labnic_source *src, unsigned int len);
struct sk_buff *labnic_build(struct labnic_rxq *rq, struct labnic_source *src,
			     const void *header,
			     const struct labnic_delivery *how);

#endif
