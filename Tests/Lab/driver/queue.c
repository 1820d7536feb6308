// SPDX-License-Identifier: GPL-2.0
/* RX queues: their memory, and starting and stopping them one by one. */
#include <linux/log2.h>

#include "labnic.h"

/* The core's memory for a queue that is replaced. */
struct labnic_queue_mem {
	struct labnic_rxq	*rq;
};

static struct page_pool *labnic_pool_create(struct labnic_rxq *rq,
					    unsigned int order, bool unreadable)
{
	struct page_pool_params params = {
		.flags		= PP_FLAG_DMA_MAP | PP_FLAG_DMA_SYNC_DEV,
		.order		= order,
		.pool_size	= max(rq->end->rx_ring >> order, 64U),
		.nid		= NUMA_NO_NODE,
		.dev		= labnic_dma_device(rq->end, rq->index),
		.netdev		= rq->end->dev,
		.napi		= &rq->napi,
		.queue_idx	= rq->index,
		.dma_dir	= DMA_FROM_DEVICE,
		.max_len	= PAGE_SIZE << order,
	};

	if (unreadable && !labnic_fault_value(rq->end, LABNIC_IGNORE_PROVIDER))
		params.flags |= PP_FLAG_ALLOW_UNREADABLE_NETMEM;
	return page_pool_create(&params);
}

/* Whether packets that are not split have memory of their own. */
static bool labnic_headers_apart(const struct labnic_rxq *rq,
				 unsigned int order)
{
	switch (rq->end->manners->header_pool) {
	case LABNIC_HEADERS_APART_LARGE:
		return rq->unreadable || order;
	case LABNIC_HEADERS_APART_UNREADABLE:
		return rq->unreadable;
	default:
		return false;
	}
}

static enum hrtimer_restart labnic_rx_timer(struct hrtimer *timer)
{
	struct labnic_rxq *rq = container_of(timer, struct labnic_rxq, timer);

	napi_schedule(&rq->napi);
	return HRTIMER_NORESTART;
}

static struct labnic_rxq *labnic_rxq_get(struct labnic_port *end,
					 unsigned int index)
{
	return rcu_dereference_protected(end->rxq[index],
					 labnic_is_locked(end->dev));
}

/* A queue that returns to ordinary memory must start: the core can only warn
 * if it does not.
 */
static bool labnic_may_fail(struct labnic_port *end, unsigned int index)
{
	struct labnic_rxq *old = labnic_rxq_get(end, index);

	return !old || !old->unreadable ||
	       netif_rxq_has_unreadable_mp(end->dev, index);
}

static struct labnic_rxq *
labnic_rxq_create(struct labnic_port *end,
		  const struct netdev_queue_config *cfg, unsigned int index)
{
	unsigned int order = get_order(cfg->rx_page_size ?: PAGE_SIZE);
	struct labnic_rxq *rq;
	int err;

	if (labnic_fault_value(end, LABNIC_IGNORE_PAGE_SIZE))
		order = 0;
	if (labnic_may_fail(end, index) &&
	    labnic_fault_take(end, LABNIC_FAIL_QUEUE_ALLOC))
		return ERR_PTR(-ENOMEM);

	rq = kzalloc_obj(*rq);
	if (!rq)
		return ERR_PTR(-ENOMEM);

	rq->end = end;
	rq->index = index;
	rq->stats = &end->rx_stats[index];
	rq->unreadable = netif_rxq_has_unreadable_mp(end->dev, index);
	init_llist_head(&rq->inbox);
	hrtimer_setup(&rq->timer, labnic_rx_timer, CLOCK_MONOTONIC,
		      HRTIMER_MODE_REL);

	/* Before its pools, because Linux 6.12 records then whose they are. */
	netif_napi_add_config_locked(end->dev, &rq->napi, labnic_rx_poll,
				     index);
	rq->pool = labnic_pool_create(rq, order, rq->unreadable);
	if (IS_ERR(rq->pool)) {
		err = PTR_ERR(rq->pool);
		goto err_napi;
	}
	rq->host_pool = rq->pool;
	if (labnic_headers_apart(rq, order)) {
		rq->host_pool = labnic_pool_create(rq, 0, false);
		if (IS_ERR(rq->host_pool)) {
			err = PTR_ERR(rq->host_pool);
			goto err_pool;
		}
	}
	return rq;

err_pool:
	page_pool_destroy(rq->pool);
err_napi:
	netif_napi_del_locked(&rq->napi);
	kfree(rq);
	return ERR_PTR(err);
}

/* The NAPI must have been deleted and have no readers left. */
static void labnic_rxq_release(struct labnic_rxq *rq)
{
	if (rq->host_pool != rq->pool)
		page_pool_destroy(rq->host_pool);
	page_pool_destroy(rq->pool);
	kfree(rq);
}

static void labnic_rxq_free(struct labnic_rxq *rq)
{
	netif_napi_del_locked(&rq->napi);
	labnic_rxq_release(rq);
}

static void labnic_rxq_start(struct labnic_rxq *rq)
{
	struct labnic_port *end = rq->end;

	rq->proven = true;
	netif_queue_set_napi(end->dev, rq->index, NETDEV_QUEUE_TYPE_RX,
			     &rq->napi);
	napi_enable_locked(&rq->napi);
	rcu_assign_pointer(end->rxq[rq->index], rq);
}

/* The far end must no longer see the queue. */
static void labnic_rxq_quiesce(struct labnic_rxq *rq)
{
	napi_disable_locked(&rq->napi);
	hrtimer_cancel(&rq->timer);
	page_pool_disable_direct_recycling(rq->pool);
	if (rq->host_pool != rq->pool)
		page_pool_disable_direct_recycling(rq->host_pool);
	netif_queue_set_napi(rq->end->dev, rq->index, NETDEV_QUEUE_TYPE_RX,
			     NULL);
	labnic_rx_purge(rq);
}

static struct labnic_rxq *labnic_rxq_stop(struct labnic_port *end,
					  unsigned int index)
{
	struct labnic_rxq *rq = labnic_rxq_get(end, index);

	RCU_INIT_POINTER(end->rxq[index], NULL);
	synchronize_net();
	labnic_rxq_quiesce(rq);
	return rq;
}

/* Several queues wait for the far end together, not one by one. */
void labnic_rx_close(struct labnic_port *end, unsigned int from,
		     unsigned int to)
{
	struct labnic_rxq *rq, *closing = NULL;

	while (to > from) {
		rq = labnic_rxq_get(end, --to);
		RCU_INIT_POINTER(end->rxq[to], NULL);
		rq->next = closing;
		closing = rq;
	}
	synchronize_net();
	for (rq = closing; rq; rq = rq->next) {
		labnic_rxq_quiesce(rq);
		__netif_napi_del_locked(&rq->napi);
	}
	synchronize_net();
	while ((rq = closing)) {
		closing = rq->next;
		labnic_rxq_release(rq);
	}
}

int labnic_rx_open(struct labnic_port *end, unsigned int from, unsigned int to)
{
	struct netdev_queue_config cfg;
	struct labnic_rxq *rq;
	unsigned int i;

	for (i = from; i < to; i++) {
		netdev_queue_config(end->dev, i, &cfg);
		rq = labnic_rxq_create(end, &cfg, i);
		if (IS_ERR(rq)) {
			labnic_rx_close(end, from, i);
			return PTR_ERR(rq);
		}
		labnic_rxq_start(rq);
	}
	return 0;
}

/* Replaces every running queue by one with the end's present settings, or
 * none of them.
 */
int labnic_rx_rebuild(struct labnic_port *end)
{
	unsigned int i, n = end->dev->real_num_rx_queues;
	struct netdev_queue_config cfg;
	struct labnic_rxq **fresh;
	int err;

	fresh = kcalloc(n, sizeof(*fresh), GFP_KERNEL);
	if (!fresh)
		return -ENOMEM;

	for (i = 0; i < n; i++) {
		netdev_queue_config(end->dev, i, &cfg);
		fresh[i] = labnic_rxq_create(end, &cfg, i);
		if (IS_ERR(fresh[i])) {
			err = PTR_ERR(fresh[i]);
			goto err_free;
		}
	}
	for (i = 0; i < n; i++) {
		labnic_rxq_free(labnic_rxq_stop(end, i));
		labnic_rxq_start(fresh[i]);
	}
	kfree(fresh);
	return 0;

err_free:
	while (i--)
		labnic_rxq_free(fresh[i]);
	kfree(fresh);
	return err;
}

static int labnic_queue_mem_alloc(struct net_device *dev,
				  struct netdev_queue_config *cfg, void *mem,
				  int index)
{
	struct labnic_port *end = netdev_priv(dev);
	struct labnic_queue_mem *qmem = mem;
	struct labnic_rxq *rq;

	if (!end->opened && labnic_queue_down(end->manners->queue_down))
		return labnic_queue_down(end->manners->queue_down);
	rq = labnic_rxq_create(end, cfg, index);
	if (IS_ERR(rq))
		return PTR_ERR(rq);
	qmem->rq = rq;
	return 0;
}

static void labnic_queue_mem_free(struct net_device *dev, void *mem)
{
	struct labnic_queue_mem *qmem = mem;

	if (qmem->rq)
		labnic_rxq_free(qmem->rq);
}

static int labnic_queue_start(struct net_device *dev,
			      struct netdev_queue_config *cfg, void *mem,
			      int index)
{
	struct labnic_queue_mem *qmem = mem;
	struct labnic_rxq *rq = qmem->rq;
	bool was_on;

	if (!rq->proven && rq->unreadable &&
	    labnic_fault_take(rq->end, LABNIC_FAIL_QUEUE_START))
		return -EIO;
	was_on = labnic_blink_off(rq->end, LABNIC_RESTART_QUEUE);
	labnic_stats_restart(rq->end, index);
	labnic_rxq_start(rq);
	labnic_blink_on(rq->end, was_on);
	return 0;
}

static int labnic_queue_stop(struct net_device *dev, void *mem, int index)
{
	struct labnic_port *end = netdev_priv(dev);
	struct labnic_queue_mem *qmem = mem;
	bool was_on;

	if (!index && end->manners->queue_zero)
		return end->manners->queue_zero;
	was_on = labnic_blink_off(end, LABNIC_RESTART_QUEUE);
	qmem->rq = labnic_rxq_stop(end, index);
	labnic_blink_on(end, was_on);
	return 0;
}

#ifdef LABNIC_QUEUE_CONFIG
static struct device *labnic_queue_dma_dev(struct net_device *dev, int index)
{
	return labnic_dma_device(netdev_priv(dev), index);
}

static void labnic_default_qcfg(struct net_device *dev,
				struct netdev_queue_config *cfg)
{
	cfg->rx_page_size = PAGE_SIZE;
}

static int labnic_validate_qcfg(struct net_device *dev,
				struct netdev_queue_config *cfg,
				struct netlink_ext_ack *extack)
{
	const struct labnic_manners *manners =
		((struct labnic_port *)netdev_priv(dev))->manners;

	if (!is_power_of_2(cfg->rx_page_size))
		return labnic_refuse(extack, &manners->page_size_odd);
	if (cfg->rx_page_size < PAGE_SIZE ||
	    cfg->rx_page_size > manners->page_size_max)
		return labnic_refuse(extack, &manners->page_size_range);
	return 0;
}

struct netdev_queue_mgmt_ops labnic_queue_ops = {
	.ndo_queue_mem_size	= sizeof(struct labnic_queue_mem),
	.ndo_queue_mem_alloc	= labnic_queue_mem_alloc,
	.ndo_queue_mem_free	= labnic_queue_mem_free,
	.ndo_queue_start	= labnic_queue_start,
	.ndo_queue_stop		= labnic_queue_stop,
	.ndo_queue_get_dma_dev	= labnic_queue_dma_dev,
	.ndo_default_qcfg	= labnic_default_qcfg,
	.ndo_validate_qcfg	= labnic_validate_qcfg,
	.supported_params	= QCFG_RX_PAGE_SIZE,
};

void labnic_queue_setup(const struct labnic_manners *manners)
{
	if (manners->page_size_max)
		return;
	labnic_queue_ops.ndo_default_qcfg = NULL;
	labnic_queue_ops.ndo_validate_qcfg = NULL;
	labnic_queue_ops.supported_params = 0;
}
#else
static int labnic_queue_mem_alloc_page(struct net_device *dev, void *mem,
				       int index)
{
	struct netdev_queue_config cfg = { .rx_page_size = PAGE_SIZE };

	return labnic_queue_mem_alloc(dev, &cfg, mem, index);
}

static int labnic_queue_start_page(struct net_device *dev, void *mem,
				   int index)
{
	return labnic_queue_start(dev, NULL, mem, index);
}

struct netdev_queue_mgmt_ops labnic_queue_ops = {
	.ndo_queue_mem_size	= sizeof(struct labnic_queue_mem),
	.ndo_queue_mem_alloc	= labnic_queue_mem_alloc_page,
	.ndo_queue_mem_free	= labnic_queue_mem_free,
	.ndo_queue_start	= labnic_queue_start_page,
	.ndo_queue_stop		= labnic_queue_stop,
};

void labnic_queue_setup(const struct labnic_manners *manners)
{
}
#endif
