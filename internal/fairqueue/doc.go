// Package fairqueue provides a work queue that is fair between namespaces.
//
// Every second item is the next one of the highest priority. The others are the next item of the
// namespace whose turn it is. Within a priority, namespaces take turns too. So a namespace with
// thousands of items delays an item of another namespace by two items for each namespace that has
// work. The priorities of its items do not change that. No namespace has more workers than its
// share at a time. Its other items wait although workers are free, so that the next item of a
// neighbour finds a worker and an API server that responds.
//
// The API server is shared too, and each item costs it several writes. So a namespace with a
// backlog yields while another one without a backlog is active. It then has one worker at a time,
// and rests for twice as long as its last item took, at most one second. It gets about a third of
// the capacity of one worker, and the other namespaces hardly notice it. If no other namespace is
// active, or all have a backlog, none rests. A namespace with 128 items or more then has a third of
// its share.
//
// A plain data structure, turns, decides the order. Deduplication, delays and rate limits are those
// of client-go. The package does not know what an item stands for.
package fairqueue
