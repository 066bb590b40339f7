// Package fairqueue provides a work queue that is fair between namespaces.
//
// Of the items that are ready, every second one is the next of the highest priority, the others are the next of the namespace
// whose turn it is. Within a priority, namespaces take turns too. So a namespace with thousands of items delays an item of
// another one by two items for each namespace that has work, whatever priorities it can bring about. And of the workers, no
// namespace has more than its share at a time: its other items wait although workers are free, so that a neighbour's next item
// finds a worker and an API server that answers.
//
// The API server is shared too, and each item costs it several writes. So a namespace with a backlog yields while another one
// without a backlog works: it has one worker at a time, and rests for twice as long as its last item took. It gets a third of
// what one worker can do, and the others hardly notice it. Where no other namespace has work, or all have a backlog, none rests, but one
// with more than a hundred items has a third of its share.
//
// The order is decided by turns, a plain data structure. Deduplication, delays and rate limits are those of client-go. The
// package does not know what an item stands for.
package fairqueue
